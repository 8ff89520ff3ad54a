"""The scores of the paper, and the one list of metrics that tables, views, pages and commands read.

0/0 counts as 0, and every class of the protocol is in the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.names import store_name

__all__ = ["METRICS", "Metric", "Scores", "confusion_matrices", "describe_metric", "score", "score_batch"]


class Metric(NamedTuple):
    """How a metric is shown.

    Attributes
    ----------
    key : str
        Its name on a run, such as ``"macro_f1"``.
    label : str
        Its name for people, such as ``"macro-F1"``.
    digits : int
        Decimals that are shown.
    percent : bool
        Whether a fraction is shown in per cent, as the paper prints accuracy.
    """

    key: str
    label: str
    digits: int = 4
    percent: bool = False

    @property
    def axis(self) -> str:
        """Its label with the unit."""
        return f"{self.label} (%)" if self.percent else self.label

    def show(self, value: Any) -> str:
        """The value with its digits, without the unit; a dash where there is none."""
        if value is None or value != value:
            return "–"
        return f"{100 * value if self.percent else value:.{self.digits}f}"

    def describe(self, value: Any) -> str:
        """Label and value: ``"accuracy 56.34 %"``."""
        return f"{self.label} {self.show(value)}{' %' * self.percent}"


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("macro_f1", "macro-F1"),
        Metric("accuracy", "accuracy", 2, percent=True),
        Metric("recall", "macro-recall", 4),
        Metric("regions_kept", "groups kept", 0),
        Metric("iterations", "iterations", 0),
        Metric("converged", "converged", 0),
        Metric("objective", "objective", 4),
        Metric("fit_seconds", "seconds", 3),
    )
}
"""The metrics that are known, in the order in which they are shown; a method's own come behind them."""


def describe_metric(key: str) -> Metric:
    """How a metric is shown; one that is not in the list, such as a method's own, has its key as label."""
    return METRICS.get(key) or Metric(key, key.replace("_", " "))


Floats = npt.NDArray[np.float64]
Value = TypeVar("Value", float, Floats)


@dataclass(frozen=True, eq=False)
class Scores(Generic[Value]):
    """Scores of one prediction vector, or of m against the same truth: then all have a first axis of m.

    Attributes
    ----------
    confusion : array of shape (n_classes, n_classes)
        Rows are true classes, columns predicted ones.
    accuracy, macro_f1, recall : float
        Fractions in 0…1; ``recall`` is the unweighted (macro) recall.
    class_precision, class_recall : arrays of shape (n_classes,)
    """

    confusion: npt.NDArray[np.int64]
    accuracy: Value
    macro_f1: Value
    recall: Value
    class_precision: Floats
    class_recall: Floats

    def __getitem__(self, index: int) -> Scores[float]:
        own = {name: values[index] for name, values in vars(self).items()}
        return Scores(**{name: value if np.ndim(value) else value.item() for name, value in own.items()})

    def as_metrics(self: Scores[float], class_names: tuple[str, ...]) -> dict[str, float]:
        """Flat metrics for tracking: accuracy, macro_f1, recall, and precision and recall of each class.

        Classes are called there as `tgsr.names.store_name` says.
        """
        metrics = {"accuracy": self.accuracy, "macro_f1": self.macro_f1, "recall": self.recall}
        for index, class_name in enumerate(class_names):
            metrics[f"precision_{store_name(class_name)}"] = float(self.class_precision[index])
            metrics[f"recall_{store_name(class_name)}"] = float(self.class_recall[index])
        return metrics


def confusion_matrices(
    y_true: npt.NDArray[np.int64], y_pred: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    """Confusion matrices of many prediction vectors.

    Parameters
    ----------
    y_true : array of int, shape (n,)
    y_pred : array of int, shape (m, n)
    n_classes : int

    Returns
    -------
    array of int, shape (m, n_classes, n_classes)

    Raises
    ------
    DataError
        If shapes disagree or a class index is out of range.
    """
    if y_pred.ndim != 2 or y_true.shape != y_pred.shape[1:] or y_true.size == 0:
        raise DataError(f"predictions of shape {y_pred.shape} do not fit {y_true.shape} true labels")
    if min(y_true.min(), y_pred.min(initial=0)) < 0 or max(y_true.max(), y_pred.max(initial=0)) >= n_classes:
        raise DataError(f"class indices must be 0…{n_classes - 1}")
    m = len(y_pred)
    cells = (np.arange(m)[:, None] * n_classes + y_true) * n_classes + y_pred
    return np.bincount(cells.ravel(), minlength=m * n_classes**2).reshape(m, n_classes, n_classes)


def score_batch(y_true: npt.NDArray[np.int64], y_pred: npt.NDArray[np.int64], n_classes: int) -> Scores[Floats]:
    """Score m prediction vectors (m, n) against the truth (n,); see `confusion_matrices` for the errors."""
    confusion = confusion_matrices(y_true, y_pred, n_classes)
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)
    true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    precision = _ratio(hits, predicted)
    recall = _ratio(hits, true)
    # the paper's F1 = 2·P·R/(P + R), as computed there: 2·hits/(true + predicted) is the same number
    f1 = _ratio(2 * hits, true + predicted)
    return Scores(
        confusion=confusion,
        accuracy=hits.sum(axis=1) / len(y_true),
        macro_f1=f1.mean(axis=1),
        recall=recall.mean(axis=1),
        class_precision=precision,
        class_recall=recall,
    )


def score(y_true: npt.NDArray[np.int64], y_pred: npt.NDArray[np.int64], n_classes: int) -> Scores[float]:
    """Score one prediction vector; labels are class indices."""
    return score_batch(np.asarray(y_true), np.asarray(y_pred)[None, :], n_classes)[0]


def _ratio(numerator: Floats, denominator: npt.NDArray[np.int64]) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
