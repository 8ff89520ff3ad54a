from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.evaluation.choice import METRIC, RULE
from tgsr.evaluation.metrics import score
from tgsr.protocols import CLASS_NAMES
from tgsr.regions import released_groups
from tgsr.reports import draw_frequency, draw_mask, draw_over, draw_surface, read_face, save_surface, study_figures
from tgsr.reports._classes import class_scores, draw_confusion, predicted_counts
from tgsr.reports._figures import CURVES, SURFACE
from tgsr.reports._masks import as_face, histogram_norms, overlay
from tgsr.reports._settings import draw_history, is_grid, parameter_importances, summarise_rest
from tgsr.reports.style import figure_bytes
from tgsr.tracking.records import StudyRecord

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


def test_no_text_of_a_figure_covers_another(trials: Trials) -> None:
    table = trials(kappa=range(1, 86, 7), xi=np.geomspace(1e-3, 1e3, 9))
    norms = np.where(np.arange(85) % 7 == 0, 1.0, 0.0)
    counts = np.array([[8, 1, 0], [2, 5, 1], [0, 3, 4]])
    for figure in (
        draw_over(table, "circular", "kappa", "V-N"),
        draw_over(table, "oracle", "xi", "V-N"),
        draw_surface(table, "circular", "V-N"),
        draw_mask(norms, "region", None, "V-N"),
        draw_mask(norms, "released", None, "V-N"),
        draw_frequency(norms / 2, "region", None, "V-N"),
        draw_frequency(norms / 2, "released", None, "V-N"),
        draw_confusion(counts, CLASS_NAMES, "V-N"),
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
    figure = draw_surface(trials(kappa=(1, 20, 40, 60), xi=xis), "oracle")
    assert _texts_overlap(figure) == []
    axis = figure.axes[0]
    low, high = axis.get_xlim()
    shown = [tick.get_text() for tick in axis.get_xticklabels() if low <= tick.get_position()[0] <= high]
    assert min(2, len(xis)) <= len(set(shown)) == len(shown) <= 6


@pytest.mark.parametrize(
    ("by", "labels"),
    [("oracle", ["macro-F1", "accuracy (%)"]), ("circular", ["macro-F1", "value of circular"])],
)
def test_a_surface_shows_what_chose_beside_the_score(by: str, labels: list[str], trials: Trials) -> None:
    table = trials(kappa=(1, 30, 60), xi=(0.1, 1.0, 10.0))
    axes = draw_surface(table, by).axes
    assert [axis.get_ylabel() for axis in axes[2:]] == labels
    chosen = table.loc[table[METRIC + "macro_f1" if by == "oracle" else RULE + by].idxmax()]
    for axis in axes[:2]:
        (place,) = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines}
        assert place == (chosen["params.xi"], chosen["params.kappa"])


def test_a_surface_needs_two_settings_that_are_numbers(trials: Trials) -> None:
    with pytest.raises(ParameterError, match="two settings"):
        draw_surface(trials(n_components=(1, 2, 3)), "oracle")


@pytest.mark.parametrize("draw", [draw_mask, draw_frequency])
@pytest.mark.parametrize("grouping", ["region", "released"])
@pytest.mark.parametrize("shape", [None, (60, 300)])
def test_titles_of_a_mask_are_not_cut(shape: tuple[int, int] | None, grouping: str, draw: Any) -> None:
    frame = None if shape is None else np.random.default_rng(0).integers(0, 255, shape)
    figure = draw(np.ones(85), grouping, frame, "V-N")
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert box.y1 <= figure.bbox.y1
        assert box.y0 >= 0


def test_groups_that_have_no_place_on_a_face_are_bars() -> None:
    (axis,) = draw_mask(np.arange(7.0), "own").axes
    assert [bar.get_height() for bar in axis.patches] == list(range(7))
    (axis,) = draw_frequency(np.linspace(0, 1, 7), "own").axes
    assert axis.get_ylim() == (0, 1)


def test_frequencies_have_one_scale_whatever_they_are() -> None:
    shares = np.zeros(85)
    shares[0] = 0.25  # the whole face
    figure = draw_frequency(shares)
    overlaid, whole = figure.axes[0].images[1], figure.axes[1].images[1]
    assert overlaid.get_clim() == whole.get_clim() == (0, 1)
    assert whole.get_array().max() == 0.25
    assert overlaid.get_array().max() == 0.25 / 4  # the mean of the four scales


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
    for by in ("oracle", "circular"):
        figures = study_figures(record_factory(trials(**axes), method="DRLS", fixed={}), by)
        assert [figure.name for figure in figures if figure.section in (CURVES, SURFACE)] == names


