"""Score surfaces over two settings, such as (κ, ξ) or (λ, μ)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.evaluation.best import best_trial
from tgsr.evaluation.remarks import show_setting
from tgsr.reports._axes import choices, numbers, same, scores_of, set_axis
from tgsr.reports._curves import draw_over
from tgsr.reports._style import COLUMN, PAGE, new_figure, save_figure, score_label, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_surface", "is_grid", "save_surface", "surface_part"]


@styled
def draw_surface(table: pd.DataFrame, chosen: Mapping[str, Any], over: tuple[str, str], title: str = "") -> Figure:
    """Draw the scores over two settings; scattered trials are drawn as points.

    Parameters
    ----------
    table : DataFrame
        A row a trial: its settings, and ``macro_f1, accuracy`` (fractions), or only ``selection_value``.
    chosen : mapping
        The row to mark.
    over : tuple of str
        The settings on the y and on the x axis.
    title : str
    """
    metrics, (vertical, horizontal) = scores_of(table), over
    figure = new_figure(PAGE if len(metrics) > 1 else COLUMN, 3.1)
    for axis, metric in zip(figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0], metrics, strict=True):
        label, factor = score_label(metric)
        drawn = _draw_scores(axis, table, over, metric, factor)
        figure.colorbar(drawn, ax=axis, label=label, pad=0.02, aspect=30)
        set_axis(axis, "y", vertical, table[vertical])
        set_axis(axis, "x", horizontal, table[horizontal])
        for colour, width in (("white", 2.4), ("black", 1)):
            look: dict[str, Any] = {"mfc": "none", "mec": colour, "mew": width, "ms": 8, "clip_on": False}
            axis.plot(chosen[horizontal], chosen[vertical], "o", **look)
        value = factor * chosen[metric]
        shown = f"{value:.2f} %" if metric == "accuracy" else f"{value:.4f}"
        axis.set_title(f"○ {shown} at {', '.join(show_setting(name, chosen[name]) for name in over)}")
        axis.label_outer()
    if title:
        figure.suptitle(title)
    return figure


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str) -> bool:
    """Draw a grid's scores, the best cell marked, into a file: a surface over two settings, a curve over one.

    Parameters
    ----------
    table : DataFrame
        A row a cell.
    path : path
        Written in one step; PNG, SVG or PDF by its suffix.
    title : str

    Returns
    -------
    bool
        Whether there was anything to draw over: a setting that is a number, of which several values were tried.
    """
    best, over = best_trial(table).row, numbers(table)
    if not over:
        return False
    if len(over) == 2:
        part = surface_part(table, best)
        save_figure(draw_surface(part, best, (over[0], over[1]), title), path, dpi=160)
    else:
        save_figure(draw_over(table, best, over[0], title), path, dpi=160)
    return True


def surface_part(table: pd.DataFrame, best: Mapping[str, Any]) -> pd.DataFrame:
    """The trials that one surface can show: those with the chosen values of settings that are no numbers."""
    over = numbers(table)
    part: pd.DataFrame = table[same(table, best, choices(table)) & table[over].notna().all(axis=1)]
    return part


def is_grid(table: pd.DataFrame, over: tuple[str, str]) -> bool:
    """Whether the trials fill most of a grid of at least 2 × 2 cells, so that a surface can be drawn."""
    rows, columns = (table[name].nunique() for name in over)
    return min(rows, columns) > 1 and 2 * len(table) >= rows * columns


def _draw_scores(axis: Axes, table: pd.DataFrame, over: tuple[str, str], metric: str, factor: float) -> Any:
    vertical, horizontal = over
    if not is_grid(table, over):
        axis.margins(0.06)
        look: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white", "zorder": 2}
        return axis.scatter(table[horizontal], table[vertical], c=factor * table[metric], **look)
    scores = table.pivot_table(index=vertical, columns=horizontal, values=metric)
    places = [scores.columns.to_numpy(dtype=np.float64), scores.index.to_numpy(dtype=np.float64)]
    return axis.pcolormesh(*places, factor * scores.to_numpy(), shading="nearest", rasterized=True)
