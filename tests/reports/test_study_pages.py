from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import METRIC, PARAM, RULE
from tgsr.protocols import EXPERIMENTS
from tgsr.reports import ReportFigure, StudyView, new_figure, render_study, study_figures
from tgsr.reports._explorer import packed_surfaces, surface_figure
from tgsr.reports._figures import CURVES, SURFACE
from tgsr.reports._pages import render_paper, select_records
from tgsr.tracking.records import StudyRecord

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


def _section(page: str, heading: str) -> str:
    """What stands below a heading, tags and all."""
    return page.partition(f"<h2>{heading}</h2>")[2].partition("<h2>")[0]


def _cells(table: str) -> list[list[str]]:
    """The rows of the first table of a text."""
    rows = re.findall(r"<tr.*?</tr>", table.partition("</table>")[0], flags=re.DOTALL)
    return [[re.sub("<.*?>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_whole_grid_gives_one_page_that_needs_nothing_else(paper_grid: pd.DataFrame, record_factory: Factory) -> None:
    page = render_study(record_factory(paper_grid))
    _check_self_contained(page)
    for section in ("What each rule chooses", "What is kept", CURVES, SURFACE, "Classes", "What was run"):
        assert section in page
    assert "How the study went" not in page
    assert "whole grid" not in page
    assert page.count("<img") == 6
    first, second = json.loads(_packed(page, "tgsr-surfaces"))["surface"]["data"]
    assert np.array(first["z"]).shape == (85, 271)
    assert second["visible"] is False
    row = paper_grid.iloc[1234]
    assert first["z"][first["y"].index(row["params.kappa"])][1234 % 271] == row["metrics.macro_f1"]
    assert "Plotly" in _packed(page, "tgsr-plotly")[:200_000]


def test_a_page_says_what_was_run_and_who_chose(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 30, 85), xi=(0.1, 1.0, 10.0))
    oracle = render_study(record_factory(table), figures=[])
    assert "oracle</span>" in oracle
    assert "no estimate of what the method achieves" in oracle
    assert "digest abc" in oracle
    assert "9 trials of the 9 cells of its grid" in oracle
    free = render_study(record_factory(table.assign(**{RULE + "circular": 0.5}), choose="circular"), figures=[])
    assert "label-free: circular</span>" in free
    assert "chose nothing" in free
    assert "All 9 trials tie at 0.5" in free


def test_a_page_goes_by_the_choice_that_is_asked_for_and_names_one_that_is_not_there(
    trials: Trials, record_factory: Factory
) -> None:
    record = record_factory(trials(kappa=(1, 30, 85), xi=(0.1, 1.0, 10.0)), choose="circular")
    assert "label-free: circular</span>" in render_study(record, figures=[])
    assert "oracle</span>" in render_study(record, "oracle", figures=[])
    with pytest.raises(ParameterError, match="no trial has a value of the rule 'iw-cv'"):
        render_study(record, "iw-cv")


def test_the_table_of_choices_has_the_oracle_named_as_such_each_rule_the_consensus_and_the_median(
    trials: Trials, record_factory: Factory, consensus_facts: dict[str, Any]
) -> None:
    table = trials(kappa=(1, 30, 85), xi=(0.1, 1.0, 10.0))
    table[RULE + "vote"] = [1.0, 1.0, *[0.5] * 7]
    record = record_factory(table, choose="circular", consensus=consensus_facts)
    head, *rows = _cells(_section(render_study(record, figures=[]), "What each rule chooses"))
    assert head == ["", "settings", "value", "ties", "macro-F1", "accuracy (%)"]
    shown = {row[0]: row[1:] for row in rows}
    best = table.loc[table["metrics.macro_f1"].idxmax()]
    assert list(shown) == [
        "oracle (chosen by target labels)",
        "▸ circular",
        "vote",
        "consensus: the best 2 by circular, averaged",
        "median of all trials",
    ]
    assert shown["oracle (chosen by target labels)"][3] == f"{best['metrics.macro_f1']:.4f}"
    assert shown["vote"][:3] == ["κ = 1, ξ = 0.1", "1", "2"]
    assert shown["consensus: the best 2 by circular, averaged"][3:] == ["0.8222", "83.33"]
    assert shown["median of all trials"][3] == f"{table['metrics.macro_f1'].median():.4f}"


@pytest.mark.parametrize("n_trials", [0, 1])
def test_few_trials_still_give_a_page(n_trials: int, trials: Trials, record_factory: Factory) -> None:
    page = render_study(record_factory(trials(kappa=(1, 2), xi=(0.1,)).head(n_trials)))
    _check_self_contained(page)
    assert ("There is no finished trial yet" in page) == (n_trials == 0)


def test_predictions_that_are_not_kept_leave_out_what_is_drawn_from_them(
    trials: Trials, record_factory: Factory
) -> None:
    record = record_factory(trials(n_components=(1, 2)).assign(predictions=np.nan), method="TCA", fixed={})
    assert [figure.name for figure in study_figures(record)] == ["over-n_components"]
    assert "Classes" not in render_study(record)
    assert "Confusion" not in render_paper([record])


def test_a_page_states_what_stays_true_and_parts_of_a_grid_are_named(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 2), xi=(0.1, 1.0, 2.0)).assign(**{METRIC + "converged": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]})
    table.loc[2, [METRIC + "macro_f1", METRIC + "accuracy"]] = np.nan
    record = record_factory(table)
    record.status = "RUNNING"
    page = render_study(record, figures=[])
    assert "RUNNING" not in page
    assert "6 trials of the 9 cells of its grid, as they were on 2" in " ".join(page.split())
    assert "not the method&#39;s whole grid: 6 of 23,035 cells" in page
    assert "1 of 6 trials did not converge: scale the features (--preprocess unit)" in page


