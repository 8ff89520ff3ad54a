"""What happens to each class: confusion matrices, recall and precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.protocols import CLASS_NAMES
from tgsr.reports.style import BLUE, COLUMN, ORANGE, PAGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["class_scores", "draw_class_scores", "draw_confusions"]


@styled
def draw_confusions(
    confusions: Sequence[tuple[str, npt.NDArray[np.int64]]], class_names: Sequence[str] = CLASS_NAMES
) -> Figure:
    """Draw confusion matrices side by side, four a row: counts, and the share of each true class.

    Parameters
    ----------
    confusions : sequence of (title, array of shape (n_classes, n_classes))
        Rows are true classes, columns predicted ones.
    class_names : sequence of str
    """
    columns = min(len(confusions), 4)
    rows = -(-len(confusions) // columns)
    figure = new_figure(COLUMN if columns == 1 else PAGE, 2.7 if columns == 1 else 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axis in panels.ravel()[len(confusions) :]:
        axis.set_visible(False)
    for index, (title, counts) in enumerate(confusions):
        axis = panels.ravel()[index]
        drawn = _draw_matrix(axis, np.asarray(counts), class_names)
        axis.set_title(title)
        axis.set_xlabel("predicted")
        if index % columns == 0:
            axis.set_ylabel("true")
        else:
            axis.set_yticklabels([])
    figure.colorbar(drawn, ax=panels, label="share of the true class (%)", aspect=30, pad=0.02)
    return figure


def class_scores(row: pd.Series, class_names: Sequence[str] = CLASS_NAMES) -> pd.DataFrame:
    """Recall and precision of each class, in per cent, from a row of scores.

    Returns
    -------
    DataFrame
        Index: those of the classes that the row knows; columns ``recall, precision``.
    """
    known = [name for name in class_names if f"recall_{name}" in row and f"precision_{name}" in row]
    values = [[100 * float(row[f"{kind}_{name}"]) for kind in ("recall", "precision")] for name in known]
    return pd.DataFrame(values, index=known, columns=["recall", "precision"])


@styled
def draw_class_scores(scores: pd.DataFrame, title: str = "") -> Figure:
    """Bars of each class's recall and precision (per cent), from `class_scores`."""
    figure = new_figure(COLUMN, 2.4)
    axis = figure.subplots()
    places = np.arange(len(scores))
    for offset, kind, colour in ((-0.19, "recall", BLUE), (0.19, "precision", ORANGE)):
        bars = axis.bar(places + offset, scores[kind], 0.36, color=colour, label=kind)
        axis.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    axis.set_xticks(places, scores.index.tolist())
    axis.set_ylim(0, 108)
    axis.set_yticks(range(0, 101, 20))
    axis.set_ylabel("recall, precision (%)")
    axis.grid(visible=True, axis="y")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2)
    if title:
        axis.set_title(title)
    return figure


def _draw_matrix(axis: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> Any:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    drawn = axis.imshow(shares, vmin=0, vmax=100, cmap="cividis")
    for i, j in np.ndindex(counts.shape):
        colour = "black" if shares[i, j] > 55 else "white"
        axis.text(j, i, f"{counts[i, j]}\n{shares[i, j]:.0f} %", ha="center", va="center", color=colour, fontsize=7)
    short = [name[:3] + "." if len(name) > 4 else name for name in class_names]
    axis.set_xticks(range(len(short)), short)
    axis.set_yticks(range(len(short)), short)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return drawn
