from __future__ import annotations

import base64
import gzip
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.errors import DataError
from tgsr.protocols import EXPERIMENTS, KAPPAS, XIS
from tgsr.reports import completing
from tgsr.reports.completing import complete_record
from tgsr.reports.explorer import packed_surfaces, surface_numbers
from tgsr.reports.figures import study_figures
from tgsr.reports.pages import render_study
from tgsr.reports.paper_page import merge_comparison, name_by_groups, render_paper
from tgsr.reports.records import StudyRecord, record_from_grid

Factory = Callable[..., StudyRecord]


def _check_self_contained(page: str) -> None:
    assert len(page.encode()) < 5_000_000
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "<script src" not in page
    assert "@import" not in page
    assert "url(" not in page


def _packed(page: str, name: str) -> Any:
    found = re.search(rf'id="{name}">([^<]+)<', page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found.group(1))).decode()


def test_a_whole_grid_gives_one_page_that_needs_nothing_else(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    page = render_study(record_factory(paper_grid))
    _check_self_contained(page)
    for section in ("What is kept", "Scores over κ and ξ", "Score surface", "Classes", "What was run"):
        assert section in page
    assert "How the study went" not in page
    assert page.count("<img") == 6
    stored = json.loads(_packed(page, "tgsr-surfaces"))["V-N grid oracle region"]
    assert np.array(stored["macro_f1"]).shape == (85, 271)
    row = paper_grid.iloc[1234]
    cell = stored["macro_f1"][stored["kappas"].index(row["kappa"])][stored["xis"].index(row["xi"])]
    assert cell == round(10_000 * row["macro_f1"])
    assert "Plotly" in _packed(page, "tgsr-plotly")[:200_000]


def test_a_page_says_what_was_run_and_who_chose(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    rows = paper_grid[paper_grid["kappa"].isin([1, 30])]
    oracle = render_study(record_factory(rows), figures=[])
    assert "oracle</span>" in oracle
    assert "no estimate of what the method achieves" in oracle
    assert "digest abc" in oracle
    free = render_study(record_factory(rows.assign(selection_value=0.5), selection="source-cv"), figures=[])
    assert "label-free</span>" in free
    assert "chose nothing" in free


@pytest.mark.parametrize("n_trials", [0, 1, 2])
def test_few_trials_still_give_a_page(n_trials: int, paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    page = render_study(record_factory(paper_grid.head(n_trials)))
    _check_self_contained(page)
    assert ("There is no finished trial yet" in page) == (n_trials == 0)


def test_unfinished_studies_are_named(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    table = paper_grid.head(6).assign(converged=[True, False, True, True, True, True])
    table.loc[2, ["macro_f1", "accuracy"]] = np.nan
    record = record_factory(table, n_cells=2000, status="KILLED", group_norms=None, confusion=None)
    page = render_study(record, figures=[])
    assert "not whole: 6 of 2,000 cells" in page
    assert "KILLED" in page
    assert "1 trials stopped at the limit" in page
    assert "Fig. 2 is missing" in page
    assert "--data DIR" in page


def test_captions_say_how_much_of_the_grid_is_shown(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    rows = paper_grid[paper_grid["kappa"].isin([1, 30])]
    part = [figure.caption for figure in study_figures(record_factory(rows, n_cells=23_035)) if figure.surface]
    assert "542 of 23,035 cells" in part[0]
    whole = [figure.caption for figure in study_figures(record_factory(rows, n_cells=542)) if figure.surface]
    assert "all 542 cells" in whole[0]
    sampled = record_factory(rows.head(9), sampler="tpe", status="KILLED")
    assert sampled.shortfall == "9 trials, then KILLED"


def test_a_sampled_study_shows_how_it_went(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    table = paper_grid.sample(40, random_state=1).assign(trial=range(40))
    page = render_study(record_factory(table, sampler="tpe"))
    assert "History" in page
    assert "Importance of the parameters" in page
    numbers = json.loads(_packed(page, "tgsr-surfaces"))["V-N grid oracle region"]
    assert numbers["grid"] is False
    assert len(numbers["xis"]) == 40


def test_text_from_outside_is_escaped(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    page = render_study(record_factory(paper_grid.head(1), facts={"seed": "<script>alert(1)</script>"}), figures=[])
    assert "<script>alert" not in page


def test_the_chosen_row_is_the_first_of_equals(record_factory: Factory) -> None:
    rows = [(9, 1.0, 0.7), (4, 2.0, 0.7), (4, 1.0, 0.7), (1, 1.0, 0.1)]
    table = pd.DataFrame(rows, columns=["kappa", "xi", "macro_f1"]).assign(accuracy=0.5, trial=range(4))
    best = record_factory(table).best
    assert best is not None
    assert (best["kappa"], best["xi"]) == (4, 1.0)


def test_the_paper_page_has_all_tables_and_names_what_is_missing(
    paper_grid: pd.DataFrame, record_factory: Factory
) -> None:
    rows = paper_grid[paper_grid["kappa"].isin([1, 30])]
    records = [record_factory(rows, experiment="V-N"), record_factory(rows, experiment="N-C", grouping="released")]
    comparison = pd.DataFrame(
        [("C-V", "SVM", "oracle", 0.5, 0.5), ("C-V", "SVM", "default", 0.4, 0.4)],
        columns=["experiment", "method", "selection", "macro_f1", "accuracy"],
    )
    page = render_paper(records, comparison, ["something to know"])
    _check_self_contained(page)
    assert page.count("Table I, macro-F1") == 2
    assert "3 of 12 have results here" in page
    assert "H-V" in page
    assert "something to know" in page
    assert "TGSR (regions)" in page
    _check_self_contained(render_paper([], None))


def test_generated_data_are_called_generated_and_stand_beside_no_published_number(
    paper_grid: pd.DataFrame, record_factory: Factory
) -> None:
    rows = paper_grid[paper_grid["kappa"].isin([1, 30])]
    recorded, generated = record_factory(rows), record_factory(rows, generated=True, n_cells=600)
    page = render_study(generated, figures=[])
    assert "Study V-N grid oracle region, generated data" in page
    assert "no recorded person" in page
    assert "The paper reports" not in page
    assert "The paper reports" in render_study(recorded, figures=[])
    titles = [figure.figure._suptitle.get_text() for figure in study_figures(generated) if figure.figure._suptitle]
    assert titles
    assert all("generated data" in title for title in titles)
    whole = render_paper([generated])
    assert "no recorded person" in whole
    assert "542 of 600 cells" in whole
    assert "no recorded person" not in render_paper([recorded])


def test_the_face_is_on_the_page_of_all_experiments(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    record = record_factory(paper_grid.head(1))
    face = np.tile(np.arange(112), (112, 1))
    assert render_paper([record], frame=face) != render_paper([record])


def test_the_readmes_snippets_run_as_they_stand(
    pair_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tgsr.evaluation.grid import GridPlan, write_grid
    from tgsr.tracking.grid_run import log_grid
    from tgsr.tracking.place import open_client, resolve_place

    from tgsr.tracking.names import Tag

    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    pair, plan = pair_factory(), GridPlan([5, 40], [0.1, 10.0])
    run_id = log_grid(
        resolve_place(), write_grid(pair, "vn.csv", plan, jobs=1), pair, plan, "V-N", [tmp_path / "vn.csv"]
    )
    readme = (Path(__file__).parents[2] / "tgsr" / "reports" / "README.md").read_text(encoding="utf-8")
    python = readme[readme.index("## In Python") : readme.index("## MLflow's UI")]
    snippets = re.findall(r"(?:^    .*\n|^\n)+", python, flags=re.MULTILINE)
    snippets = [textwrap.dedent(snippet) for snippet in snippets if snippet.strip()]
    assert len(snippets) == 2
    exec(snippets[0], {})
    assert (tmp_path / "surface.pdf").is_file()
    client = open_client(resolve_place().tracking_uri)
    client.set_tag(run_id, Tag.KIND, "study")  # without trials: enough to be read
    exec(snippets[1], {})


def test_studies_fill_the_cells_that_a_comparison_lacks(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    record = record_factory(paper_grid.head(5), grouping="released")
    merged = merge_comparison(None, [record, record])
    assert merged["method"].tolist() == ["TGSR"]
    known = merged.assign(macro_f1=0.123)
    assert merge_comparison(known, [record])["macro_f1"].tolist() == [0.123]
    assert name_by_groups(known, "region")["method"].tolist() == ["TGSR (regions)"]
    assert name_by_groups(known, "released")["method"].tolist() == ["TGSR"]


def test_scores_of_twelve_whole_grids_fit_into_a_page() -> None:
    cells = pd.DataFrame([(kappa, xi) for kappa in KAPPAS for xi in XIS], columns=["kappa", "xi"])
    rng = np.random.default_rng(0)
    noise = {
        experiment.name: cells.assign(**{name: rng.normal(0.6, 0.03, len(cells)) for name in ("macro_f1", "accuracy")})
        for experiment in EXPERIMENTS
    }  # what compresses least
    assert len(packed_surfaces(noise)) < 1_500_000


def test_missing_cells_of_a_grid_are_null() -> None:
    rows = [(1, 0.1, 0.5), (1, 1.0, 0.6), (2, 0.1, 0.7)]
    table = pd.DataFrame(rows, columns=["kappa", "xi", "macro_f1"]).assign(accuracy=0.5)
    assert surface_numbers(table)["macro_f1"] == [[5000, 6000], [7000, None]]


def test_report_of_csv_files(tmp_path: Path, paper_grid: pd.DataFrame) -> None:
    rows = paper_grid[paper_grid["kappa"].isin([1, 30])].drop(columns="trial")
    rows.to_csv(tmp_path / "grid.csv", index=False)
    provenance = {
        "source": {"name": "SMIC_VIS", "digest": "d1"},
        "target": {"name": "SMIC_NIR", "digest": "d2"},
        "grouping": "released",
        "solver": {"mu": 0.001},
        "tgsr": "0.1.0",
    }
    (tmp_path / "grid.csv.json").write_text(json.dumps(provenance))
    arguments = ["report", "--grid", str(tmp_path / "grid.csv"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "V-N-grid-oracle-released"
    assert "digest d1" in (folder / "report.html").read_text()
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".png", ".pdf"}
    assert (tmp_path / "out" / "tables" / "tables.tex").is_file()


def test_what_is_not_stored_is_added_from_the_databases(pair_factory: Callable[..., Any], tmp_path: Path) -> None:
    from tgsr.evaluation.grid import GridPlan, write_grid

    pair = pair_factory()
    write_grid(pair, tmp_path / "grid.csv", GridPlan([5, 40], [0.1, 10.0]), jobs=1)
    record = record_from_grid(tmp_path / "grid.csv")
    completed = complete_record(record, pair)
    best = completed.best
    assert best is not None
    assert completed.confusion is not None
    assert completed.group_norms is not None
    assert np.trace(completed.confusion) / completed.confusion.sum() == best["accuracy"]
    assert np.count_nonzero(completed.group_norms) == best["n_selected"]
    with pytest.raises(DataError, match="digest"):
        complete_record(record, pair_factory(seed=7))


def test_a_cell_is_solved_again_with_the_studys_own_settings(
    pair_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tgsr.evaluation.grid import GridPlan, write_grid

    from tgsr.solvers import SolverSettings

    pair, settings = pair_factory(), SolverSettings(mu=0.01, tol=1e-3, max_iter=7)
    write_grid(pair, tmp_path / "grid.csv", GridPlan([5, 40], [0.1, 10.0], settings=settings), jobs=1)
    record = record_from_grid(tmp_path / "grid.csv")
    assert (record.settings, record.n_cells, record.shortfall) == (settings, 4, "")
    used = []
    make = completing.make_solver
    monkeypatch.setattr(completing, "make_solver", lambda *given: used.append(given[2]) or make(*given))
    complete_record(record, pair)
    assert used == [settings]
    stored = json.loads((tmp_path / "grid.csv.json").read_text())
    (tmp_path / "grid.csv.json").write_text(json.dumps(stored | {"solver": {"mu": "much"}}))
    with pytest.raises(DataError, match=r"grid\.csv\.json"):
        record_from_grid(tmp_path / "grid.csv")


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "cannot be read"), (b"a,b\n1,2\n", "the columns"), (None, "no such file")]
)
def test_bad_files_are_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    if content is not None:
        path.write_bytes(content)
    for option in ("--grid", "--compare"):
        result = CliRunner().invoke(cli, ["report", option, str(path), "--out", str(tmp_path / "out")])
        assert result.exit_code == 1
        assert "broken.csv" in result.output
        assert message in result.output
        assert "Traceback" not in result.output
