"""Scores over settings: curves over one (the paper's Fig. 3 and 4 for κ and ξ), surfaces over two, and their axes.

A ``table`` has a row a trial: its settings, and ``macro_f1, accuracy`` (fractions), or only ``selection_value``;
``best`` is the row that was chosen; ``over`` are the settings on the y and on the x axis.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.choice import best_trial, setting_columns
from tgsr.evaluation.remarks import show_setting, show_settings, symbol
from tgsr.reports._style import (
    BLUE,
    COLUMN,
    GREY,
    METRICS,
    ORANGE,
    PAGE,
    VERMILLION,
    new_figure,
    save_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "as_shown",
    "axis_label",
    "choices",
    "draw_over",
    "draw_surface",
    "is_grid",
    "is_log",
    "numbers",
    "save_surface",
    "score_label",
    "scores_of",
    "summarise_rest",
    "surface_part",
]

_LABELS = {"kappa": "κ, groups kept", "xi": "ξ, weight of the domain term", "n_components": "number of components"}
_FEW = 5
"""Fewer scores than this have no quartiles worth drawing."""


def _varied(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value."""
    return [name for name in setting_columns(table) if table[name].nunique(dropna=False) > 1]


def numbers(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are numbers."""
    return [name for name in _varied(table) if _is_number(table[name])]


def choices(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are names, truth values or absent."""
    return [name for name in _varied(table) if not _is_number(table[name])]


def scores_of(table: pd.DataFrame) -> list[str]:
    """What trials are drawn by: the scores on the target, or the rule's value where the target has no labels."""
    known = [name for name in METRICS if name in table and table[name].notna().any()]
    return known or ["selection_value"]


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table with accuracy in per cent."""
    return table.assign(accuracy=100 * table["accuracy"]) if "accuracy" in table else table


def score_label(metric: str) -> str:
    """What an axis calls a score."""
    return METRICS.get(metric, "selection value")


def _same(table: pd.DataFrame, row: Mapping[str, Any], names: list[str]) -> pd.Series:
    """Which trials have a row's settings of these names; what is absent equals what is absent."""
    equal = pd.Series(data=True, index=table.index)
    for name in names:
        equal &= table[name].isna() if pd.isna(row[name]) else table[name] == row[name]
    return equal


def axis_label(name: str) -> str:
    """What an axis calls a setting."""
    return _LABELS.get(name, symbol(name))


def is_log(name: str, values: npt.NDArray[np.float64]) -> bool:
    """Whether an axis of these values needs a log scale: ξ over a decade, and real numbers over two."""
    positive = values[values > 0]
    whole = name != "xi" and bool((values == np.round(values)).all())
    decades = 1 if name == "xi" else 2
    return len(positive) > 0 and not whole and float(positive.max()) >= 10**decades * float(positive.min())


def _set_axis(axis: Axes, which: str, name: str, column: pd.Series) -> None:
    """Give an axis (``which`` is ``"x"`` or ``"y"``) the scale and the label of a setting.

    A log axis has a linear part below the smallest positive value when 0 is among the values. Whole numbers have whole
    ticks.
    """
    from matplotlib.ticker import MaxNLocator

    values = column.dropna().to_numpy(dtype=np.float64)
    axis.set(**{f"{which}label": axis_label(name)})
    if is_log(name, values):
        linear_part: dict[str, Any] = {"value": "symlog", "linthresh": float(values[values > 0].min())}
        getattr(axis, f"set_{which}scale")(**linear_part if (values <= 0).any() else {"value": "log"})
    else:
        whole = bool((values == np.round(values)).all())
        ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1)
        getattr(axis, f"{which}axis").set_major_locator(ticks)


