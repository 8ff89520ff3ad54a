"""Scores over κ and over ξ (the paper's Fig. 3 and 4), with what the rest of the grid gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.reports.style import BLUE, GREY, ORANGE, PAGE, VERMILLION, new_figure, score_label, styled
from tgsr.reports.surface import is_grid, set_kappa_axis, set_xi_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_over_kappa", "draw_over_xi", "summarise_rest"]

_FEW = 5
"""Fewer scores than this have no quartiles worth drawing."""


@styled
def draw_over_kappa(table: pd.DataFrame, best: pd.Series, title: str = "") -> Figure:
    """Fig. 3: macro-F1 and accuracy over κ at the best ξ; median and quartiles over the other ξ.

    Parameters
    ----------
    table : DataFrame
        With the columns ``kappa, xi, macro_f1, accuracy``; scores are fractions.
    best : Series
        The chosen row.
    title : str
    """
    return _draw(table, best, "kappa", "xi", title)


@styled
def draw_over_xi(table: pd.DataFrame, best: pd.Series, title: str = "") -> Figure:
    """Fig. 4: macro-F1 and accuracy over ξ (log axis) at the best κ; median and quartiles over the other κ."""
    return _draw(table, best, "xi", "kappa", title)


def summarise_rest(table: pd.DataFrame, along: str, metric: str) -> pd.DataFrame:
    """Quartiles of a score along one axis of the grid.

    Parameters
    ----------
    table : DataFrame
        The rows of the rest of the grid.
    along : {"kappa", "xi"}
    metric : str

    Returns
    -------
    DataFrame
        Columns ``at, low, middle, high, n``: position, quartiles and number of rows. Values of ξ that hardly repeat
        (a sampled study) are taken together by half decades.
    """
    places = table[along].to_numpy(dtype=np.float64)
    if along == "xi" and len(table) < _FEW * table["xi"].nunique():
        places = _half_decades(places)
    grouped = table[metric].astype(float).groupby(places)
    quartiles = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    summary = pd.DataFrame(quartiles.to_numpy(), columns=["low", "middle", "high"])
    summary.insert(0, "at", quartiles.index.to_numpy(dtype=np.float64))
    summary["n"] = grouped.size().to_numpy()
    return summary


def _half_decades(xis: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of each value's half decade; 0 stays 0."""
    positive = xis > 0
    middles = np.zeros_like(xis)
    middles[positive] = 10 ** ((np.floor(2 * np.log10(xis[positive])) + 0.5) / 2)
    return middles


def _draw(table: pd.DataFrame, best: pd.Series, along: str, across: str, title: str) -> Figure:
    figure = new_figure(PAGE, 2.75)
    table = table[np.isfinite(table["macro_f1"]) & np.isfinite(table["accuracy"])]
    symbol = {"kappa": "κ", "xi": "ξ"}
    for axis, metric in zip(figure.subplots(1, 2), ("macro_f1", "accuracy"), strict=True):
        label, factor = score_label(metric)
        _draw_rest(axis, table[table[across] != best[across]], along, metric, factor, symbol[across])
        cut = table[table[across] == best[across]].sort_values(along)
        if len(cut) > 1:
            at_best = f"at the chosen {symbol[across]} = {best[across]:.4g}"
            # a line between a few far trials would show what was never computed
            look: dict[str, Any] = {"ls": "-"} if is_grid(table) else {"ls": "", "marker": "o", "ms": 3.5, "mew": 0}
            axis.plot(cut[along], factor * cut[metric], color=BLUE, label=at_best, zorder=3, **look)
        axis.plot(
            best[along],
            factor * best[metric],
            "o",
            color=VERMILLION,
            ms=5,
            zorder=4,
            clip_on=False,
            label=f"chosen: {symbol[along]} = {best[along]:.4g}",
        )
        if along == "xi":
            set_xi_axis(axis, table["xi"].to_numpy(dtype=np.float64))
        else:
            set_kappa_axis(axis.xaxis)
        axis.grid(visible=True, axis="y")
        axis.set_axisbelow(True)
        axis.set_ylabel(label)
        axis.set_xlabel({"kappa": "κ, groups kept", "xi": "ξ, weight of the domain term"}[along])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    if title:
        figure.suptitle(title)
    return figure


def _draw_rest(axis: Axes, rest: pd.DataFrame, along: str, metric: str, factor: float, other: str) -> None:
    if rest.empty:
        return
    summary = summarise_rest(rest, along, metric)
    if len(summary) < 2 or summary["n"].median() < _FEW:  # too few trials for quartiles: show them all
        axis.plot(
            rest[along], factor * rest[metric], "o", color=GREY, ms=2.5, mew=0, alpha=0.7, label="the other trials"
        )
        return
    band = f"quartiles over the other {other}"
    axis.fill_between(
        summary["at"], factor * summary["low"], factor * summary["high"], color=ORANGE, alpha=0.25, lw=0, label=band
    )
    axis.plot(summary["at"], factor * summary["middle"], color=ORANGE, ls="--", label=f"median over the other {other}")
