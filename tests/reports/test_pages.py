from __future__ import annotations

import base64
import gzip
import hashlib
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
from tgsr.protocols import EXPERIMENTS
from tgsr.reports._explorer import packed_surfaces, surface_figure
from tgsr.reports._figures import CURVES, SURFACE, study_figures
from tgsr.reports._pages import render_paper, render_study, select_records
from tgsr.reports._records import StudyRecord, complete_record, record_from_grid

Factory = Callable[..., StudyRecord]
Trials = Callable[..., pd.DataFrame]
OVER = ("kappa", "xi")


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
    page = render_study(record_factory(paper_grid, n_whole=23_035))
    _check_self_contained(page)
    for section in ("What is kept", CURVES, SURFACE, "Classes", "What was run"):
        assert section in page
    assert "How the study went" not in page
    assert "whole grid" not in page
    assert page.count("<img") == 6
    first, second = json.loads(_packed(page, "tgsr-surfaces"))["surface"]["data"]
    assert np.array(first["z"]).shape == (85, 271)
    assert second["visible"] is False
    row = paper_grid.iloc[1234]
    assert first["z"][first["y"].index(row["kappa"])][1234 % 271] == row["macro_f1"]
    assert "Plotly" in _packed(page, "tgsr-plotly")[:200_000]


def test_a_page_says_what_was_run_and_who_chose(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 30, 85), xi=(0.1, 1.0, 10.0))
    oracle = render_study(record_factory(table), figures=[])
    assert "oracle</span>" in oracle
    assert "no estimate of what the method achieves" in oracle
    assert "digest abc" in oracle
    free = render_study(record_factory(table.assign(selection_value=0.5), selection="source-cv"), figures=[])
    assert "label-free</span>" in free
    assert "chose nothing" in free
    assert "All 9 trials tie at 0.5000" in free


@pytest.mark.parametrize("n_trials", [0, 1])
def test_few_trials_still_give_a_page(n_trials: int, trials: Trials, record_factory: Factory) -> None:
    page = render_study(record_factory(trials(kappa=(1, 2), xi=(0.1,)).head(n_trials)))
    _check_self_contained(page)
    assert ("There is no finished trial yet" in page) == (n_trials == 0)


def test_unfinished_and_thinned_studies_are_named(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 2), xi=(0.1, 1.0, 2.0)).assign(converged=[1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    table.loc[2, ["macro_f1", "accuracy"]] = np.nan
    record = record_factory(table, n_whole=23_035, status="KILLED", group_norms=None, confusion=None)
    page = render_study(record, figures=[])
    assert "not the method&#39;s whole grid: 6 of 23,035 cells" in page
    assert "KILLED" in page
    assert "1 trials stopped at the limit" in page
    assert "Fig. 2 is missing" in page
    assert "--data DIR" in page
    assert record_factory(table, sampler="tpe", n_whole=23_035).coverage == "6 sampled trials"
    assert record_factory(table, selection="fixed", n_whole=23_035).coverage == ""


def test_a_sampled_study_shows_how_it_went(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=range(1, 30), xi=(0.1, 0.3, 1.0, 3.0)).sample(20, random_state=1).assign(trial=range(20))
    names = [figure.name for figure in study_figures(record_factory(table, sampler="tpe"))]
    assert names[-2:] == ["history", "importances"]
    (points, _) = surface_figure(table, OVER)["data"]
    assert len(points["x"]) == 20
    assert points["type"] == "scatter"


def test_a_target_without_labels_gives_no_score(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 9, 30), xi=(0.1, 1.0, 3.0))
    table = table.drop(columns=[name for name in table if str(name).startswith(("macro", "acc", "prec", "recall"))])
    record = record_factory(table, pair="SAMM-mine", selection="entropy", confusion=None)
    figures = list(study_figures(record))
    assert [figure.name for figure in figures][-1] == "predictions"
    assert len(next(figure for figure in figures if figure.name == "surface").figure.axes) == 2  # and its colour bar
    page = render_study(record, figures=[])
    assert "The target has no labels" in page
    assert "macro-F1</span>" not in page
    whole = render_paper([record])
    assert "Table" not in whole.partition("<h2>Studies")[0]
    assert "0 of 12 have results here" in whole


def test_text_from_outside_is_escaped(trials: Trials, record_factory: Factory) -> None:
    page = render_study(record_factory(trials(C=(1.0,)), facts={"seed": "<script>alert(1)</script>"}), figures=[])
    assert "<script>alert" not in page


def test_the_page_of_all_studies_has_one_of_each_kind(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 30), xi=(0.1, 1.0))
    part = record_factory(table.head(3), title="a part", n_whole=4)
    whole = record_factory(table, title="whole", n_whole=4)
    other = record_factory(trials(C=(1.0,)), method="SVM", fixed={}, group_norms=None)
    assert [record.title for record in select_records([part, other, whole])] == ["whole", other.title]
    comparison = pd.DataFrame(
        [("C-V", "SVM", "oracle", 0.5, 0.5)], columns=["experiment", "method", "selection", "macro_f1", "accuracy"]
    )
    page = render_paper([other], comparison)
    _check_self_contained(page)
    assert "2 of 12 have results here" in page
    assert "Table II, macro-F1, oracle" in page
    _check_self_contained(render_paper([], None))