def _score_panels(
    table: pd.DataFrame, height: float, title: str, *, sharey: bool = False
) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with an axis beside the other for each score of a table, and the name of the score."""
    metrics = scores_of(table)
    figure = new_figure(PAGE if len(metrics) > 1 else COLUMN, height, title)
    axes = figure.subplots(1, len(metrics), sharey=sharey, squeeze=False)[0]
    return figure, list(zip(axes, metrics, strict=True))


@styled
def draw_over(
    table: pd.DataFrame, best: Mapping[str, Any], along: str, title: str = "", *, connected: bool = True
) -> Figure:
    """Draw the scores over one setting, the others as chosen; median and quartiles over all other values of these.

    Lines join the trials if they are ``connected``, as on a grid; between a few far trials they would show what nobody
    computed.
    """
    known = np.isfinite(table[scores_of(table)].to_numpy(dtype=np.float64)).all(axis=1) & table[along].notna()
    table, chosen = as_shown(table[known]), as_shown(pd.DataFrame([best]))
    others = [name for name in _varied(table) if name != along]
    cut = _same(table, best, others)
    figure, panels = _score_panels(table, 2.75, title)
    for axis, metric in panels:
        _draw_rest(axis, table[~cut], along, metric, symbol(others[0]) if len(others) == 1 else "settings")
        own = table[cut].sort_values(along)
        if len(own) > 1:
            look: dict[str, Any] = {"ls": "-"} if connected else {"ls": "", "marker": "o", "ms": 3.5, "mew": 0}
            axis.plot(own[along], own[metric], color=BLUE, label=_cut_name(best, others), zorder=3, **look)
        mark: dict[str, Any] = {"color": VERMILLION, "ms": 5, "zorder": 4, "clip_on": False}
        axis.plot(chosen[along], chosen[metric], "o", label=f"chosen: {show_setting(along, best[along])}", **mark)
        _set_axis(axis, "x", along, table[along])
        axis.set(ylabel=score_label(metric), axisbelow=True)
        axis.grid(visible=True, axis="y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(panels) > 1 else 1)
    return figure


def summarise_rest(table: pd.DataFrame, along: str, metric: str) -> pd.DataFrame:
    """Quartiles of a score along one setting.

    Returns
    -------
    DataFrame
        Index: the positions; columns ``low, middle, high, n``: quartiles and number of rows. Values on a log axis that
        hardly repeat (a sampled study) are taken together by half decades.
    """
    places = table[along].to_numpy(dtype=np.float64)
    if is_log(along, places) and len(table) < _FEW * table[along].nunique():
        places = _half_decades(places)
    grouped = table[metric].astype(float).groupby(places)
    quartiles = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    return quartiles.set_axis(["low", "middle", "high"], axis=1).assign(n=grouped.size())


@styled
def draw_surface(table: pd.DataFrame, best: Mapping[str, Any], over: tuple[str, str], title: str = "") -> Figure:
    """Draw the scores over two settings; scattered trials are drawn as points."""
    vertical, horizontal = over
    place = show_settings({name: best[name] for name in over})
    figure, panels = _score_panels(table, 3.1, title, sharey=True)
    for axis, metric in panels:
        drawn = _draw_scores(axis, as_shown(table), over, metric)
        figure.colorbar(drawn, ax=axis, label=score_label(metric), pad=0.02, aspect=30)
        _set_axis(axis, "y", vertical, table[vertical])
        _set_axis(axis, "x", horizontal, table[horizontal])
        for colour, width in (("white", 2.4), ("black", 1)):
            look: dict[str, Any] = {"mfc": "none", "mec": colour, "mew": width, "ms": 8, "clip_on": False}
            axis.plot(best[horizontal], best[vertical], "o", **look)
        value = f"{100 * best[metric]:.2f} %" if metric == "accuracy" else f"{best[metric]:.4f}"
        axis.set_title(f"○ {value} at {place}")
        axis.label_outer()
    return figure


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str) -> bool:
    """Draw a grid's scores, the best cell marked, into a PNG or PDF: a surface over two settings, a curve over one.

    Returns whether there was anything to draw over: a setting that is a number, of which several values were tried.
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
    part: pd.DataFrame = table[_same(table, best, choices(table)) & table[over].notna().all(axis=1)]
    return part


def is_grid(table: pd.DataFrame, over: tuple[str, str]) -> bool:
    """Whether the trials fill most of a grid of at least 2 × 2 cells, so that a surface can be drawn."""
    rows, columns = (table[name].nunique() for name in over)
    return min(rows, columns) > 1 and 2 * len(table) >= rows * columns


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() > 1


def _half_decades(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of each value's half decade; 0 stays 0."""
    positive = values > 0
    middles = np.zeros_like(values)
    middles[positive] = 10 ** ((np.floor(2 * np.log10(values[positive])) + 0.5) / 2)
    return middles


def _cut_name(best: Mapping[str, Any], others: list[str]) -> str:
    if len(others) == 1:
        return f"at the chosen {show_setting(others[0], best[others[0]])}"
    return "the others as chosen" if others else "all trials"


def _draw_rest(axis: Axes, rest: pd.DataFrame, along: str, metric: str, others: str) -> None:
    if rest.empty:
        return
    summary = summarise_rest(rest, along, metric)
    if len(summary) < 2 or summary["n"].median() < _FEW:  # too few trials for quartiles: show them all
        look: dict[str, Any] = {"color": GREY, "ms": 2.5, "mew": 0, "alpha": 0.7}
        axis.plot(rest[along], rest[metric], "o", label="the other trials", **look)
        return
    area: dict[str, Any] = {"color": ORANGE, "alpha": 0.25, "lw": 0}
    label = f"over the other {others}"
    axis.fill_between(summary.index, summary["low"], summary["high"], label=f"quartiles {label}", **area)
    axis.plot(summary.index, summary["middle"], color=ORANGE, ls="--", label=f"median {label}")


def _draw_scores(axis: Axes, table: pd.DataFrame, over: tuple[str, str], metric: str) -> Any:
    vertical, horizontal = over
    if not is_grid(table, over):
        axis.margins(0.06)
        look: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white", "zorder": 2}
        return axis.scatter(table[horizontal], table[vertical], c=table[metric], **look)
    scores = table.pivot_table(index=vertical, columns=horizontal, values=metric)
    return axis.pcolormesh(scores.columns, scores.index, scores, shading="nearest", rasterized=True)
