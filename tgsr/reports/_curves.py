"""Scores over one setting (the paper's Fig. 3 and 4 for κ and ξ), with what the rest of the grid gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.remarks import show_setting, symbol
from tgsr.reports._axes import as_shown, is_log, same, score_label, score_panels, scores_of, set_axis, varied
from tgsr.reports._style import BLUE, GREY, ORANGE, VERMILLION, styled

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
    known = np.isfinite(table[scores_of(table)].to_numpy(dtype=np.float64)).all(axis=1) & table[along].notna()
    table, chosen = as_shown(table[known]), as_shown(pd.DataFrame([best]))
    others = [name for name in varied(table) if name != along]
    cut = same(table, best, others)
    figure, panels = score_panels(table, 2.75, title)
    for axis, metric in panels:
        _draw_rest(axis, table[~cut], along, metric, symbol(others[0]) if len(others) == 1 else "settings")
        own = table[cut].sort_values(along)
        if len(own) > 1:
            look: dict[str, Any] = {"ls": "-"} if connected else {"ls": "", "marker": "o", "ms": 3.5, "mew": 0}
            axis.plot(own[along], own[metric], color=BLUE, label=_cut_name(best, others), zorder=3, **look)
        mark: dict[str, Any] = {"color": VERMILLION, "ms": 5, "zorder": 4, "clip_on": False}
        axis.plot(chosen[along], chosen[metric], "o", label=f"chosen: {show_setting(along, best[along])}", **mark)
        set_axis(axis, "x", along, table[along])
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


def _half_decades(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of each value's half decade; 0 stays 0."""
    positive = values > 0
    middles = np.zeros_like(values)
    middles[positive] = 10 ** ((np.floor(2 * np.log10(values[positive])) + 0.5) / 2)
    return middles


def _cut_name(best: Mapping[str, Any], others: list[str]) -> str:
    if len(others) == 1 and isinstance(best[others[0]], (int, float)):
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