def test_generated_data_are_called_generated_and_stand_beside_no_published_number(
    trials: Trials, record_factory: Factory
) -> None:
    table = trials(n_components=(1, 2, 3))
    known: dict[str, Any] = {"method": "TCA", "fixed": {}, "group_norms": None, "title": "V-N TCA grid oracle"}
    recorded, generated = record_factory(table, **known), record_factory(table, **known, generated=True, n_whole=9)
    page = render_study(generated, figures=[])
    assert "Study V-N TCA grid oracle, generated data" in page
    assert "no recorded person" in page
    assert "The paper reports" not in page
    assert "The paper reports" in render_study(recorded, figures=[])
    figures = list(study_figures(generated))
    titles = [figure.figure._suptitle.get_text() for figure in figures if figure.figure._suptitle]
    assert titles
    assert all(title == "V-N, TCA, generated data" for title in titles)
    assert all("Study V-N TCA grid oracle." in figure.caption for figure in figures)
    whole = render_paper([generated])
    assert "no recorded person" in whole
    assert "3 of 9 cells" in whole


def test_scores_of_twelve_whole_grids_fit_into_a_page(paper_grid: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(0.6, 0.03, len(paper_grid)) for name in ("macro_f1", "accuracy")}
    table = paper_grid[[*OVER, "trial"]].assign(**noise)  # what compresses least
    assert len(EXPERIMENTS) * len(packed_surfaces({"V-N": (table, OVER)})) < 2_000_000


def test_missing_cells_of_a_grid_are_null() -> None:
    rows = [(1, 0.1, 0.5), (1, 1.0, 0.6), (2, 0.1, 0.7)]
    table = pd.DataFrame(rows, columns=["kappa", "xi", "macro_f1"]).assign(accuracy=0.5)
    packed = json.loads(gzip.decompress(base64.b64decode(packed_surfaces({"V-N": (table, OVER)}))))
    assert packed["V-N"]["data"][0]["z"] == [[0.5, 0.6], [0.7, None]]


