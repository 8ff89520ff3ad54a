"""Score surfaces over two settings, such as (κ, ξ) or (λ, μ)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from tgsr.evaluation.best import best_trial
from tgsr.evaluation.remarks import show_settings
from tgsr.reports._axes import as_shown, choices, numbers, same, score_label, score_panels, set_axis
from tgsr.reports._curves import draw_over
from tgsr.reports._style import save_figure, styled

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
    vertical, horizontal = over
    place = show_settings({name: chosen[name] for name in over})
    figure, panels = score_panels(table, 3.1, title, sharey=True)
    for axis, metric in panels:
        drawn = _draw_scores(axis, as_shown(table), over, metric)
        figure.colorbar(drawn, ax=axis, label=score_label(metric), pad=0.02, aspect=30)
        set_axis(axis, "y", vertical, table[vertical])
        set_axis(axis, "x", horizontal, table[horizontal])
        for colour, width in (("white", 2.4), ("black", 1)):
            look: dict[str, Any] = {"mfc": "none", "mec": colour, "mew": width, "ms": 8, "clip_on": False}
            axis.plot(chosen[horizontal], chosen[vertical], "o", **look)
        value = f"{100 * chosen[metric]:.2f} %" if metric == "accuracy" else f"{chosen[metric]:.4f}"
        axis.set_title(f"○ {value} at {place}")
        axis.label_outer()
    return figure


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str) -> bool:
    """Draw a grid's scores, the best cell marked, into a file: a surface over two settings, a curve over one.

    Parameters
    ----------
    table : DataFrame
        A row a cell.
    path : path
        Written in one step; PNG or PDF by its suffix.
    title : str

    Returns
    -------
    bool
        Whether there was anything to draw over: a setting that is a number, of which several values were tried.
    """
    best, over = best_trial(table).row, numbers(table)
    if len(over) == 2:
        figure = draw_surface(surface_part(table, best), best, (over[0], over[1]), title)
    elif over:
        figure = draw_over(table, best, over[0], title)
    else:
        return False
    save_figure(figure, path, dpi=160)
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


def _draw_scores(axis: Axes, table: pd.DataFrame, over: tuple[str, str], metric: str) -> Any:
    vertical, horizontal = over
    if not is_grid(table, over):
        axis.margins(0.06)
        look: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white", "zorder": 2}
        return axis.scatter(table[horizontal], table[vertical], c=table[metric], **look)
    scores = table.pivot_table(index=vertical, columns=horizontal, values=metric)
    return axis.pcolormesh(scores.columns, scores.index, scores, shading="nearest", rasterized=True)