def test_a_studys_figures_show_what_it_is_looked_at_by(
    trials: Trials, record_factory: Factory, consensus_facts: dict[str, Any]
) -> None:
    record = record_factory(
        trials(kappa=(1, 30, 85), xi=(0.1, 1.0, 10.0)), choose="circular", consensus=consensus_facts
    )
    free = {figure.name: figure.caption for figure in study_figures(record)}
    oracle = {figure.name: figure.caption for figure in study_figures(record, "oracle")}
    assert list(free) == [
        "fig-2-regions",
        "consensus-regions",
        "fig-3-over-kappa",
        "fig-4-over-xi",
        "surface",
        "confusion",
        "class-scores",
    ]
    assert list(oracle) == list(free)
    shown = [name for name in free if name != "consensus-regions"]
    assert all("choice of circular" in free[name] for name in shown)
    assert all("target labels" in oracle[name] for name in shown)
    assert "4 of 85 groups are kept by some of them, 2 by all" in free["consensus-regions"]


def test_quartiles_of_the_rest_are_those_of_the_other_cells() -> None:
    rows = [(kappa, xi, kappa + 10 * xi) for kappa in (1, 2) for xi in (1.0, 2.0, 3.0, 4.0, 5.0)]
    table = pd.DataFrame(rows, columns=["params.kappa", "params.xi", "metrics.macro_f1"])
    summary = summarise_rest(table[table["params.xi"] != 5.0], "kappa", "metrics.macro_f1")
    assert summary.index.tolist() == [1, 2]
    assert summary["n"].tolist() == [4, 4]
    np.testing.assert_allclose(summary.loc[1, ["low", "middle", "high"]].astype(float), [18.5, 26, 33.5])


def test_a_grid_is_saved_as_a_surface_or_a_curve_and_xi_zero_is_drawn(tmp_path: Path, trials: Trials) -> None:
    assert save_surface(trials(kappa=(1, 2, 3), xi=(0.0, 0.01, 1.0)), tmp_path / "surface.png", "with ξ = 0")
    assert save_surface(trials(n_components=(1, 2, 3)), tmp_path / "curve.pdf", "one setting", "circular")
    assert (tmp_path / "surface.png").stat().st_size > 5000
    assert (tmp_path / "curve.pdf").stat().st_size > 5000
    assert not save_surface(trials(), tmp_path / "none.png", "no setting")


def test_a_grid_is_told_from_scattered_trials(paper_grid: pd.DataFrame) -> None:
    over = ("kappa", "xi")
    assert is_grid(paper_grid, over)
    assert not is_grid(paper_grid.head(1), over)
    assert not is_grid(paper_grid[paper_grid["params.kappa"] == 3], over)
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


def test_class_scores_and_counts_come_from_the_predictions() -> None:
    scores = score(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
    table = class_scores(scores, CLASS_NAMES)
    assert table.loc["negative"].tolist() == [50, 100]
    assert table.loc["surprise"].tolist() == [0, 0]
    assert predicted_counts("0110z", ["a"])["samples"].tolist() == [2, 2, *[0] * 33, 1]


def test_importances_name_the_parameter_that_matters(trials: Trials, record_factory: Factory) -> None:
    rng = np.random.default_rng(0)
    table = trials(kappa=rng.permutation(85)[:10] + 1, xi=10 ** rng.uniform(-3, 3, 8))
    table[RULE + "circular"] = table["params.kappa"] / 85
    spec = record_factory(table, sampler="tpe", objective="circular", grid=[{"xi": [1e-3, 1e3]}]).spec
    assert parameter_importances(spec, table, "circular")["kappa"] > 0.8
    assert parameter_importances(spec, table.head(2), "circular") == {}
    assert parameter_importances(spec, table.assign(**{RULE + "circular": 0.5}), "circular") == {}
    chosen = table.loc[table[RULE + "circular"].idxmax()]
    assert draw_history(table, "circular").axes[0].lines[-1].get_xdata() == [chosen["number"]]


def test_the_same_results_give_the_same_bytes(trials: Trials) -> None:
    table = trials(n_components=(1, 2, 3))
    first, second = (draw_over(table, "oracle", "n_components") for _ in range(2))
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
    cut = tmp_path / "cut.png"
    cut.write_bytes((tmp_path / "img2.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"cut\.png"):
        read_face(cut)
