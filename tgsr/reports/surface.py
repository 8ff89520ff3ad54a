"""Score surfaces over (κ, ξ), from a stored grid."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.reports.style import PAGE, new_figure, save_figure, score_label, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure

__all__ = ["draw_surface", "is_grid", "save_surface", "set_kappa_axis", "set_xi_axis"]


@styled
def draw_surface(
    table: pd.DataFrame, title: str = "", chosen: pd.Series | None = None, choice: str = "the oracle's choice"
) -> Figure:
    """Draw macro-F1 and accuracy over κ and log ξ; scattered trials are drawn as points.

    Parameters
    ----------
    table : DataFrame
        With the columns ``kappa, xi, macro_f1, accuracy``; scores are fractions.
    title : str
    chosen : Series, optional
        The row to mark; by default the first with the largest macro-F1.
    choice : str
        What the mark is called.
    """
    figure = new_figure(PAGE, 3.1)
    if len(table) and chosen is None:
        chosen = table.iloc[int(table["macro_f1"].to_numpy().argmax())]
    for axis, metric in zip(figure.subplots(1, 2, sharey=True), ("macro_f1", "accuracy"), strict=True):
        label, factor = score_label(metric)
        drawn = _draw_scores(axis, table, metric, factor)
        figure.colorbar(drawn, ax=axis, label=label, pad=0.02, aspect=30)
        set_xi_axis(axis, table["xi"].to_numpy(dtype=np.float64))
        if chosen is not None:
            axis.plot(chosen["xi"], chosen["kappa"], "o", mfc="none", mec="white", ms=8, mew=2.4, clip_on=False)
            axis.plot(chosen["xi"], chosen["kappa"], "o", mfc="none", mec="black", ms=8, mew=1, clip_on=False)
            value = factor * chosen[metric]
            shown = f"{value:.2f} %" if metric == "accuracy" else f"{value:.4f}"
            axis.set_title(f"○ {shown} at κ = {int(chosen['kappa'])}, ξ = {chosen['xi']:.4g}")
        axis.set_xlabel("ξ, weight of the domain term")
        axis.label_outer()
        set_kappa_axis(axis.yaxis)
    figure.axes[0].set_ylabel("κ, groups kept")
    if title:
        figure.suptitle(f"{title}: scores on the target (○ {choice})")
    return figure


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str) -> None:
    """Draw macro-F1 and accuracy over κ and log ξ, the oracle's choice marked, into a file.

    Parameters
    ----------
    table : DataFrame
        With the columns ``kappa, xi, macro_f1, accuracy``.
    path : path
        Written in one step; PNG, SVG or PDF by its suffix.
    title : str
    """
    save_figure(draw_surface(table, title), path, dpi=160)


def is_grid(table: pd.DataFrame) -> bool:
    """Whether the trials fill most of a grid of at least 2 × 2 cells, so that a surface can be drawn."""
    n_kappas, n_xis = table["kappa"].nunique(), table["xi"].nunique()
    return min(n_kappas, n_xis) > 1 and 2 * len(table) >= n_kappas * n_xis


def set_xi_axis(axis: Axes, xis: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Give the x axis a log scale; with a linear part below the smallest positive ξ when ξ = 0 is among them.

    Decades are the ticks; where ξ spans less than one, round numbers are.
    """
    positive = xis[xis > 0]
    if len(positive) == 0:
        return
    least, most = float(positive.min()), float(positive.max())
    with_zero = bool((xis <= 0).any())
    if with_zero:
        axis.set_xscale("symlog", linthresh=least)
    else:
        axis.set_xscale("log")
    if most < 10 * least:
        ticks = [0.0] * with_zero + _round_numbers(least, most)
        axis.set_xticks(ticks, [f"{tick:.6g}" for tick in ticks])
        axis.set_xticks([], minor=True)


def set_kappa_axis(axis: XAxis | YAxis) -> None:
    """Let an axis of κ have whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _round_numbers(least: float, most: float) -> list[float]:
    """Some numbers of few digits in a part of a decade, ends included; the number itself if the ends are one."""
    from matplotlib.ticker import MaxNLocator

    if least == most:
        return [least]
    if most >= 3 * least:
        decade = 10 ** np.floor(np.log10(least))
        candidates = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0]) * decade
    else:
        candidates = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(least, most)
    return [float(tick) for tick in candidates if least * (1 - 1e-9) <= tick <= most * (1 + 1e-9)]


def _draw_scores(axis: Axes, table: pd.DataFrame, metric: str, factor: float) -> Any:
    if is_grid(table):
        scores = table.pivot_table(index="kappa", columns="xi", values=metric)
        return axis.pcolormesh(
            scores.columns.to_numpy(dtype=np.float64),
            scores.index.to_numpy(dtype=np.float64),
            factor * scores.to_numpy(),
            shading="nearest",
            rasterized=True,
        )
    axis.margins(0.06)
    return axis.scatter(
        table["xi"], table["kappa"], c=factor * table[metric], s=16, linewidths=0.3, edgecolors="white", zorder=2
    )