def test_settings_that_were_fixed_are_said_to_be(trials: Trials, record_factory: Factory) -> None:
    record = record_factory(trials(kappa=(85,), xi=(0.01,)), sampler="fixed", choose="circular")
    page = render_study(record, figures=[])
    assert "One trial, settings fixed beforehand: nothing was searched." in page
    assert "whole grid" not in page


def test_one_class_for_all_is_a_warning_and_a_mark(trials: Trials, record_factory: Factory) -> None:
    table = trials(n_components=(1, 2, 3))
    known: dict[str, Any] = {"method": "TCA", "fixed": {}}
    assert "predicts" not in render_study(record_factory(table, **known), figures=[]).partition("What each rule")[0]
    page = render_study(record_factory(table.assign(predictions="000000"), **known), figures=[])
    assert "The chosen trial predicts negative for all 6 samples" in page
    for heading in ("What each rule chooses", "The ten best trials"):
        head, *rows = _cells(_section(page, heading))
        assert head[-1] == "remark"
        assert rows[0][-1] == "predicts negative for all 6"
    assert "It predicts negative for all 6." in render_paper(
        [record_factory(table.assign(predictions="000000"), **known)]
    )


def test_a_methods_own_metric_appears_and_is_never_a_setting(trials: Trials, record_factory: Factory) -> None:
    table = trials(C=(0.1, 1.0, 10.0))
    table[METRIC + "n_support"] = [24.0, 12.0, 6.0]
    page = render_study(record_factory(table, method="SVM", fixed={}))
    head, first, *_ = _cells(_section(page, "The ten best trials"))
    best = table.loc[table[METRIC + "macro_f1"].idxmax()]
    assert first[head.index("n support")] == f"{best['metrics.n_support']:.4g}"
    assert first[head.index("settings")] == f"C = {best['params.C']:.4g}"
    assert "<span>n support</span>" in page
    assert "over n_support" not in page


def draw_mine(view: StudyView) -> Iterator[ReportFigure]:
    """A figure of one's own."""
    figure = new_figure(3.5, 2.0, view.heading)
    figure.subplots().plot(view.record.table["number"], view.record.table["metrics.macro_f1"])
    yield view.figure("mine", "My section", "My figure", f"By {view.who}.", figure)


