"""Scores over one setting (the paper's Fig. 3 and 4 for κ and ξ), with what the rest of the grid gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.best import setting_columns
from tgsr.reports._axes import is_log, same, scores_of, set_axis, symbol
from tgsr.reports._style import BLUE, COLUMN, GREY, ORANGE, PAGE, VERMILLION, new_figure, score_label, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_over", "summarise_rest"]

_FEW = 5
"""Fewer scores than this have no quartiles worth drawing."""


@styled
def draw_over(
    table: pd.DataFrame, best: Mapping[str, Any], along: str, title: str = "", *, connected: bool = True
) -> Figure:
    """Draw the scores over one setting, the others as chosen; median and quartiles over all other values of these.

    Parameters
    ----------
    table : DataFrame
        A row a trial: its settings, and ``macro_f1, accuracy`` (fractions), or only ``selection_value``.
    best : mapping
        The chosen row.
    along : str
        The setting on the x axis.
    title : str
    connected : bool
        Whether lines join the trials, as on a grid; between a few far trials they would show what nobody computed.
    """
    metrics = scores_of(table)
    table = table[np.isfinite(table[metrics].to_numpy(dtype=np.float64)).all(axis=1) & table[along].notna()]
    others = [name for name in setting_columns(table) if name != along and table[name].nunique(dropna=False) > 1]
    cut = same(table, best, others)
    figure = new_figure(PAGE if len(metrics) > 1 else COLUMN, 2.75)
    for axis, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        label, factor = score_label(metric)
        names = " and ".join(map(symbol, others)) if len(others) < 3 else "settings"
        _draw_rest(axis, table[~cut], along, metric, factor, names)
        _draw_cut(axis, table[cut].sort_values(along), along, metric, factor, _cut_name(best, others), connected)
        chosen = f"chosen: {symbol(along)} = {best[along]:.4g}"
        look: dict[str, Any] = {"color": VERMILLION, "ms": 5, "zorder": 4, "clip_on": False}
        axis.plot(best[along], factor * best[metric], "o", label=chosen, **look)
        set_axis(axis, "x", along, table[along])
        axis.grid(visible=True, axis="y")
        axis.set_axisbelow(True)
        axis.set_ylabel(label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(metrics) > 1 else 1)
    if title:
        figure.suptitle(title)
    return figure


def summarise_rest(table: pd.DataFrame, along: str, metric: str) -> pd.DataFrame:
    """Quartiles of a score along one setting.

    Returns
    -------
    DataFrame
        Columns ``at, low, middle, high, n``: position, quartiles and number of rows. Values on a log axis that hardly
        repeat (a sampled study) are taken together by half decades.
    """
    places = table[along].to_numpy(dtype=np.float64)
    if is_log(along, places) and len(table) < _FEW * table[along].nunique():
        places = _half_decades(places)
    grouped = table[metric].astype(float).groupby(places)
    quartiles = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    summary = pd.DataFrame(quartiles.to_numpy(), columns=["low", "middle", "high"])
    summary.insert(0, "at", quartiles.index.to_numpy(dtype=np.float64))
    summary["n"] = grouped.size().to_numpy()
    return summary


def _half_decades(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of each value's half decade; 0 stays 0."""
    positive = values > 0
    middles = np.zeros_like(values)
    middles[positive] = 10 ** ((np.floor(2 * np.log10(values[positive])) + 0.5) / 2)
    return middles


def _cut_name(best: Mapping[str, Any], others: list[str]) -> str:
    if len(others) == 1 and isinstance(best[others[0]], (int, float)):
        return f"at the chosen {symbol(others[0])} = {best[others[0]]:.4g}"
    return "the others as chosen" if others else "all trials"


def _draw_cut(
    axis: Axes, cut: pd.DataFrame, along: str, metric: str, factor: float, label: str, connected: bool
) -> None:
    if len(cut) > 1:
        look: dict[str, Any] = {"ls": "-"} if connected else {"ls": "", "marker": "o", "ms": 3.5, "mew": 0}
        axis.plot(cut[along], factor * cut[metric], color=BLUE, label=label, zorder=3, **look)


def _draw_rest(axis: Axes, rest: pd.DataFrame, along: str, metric: str, factor: float, others: str) -> None:
    if rest.empty:
        return
    summary = summarise_rest(rest, along, metric)
    if len(summary) < 2 or summary["n"].median() < _FEW:  # too few trials for quartiles: show them all
        look: dict[str, Any] = {"color": GREY, "ms": 2.5, "mew": 0, "alpha": 0.7}
        axis.plot(rest[along], factor * rest[metric], "o", label="the other trials", **look)
        return
    low, middle, high = (factor * summary[name] for name in ("low", "middle", "high"))
    axis.fill_between(
        summary["at"], low, high, color=ORANGE, alpha=0.25, lw=0, label=f"quartiles over the other {others}"
    )
    axis.plot(summary["at"], middle, color=ORANGE, ls="--", label=f"median over the other {others}")
