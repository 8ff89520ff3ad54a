"""What happens to each class: confusion matrices, recall and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.reports._style import BLUE, COLOURMAP, COLUMN, ORANGE, PAGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_scores", "draw_class_scores", "draw_confusions", "draw_predictions", "predicted_counts"]


@styled
def draw_confusions(
    confusions: Sequence[tuple[str, npt.NDArray[np.int64], Sequence[str]]],
) -> Figure:
    """Draw confusion matrices side by side, four a row: counts, coloured by the share of each true class.

    Parameters
    ----------
    confusions : sequence of (title, array of shape (n_classes, n_classes), class names)
        Rows are true classes, columns predicted ones.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from sklearn.metrics import ConfusionMatrixDisplay

    columns = min(len(confusions), 4)
    rows = -(-len(confusions) // columns)
    figure = new_figure(COLUMN if columns == 1 else PAGE, 2.7 if columns == 1 else 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axis in panels.ravel()[len(confusions) :]:
        axis.set_visible(False)
    for index, (axis, (title, counts, names)) in enumerate(zip(panels.flat, confusions, strict=False)):
        counts = np.asarray(counts)
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shown = ConfusionMatrixDisplay(shares, display_labels=[_short(name) for name in names])
        shown.plot(ax=axis, cmap=COLOURMAP, colorbar=False, im_kw={"vmin": 0, "vmax": 100}, text_kw={"fontsize": 7})
        for text, count, share in zip(shown.text_.ravel(), counts.ravel(), shares.ravel(), strict=True):
            text.set_text(f"{count}\n{share:.0f} %")
        axis.set(title=title, xlabel="predicted", ylabel="true" if index % columns == 0 else "")
        axis.tick_params(length=0)
    scale = ScalarMappable(Normalize(0, 100), COLOURMAP)
    figure.colorbar(scale, ax=panels, label="share of the true class (%)", aspect=30, pad=0.02)
    return figure


def class_scores(row: Mapping[str, Any]) -> pd.DataFrame:
    """Recall and precision of each class, in per cent, from a row of scores.

    Returns
    -------
    DataFrame
        Index: the classes that the row knows; columns ``recall, precision``.
    """
    names = [name.removeprefix("recall_") for name in row if name.startswith("recall_")]
    values = [[100 * float(row.get(f"{kind}_{name}", np.nan)) for kind in ("recall", "precision")] for name in names]
    return pd.DataFrame(values, index=names, columns=["recall", "precision"], dtype=float)


def predicted_counts(predictions: str, class_names: Sequence[str]) -> pd.Series:
    """How many target samples are predicted to be of each class, from a trial's ``predictions`` (base-36 digits)."""
    codes = [int(digit, 36) for digit in predictions]
    names = [*class_names, *(f"class {code}" for code in range(len(class_names), max(codes, default=-1) + 1))]
    return pd.Series(np.bincount(codes, minlength=len(names)), index=names)


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


@styled
def draw_predictions(counts: pd.Series, title: str = "") -> Figure:
    """Bars of how many target samples are predicted to be of each class, from `predicted_counts`."""
    figure = new_figure(COLUMN, 2.0)
    axis = figure.subplots()
    axis.bar_label(axis.bar(counts.index.tolist(), counts, 0.5, color=BLUE), fontsize=7, padding=1)
    axis.set_ylabel("predicted samples")
    axis.margins(y=0.15)
    if title:
        axis.set_title(title)
    return figure


def _short(name: str) -> str:
    return name[:3] + "." if len(name) > 4 else name
