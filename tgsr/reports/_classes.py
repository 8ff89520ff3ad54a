"""What happens to each class: confusion matrices, recall and precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.metrics import Scores
from tgsr.reports.style import BLUE, COLOURMAP, COLUMN, ORANGE, new_figure, styled
from tgsr.trials.trial import decode_predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_scores", "draw_bars", "draw_confusion", "predicted_counts"]


@styled
def draw_confusion(counts: npt.NDArray[np.int64], class_names: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix (rows are true classes): counts, coloured by the share of each true class."""
    from sklearn.metrics import ConfusionMatrixDisplay

    figure = new_figure(COLUMN, 2.7)
    axis = figure.subplots()
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    short = [name[:3] + "." if len(name) > 4 else name for name in class_names]
    shown = ConfusionMatrixDisplay(shares, display_labels=short)
    shown.plot(ax=axis, cmap=COLOURMAP, colorbar=False, im_kw={"vmin": 0, "vmax": 100}, text_kw={"fontsize": 7})
    for text, count, share in zip(shown.text_.ravel(), counts.ravel(), shares.ravel(), strict=True):
        text.set_text(f"{count}\n{share:.0f} %")
    axis.set(title=title, xlabel="predicted", ylabel="true")
    axis.tick_params(length=0)
    figure.colorbar(shown.im_, ax=axis, label="share of the true class (%)", aspect=30, pad=0.02)
    return figure


@styled
def draw_bars(bars: pd.DataFrame, label: str, title: str = "") -> Figure:
    """Bars with their numbers: a place on the x axis for each row, a colour for each of at most two columns."""
    figure = new_figure(COLUMN, 2.4, title)
    axis = figure.subplots()
    width, middle = 0.76 / bars.shape[1], (bars.shape[1] - 1) / 2
    for number, (name, colour) in enumerate(zip(bars, (BLUE, ORANGE), strict=False)):
        places = np.arange(len(bars)) + (number - middle) * width
        drawn = axis.bar(places, bars[name], 0.95 * width, color=colour, label=name)
        axis.bar_label(drawn, fmt="%.0f", fontsize=7, padding=1)
    axis.set_xticks(range(len(bars)), bars.index.tolist())
    axis.set(ylabel=label, axisbelow=True)
    axis.margins(y=0.1)
    axis.grid(visible=True, axis="y")
    if bars.shape[1] > 1:
        figure.legend(loc="outside lower center", ncols=bars.shape[1])
    return figure


def class_scores(scores: Scores[float], class_names: Sequence[str]) -> pd.DataFrame:
    """Recall and precision of each class in per cent: a row a class."""
    columns = {"recall": 100 * scores.class_recall, "precision": 100 * scores.class_precision}
    return pd.DataFrame(columns, index=pd.Index(class_names))


def predicted_counts(predictions: str, class_names: Sequence[str]) -> pd.DataFrame:
    """How many target samples are predicted to be of each class, from a trial's ``predictions`` (base-36 digits)."""
    counts = np.bincount(decode_predictions(predictions), minlength=len(class_names))
    names = [*class_names, *(f"class {code}" for code in range(len(class_names), len(counts)))]
    return pd.DataFrame({"samples": counts}, index=names)