@pytest.fixture
def grid_file(tmp_path: Path, trials: Trials) -> Path:
    """What ``tgsr grid`` writes, in small: the table, and its description."""
    table = trials(kappa=(1, 30), xi=(0.1, 1.0))
    counts = {f"confusion_{true}_{predicted}": 1 for true in "abc" for predicted in "abc"}
    path = tmp_path / "grid.csv"
    table.assign(**counts).to_csv(path, index=False)
    spec = {
        "pair": "V-N",
        "method": "TGSR",
        "sampler": "grid",
        "selection": "oracle",
        "seed": 0,
        "source_digest": "d1",
        "target_digest": "d2",
        "fixed": {"groups": "released", "mu": 0.01},
        "grid": [{"kappa": [1, 30], "xi": [0.1, 1.0]}],
        "shape": {"n_source": 71, "n_target": 71, "n_groups": 85},
    }
    stored = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "source": {"name": "SMIC_VIS", "digest": "d1", "generated": True},
        "target": {"name": "SMIC_NIR", "digest": "d2"},
        "spec": spec,
        "class_names": ["a", "b", "c"],
        "tgsr": "0.1.0",
    }
    path.with_name("grid.csv.json").write_text(json.dumps(stored))
    return path


def test_a_grids_file_reads_back_and_is_refused_when_it_was_changed(grid_file: Path) -> None:
    record = record_from_grid(grid_file)
    assert (record.title, record.pair, record.row) == ("V-N TGSR grid oracle released", "V-N", "TGSR")
    assert (record.coverage, record.generated) == ("4 of 23,035 cells", True)
    assert record.confusion is not None
    assert record.best is not None
    assert record.best.row["predictions"] == "012012"
    grid_file.write_text(grid_file.read_text().replace("0.3", "0.4", 1))
    with pytest.raises(DataError, match="was changed since"):
        record_from_grid(grid_file)


def test_report_of_csv_files(grid_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "--grid", str(grid_file), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "V-N-TGSR-grid-oracle-released"
    assert "digest d1" in (folder / "report.html").read_text()
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".png", ".pdf"}
    assert "4 of 23,035 cells" in (tmp_path / "out" / "tables" / "tables.tex").read_text()


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "cannot be read"), (b"a,b\n1,2\n", "the column"), (None, "no such file")]
)
def test_bad_files_are_named(content: bytes | None, message: str, grid_file: Path) -> None:
    sidecar, broken = grid_file.with_name("grid.csv.json"), grid_file.with_name("broken.csv")
    if content is not None:
        broken.write_bytes(content)
        stored = json.loads(sidecar.read_text()) | {"sha256": hashlib.sha256(content).hexdigest()}
        broken.with_name("broken.csv.json").write_text(json.dumps(stored))
    for option in ("--grid", "--compare"):
        result = CliRunner().invoke(cli, ["report", option, str(broken), "--out", str(grid_file.parent / "out")])
        assert result.exit_code == 1
        assert "broken.csv" in result.output
        assert message in result.output
        assert "Traceback" not in result.output


def test_what_is_not_stored_is_added_from_the_databases(
    pair_factory: Callable[..., Any], trials: Trials, record_factory: Factory
) -> None:
    pair = pair_factory()
    digests = {"source": pair.source.digest, "target": pair.target.digest}
    table = trials(kappa=(5,), xi=(1.0,)).assign(predictions="0" * len(pair.target))
    record = record_factory(table, group_norms=None, confusion=None, digests=digests)
    completed = complete_record(record, pair)
    assert completed.confusion is not None
    assert completed.group_norms is not None
    assert completed.confusion[:, 0].sum() == completed.confusion.sum() == len(pair.target)
    assert np.count_nonzero(completed.group_norms) == 5
    with pytest.raises(DataError, match="digest"):
        complete_record(record, pair_factory(seed=7))


def test_the_readmes_snippet_runs_as_it_stands(grid_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(grid_file.parent)
    grid_file.rename("vn.csv")
    grid_file.with_name("grid.csv.json").rename("vn.csv.json")
    readme = (Path(__file__).parents[2] / "tgsr" / "reports" / "README.md").read_text(encoding="utf-8")
    python = readme[readme.index("## In Python") : readme.index("## MLflow's UI")]
    snippets = re.findall(r"(?:^    .*\n|^\n)+", python, flags=re.MULTILINE)
    exec(textwrap.dedent(next(snippet for snippet in snippets if snippet.strip())), {})
    assert Path("surface.pdf").is_file()
