from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import MissingDataError
from tgsr.evaluation.choice import best_trial
from tgsr.protocols import CLASS_NAMES
from tgsr.regions import released_groups
from tgsr.reports._classes import class_scores, draw_confusions, predicted_counts
from tgsr.reports._figures import CURVES, SURFACE, choice_tables, study_figures
from tgsr.reports._masks import as_face, draw_mask, histogram_norms, overlay, read_face
from tgsr.reports._records import StudyRecord
from tgsr.reports._sampled import draw_history, parameter_importances
from tgsr.reports._settings import draw_over, draw_surface, is_grid, save_surface, summarise_rest
from tgsr.reports._style import figure_bytes

Factory = Callable[..., StudyRecord]
Trials = Callable[..., pd.DataFrame]


def _texts_overlap(figure: Any) -> list[tuple[str, str]]:
    """Pairs of titles, labels, tick labels and legend texts whose boxes overlap when the figure is drawn."""
    figure.canvas.draw()
    texts = [entry for legend in figure.legends for entry in legend.get_texts()]
    texts += [figure._suptitle] if figure._suptitle else []
    for axes in figure.axes:
        if axes.get_visible():
            texts += [axes.title, *axes.texts]
            for axis in (axes.xaxis, axes.yaxis):
                ticks = axis._update_ticks() if axis.get_visible() else []  # those in view
                texts += [axis.label, *(tick.label1 for tick in ticks if tick.label1.get_visible())]
    boxes = [(text.get_text(), text.get_window_extent().shrunk(0.96, 0.9)) for text in texts if text.get_text().strip()]
    return [
        (first, second)
        for index, (first, box) in enumerate(boxes)
        for second, other in boxes[index + 1 :]
        if box.overlaps(other)
    ]


def test_no_text_of_a_figure_covers_another(trials: Trials, record_factory: Factory) -> None:
    record = record_factory(trials(kappa=range(1, 86, 7), xi=np.geomspace(1e-3, 1e3, 9)))
    best, norms = record.best, record.group_norms
    assert best is not None
    assert norms is not None
    for figure in (
        draw_over(record.table, best.row, "kappa", "V-N"),
        draw_over(record.table, best.row, "xi", "V-N"),
        draw_mask(norms, "region", None, "V-N"),
        draw_mask(norms, "released", None, "V-N"),
        draw_confusions([(f"{number}", record.confusion, CLASS_NAMES) for number in range(12)]),  # type: ignore[misc]
    ):
        assert _texts_overlap(figure) == []


@pytest.mark.parametrize(
    "xis",
    [
        np.linspace(0.1, 0.9, 9),
        np.linspace(1.0, 1.05, 5),
        np.linspace(1000, 2000, 5),
        np.geomspace(0.0021, 0.0064, 9),
        np.append(0, np.linspace(0.3, 0.9, 5)),
    ],
    ids=str,
)
def test_less_than_a_decade_of_xi_has_ticks_that_can_be_read(xis: np.ndarray, trials: Trials) -> None:
    table = trials(kappa=(1, 20, 40, 60), xi=xis)
    figure = draw_surface(table, best_trial(table).row, ("kappa", "xi"))
    assert _texts_overlap(figure) == []
    axis = figure.axes[0]
    low, high = axis.get_xlim()
    shown = [tick.get_text() for tick in axis.get_xticklabels() if low <= tick.get_position()[0] <= high]
    assert min(2, len(xis)) <= len(set(shown)) == len(shown) <= 6


@pytest.mark.parametrize("grouping", ["region", "released"])
@pytest.mark.parametrize("shape", [None, (60, 300)])
def test_titles_of_a_mask_are_not_cut(shape: tuple[int, int] | None, grouping: str) -> None:
    frame = None if shape is None else np.random.default_rng(0).integers(0, 255, shape)
    figure = draw_mask(np.ones(85), grouping, frame, "V-N")
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert box.y1 <= figure.bbox.y1
        assert box.y0 >= 0


def test_groups_that_have_no_place_on_a_face_are_bars() -> None:
    (axis,) = draw_mask(np.arange(7.0), "own").axes
    assert [bar.get_height() for bar in axis.patches] == list(range(7))


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        ({}, []),
        ({"n_components": range(1, 9)}, ["over-n_components"]),
        ({"lam": [0.1, 1.0, 10.0], "mu": [1e-3, 1.0]}, ["over-lam", "over-mu", "surface"]),
        (
            {"kernel": ["linear", "rbf"], "lam": [0.1, 1.0], "width": [1.0, 2.0, 4.0]},
            ["over-lam", "over-width", "surface"],
        ),
        ({"weighting": ["kliep", "ulsif"], "width": [None, 0.5, 1.0]}, ["over-width"]),
    ],
)
def test_any_methods_settings_are_drawn(
    axes: dict[str, Any], names: list[str], trials: Trials, record_factory: Factory
) -> None:
    record = record_factory(trials(**axes), method="X", fixed={}, group_norms=None, confusion=None)
    assert [figure.name for figure in study_figures(record) if figure.section in (CURVES, SURFACE)] == names
    assert list(choice_tables(record)) == [name for name in axes if name in ("kernel", "weighting")]