@pytest.mark.parametrize("how", ["list", "entry point"])
def test_a_figure_of_ones_own_is_one_function_and_one_line(
    how: str, trials: Trials, record_factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgsr.reports._figures.FIGURES", [draw_mine] if how == "list" else [])
    if how == "entry point":
        offered = EntryPoint("mine", f"{__name__}:draw_mine", "tgsr.figures")
        monkeypatch.setattr("tgsr.plugins.entry_points", lambda group: [offered] * (group == "tgsr.figures"))
    page = render_study(record_factory(trials(kappa=(1, 30), xi=(0.1, 1.0)), choose="circular"))
    section = _section(page, "My section")
    assert "<strong>My figure.</strong> By the choice of circular." in section
    assert 'id="mine"' in section


def test_a_sampled_study_shows_how_it_went(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=range(1, 30), xi=(0.1, 0.3, 1.0, 3.0)).sample(20, random_state=1).assign(number=range(20))
    record = record_factory(table, sampler="tpe", objective="circular")
    assert [figure.name for figure in study_figures(record)][-2:] == ["history", "importances"]
    assert "20 trials, as they were" in render_study(record, figures=[])
    points, *_ = surface_figure(table, OVER, "circular")["data"]
    assert len(points["x"]) == 20
    assert points["type"] == "scatter"


def test_a_target_without_labels_gives_no_score(trials: Trials, record_factory: Factory) -> None:
    table = trials(kappa=(1, 9, 30), xi=(0.1, 1.0, 3.0))
    scores = (METRIC + "macro", METRIC + "acc", METRIC + "prec", METRIC + "recall")
    table = table.drop(columns=[name for name in table if str(name).startswith(scores)])
    record = record_factory(table, pair="SAMM-mine", choose="circular", labels=None)
    figures = list(study_figures(record))
    assert [figure.name for figure in figures][-1] == "predictions"
    assert len(next(figure for figure in figures if figure.name == "surface").figure.axes) == 2  # and its colour bar
    page = render_study(record, figures=[])
    assert "The target has no labels" in page
    assert "macro-F1</span>" not in page
    assert "oracle (" not in page
    whole = render_paper([record])
    assert "Table" not in whole.partition("<h2>Studies")[0]
    assert "0 of 12 have results here" in whole


def test_text_from_outside_is_escaped(trials: Trials, record_factory: Factory) -> None:
    table = trials(name=("<script>alert(1)</script>", "b"))
    page = render_study(record_factory(table, method="SVM", fixed={"solver": "<script>alert(2)</script>"}), figures=[])
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page


def test_the_page_of_all_studies_has_one_of_each_kind(trials: Trials, record_factory: Factory) -> None:
    table = trials(C=(1.0, 2.0))
    svm: dict[str, Any] = {"method": "TCA", "fixed": {}, "shape": record_factory(table).spec.shape}
    n_whole = record_factory(table, **svm).spec.n_whole()
    part = record_factory(table, **svm, run_id="a part")
    whole = record_factory(trials(C=range(n_whole)), **svm, run_id="whole")
    fixed = record_factory(table.head(1), **svm, sampler="fixed", run_id="fixed")
    other = record_factory(trials(kappa=(1, 30), xi=(0.1, 1.0)), run_id="TGSR")
    empty = record_factory(table.head(0), pair="C-V", **svm)
    shown = select_records([part, fixed, whole, other, empty])
    assert [record.run_id for record in shown] == ["TGSR", "whole", "fixed"]
    page = render_paper([other, record_factory(table, pair="C-V", **svm)])
    _check_self_contained(page)
    assert "2 of 12 have results here" in page
    assert "Table II, macro-F1, oracle" in page
    _check_self_contained(render_paper([]))


def test_generated_data_are_called_generated_and_stand_beside_no_published_number(
    trials: Trials, record_factory: Factory
) -> None:
    table = trials(n_components=(1, 2, 3))
    known: dict[str, Any] = {"method": "TCA", "fixed": {}}
    recorded, generated = record_factory(table, **known), record_factory(table, **known, generated=True)
    page = render_study(generated, figures=[])
    assert "Study V-N TCA grid, generated data" in page
    assert "no recorded person" in page
    assert "The paper reports" not in page
    assert "The paper reports" in render_study(recorded, figures=[])
    figures = list(study_figures(generated))
    titles = [figure.figure._suptitle.get_text() for figure in figures if figure.figure._suptitle]
    assert titles
    assert all(title == "V-N, TCA, generated data" for title in titles)
    assert all("Study V-N TCA grid." in figure.caption for figure in figures)
    whole = render_paper([generated])
    assert "no recorded person" in whole
    assert f"3 of {generated.spec.n_whole()} cells" in whole


def test_scores_of_twelve_whole_grids_fit_into_a_page(paper_grid: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    columns = (METRIC + "macro_f1", METRIC + "accuracy", RULE + "circular")
    noise = {name: rng.normal(0.6, 0.03, len(paper_grid)) for name in columns}
    table = paper_grid[[PARAM + "kappa", PARAM + "xi", "number"]].assign(**noise)  # what compresses least
    assert len(EXPERIMENTS) * len(packed_surfaces({"V-N": (table, OVER, "circular")})) < 3_000_000


def test_missing_cells_of_a_grid_are_null() -> None:
    rows = [(1, 0.1, 0.5), (1, 1.0, 0.6), (2, 0.1, 0.7)]
    table = pd.DataFrame(rows, columns=["params.kappa", "params.xi", "metrics.macro_f1"])
    packed = json.loads(gzip.decompress(base64.b64decode(packed_surfaces({"V-N": (table, OVER, "oracle")}))))
    assert packed["V-N"]["data"][0]["z"] == [[0.5, 0.6], [0.7, None]]