def test_quartiles_of_the_rest_are_those_of_the_other_cells() -> None:
    rows = [(kappa, xi, kappa + 10 * xi, 0.5) for kappa in (1, 2) for xi in (1.0, 2.0, 3.0, 4.0, 5.0)]
    table = pd.DataFrame(rows, columns=["kappa", "xi", "macro_f1", "accuracy"])
    rest = table[table["xi"] != 5.0]
    summary = summarise_rest(rest, "kappa", "macro_f1")
    assert summary.index.tolist() == [1, 2]
    assert summary["n"].tolist() == [4, 4]
    np.testing.assert_allclose(summary.loc[1, ["low", "middle", "high"]].astype(float), [18.5, 26, 33.5])


def test_sampled_xi_are_taken_together_by_half_decades() -> None:
    xis = [0.0, 1.1, 1.2, 3.0, 3.5, 9.9, 11.0]
    table = pd.DataFrame({"kappa": 1, "xi": xis, "macro_f1": range(7), "accuracy": 0.0})
    summary = summarise_rest(table, "xi", "macro_f1")
    np.testing.assert_allclose(summary.index, [0.0, 10**0.25, 10**0.75, 10**1.25])
    assert summary["n"].tolist() == [1, 3, 2, 1]


def test_a_grid_is_saved_as_a_surface_or_a_curve_and_xi_zero_is_drawn(tmp_path: Path, trials: Trials) -> None:
    save_surface(trials(kappa=(1, 2, 3), xi=(0.0, 0.01, 1.0)), tmp_path / "surface.png", "with ξ = 0")
    save_surface(trials(n_components=(1, 2, 3)), tmp_path / "curve.pdf", "one setting")
    assert (tmp_path / "surface.png").stat().st_size > 5000
    assert (tmp_path / "curve.pdf").stat().st_size > 5000
    assert not save_surface(trials(), tmp_path / "none.png", "no setting")


def test_a_grid_is_told_from_scattered_trials(paper_grid: pd.DataFrame) -> None:
    over = ("kappa", "xi")
    assert is_grid(paper_grid, over)
    assert not is_grid(paper_grid.head(1), over)
    assert not is_grid(paper_grid[paper_grid["kappa"] == 3], over)
    assert not is_grid(paper_grid.sample(60, random_state=0), over)


def test_overlay_adds_the_norms_of_all_regions_that_cover_a_pixel() -> None:
    weights = np.zeros(85)
    weights[[0, 1, 5, 21]] = [1.0, 2.0, 4.0, 8.0]  # the top left region of each scale
    heat = overlay(weights)
    assert heat[0, 0] == 15
    assert heat[20, 20] == 7
    assert heat[40, 40] == 3
    assert heat[100, 100] == 1


def test_released_groups_are_drawn_on_the_histograms_that_they_cover() -> None:
    norms = np.arange(1.0, 86.0)
    shown = histogram_norms(norms)
    groups = released_groups().reshape(85, 3, 59)
    for plane in range(3):
        np.testing.assert_array_equal(shown[plane], norms[groups[:, plane, 0]])
    # 85 groups of three histograms, each wholly covered by one group
    assert (groups == groups[:, :, :1]).all()


def test_class_scores_come_from_the_row_of_a_trial(trials: Trials) -> None:
    row = trials().iloc[0].to_dict()
    assert class_scores(row).loc["surprise", "recall"] == 100 * row["recall_surprise"]
    assert class_scores({"macro_f1": 0.5}).empty
    assert predicted_counts("0110Z", ["a"])["samples"].tolist() == [2, 2, *[0] * 33, 1]


def test_importances_name_the_parameter_that_matters() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kappa": rng.integers(1, 86, 80), "xi": 10 ** rng.uniform(-3, 3, 80)})
    table["selection_value"], table["trial"] = table["kappa"] / 85, np.arange(80)
    table["weighting"] = rng.choice(["kliep", "kmm"], 80)
    found = parameter_importances(table)
    assert found["kappa"] > 0.8
    assert parameter_importances(table.head(2)) == {}
    assert parameter_importances(table.assign(selection_value=0.5)) == {}
    marked = draw_history(table, dict(table.iloc[3]), "macro-F1").axes[0].lines[-1]
    assert marked.get_xdata() == [3]


def test_the_same_results_give_the_same_bytes(trials: Trials) -> None:
    table = trials(n_components=(1, 2, 3))
    first, second = (draw_over(table, best_trial(table).row, "n_components") for _ in range(2))
    for kind in ("png", "pdf"):
        assert figure_bytes(first, kind, 80) == figure_bytes(second, kind, 80)


def test_a_clips_first_frame_is_the_face(tmp_path: Path) -> None:
    import cv2

    for number, grey in ((12, 200), (2, 50)):
        cv2.imwrite(
            str(tmp_path / f"img{number}.png"), np.full((40, 30), grey, dtype=np.uint8) + np.eye(40, 30, dtype=np.uint8)
        )
    assert read_face(tmp_path).max() == 51
    assert read_face(tmp_path / "img12.png").max() == 201
    assert as_face(np.random.default_rng(0).random((8, 8, 3)) * 255).shape == (8, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="no frames"):
        read_face(tmp_path / "empty")
