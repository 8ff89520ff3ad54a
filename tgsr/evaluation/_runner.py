"""One experiment, one estimator, one set of scores; target labels stay with the scorer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tgsr.datasets import DatabasePair
from tgsr.evaluation._metrics import Scores, score
from tgsr.evaluation._task import mask_target

__all__ = ["Evaluation", "TransferEstimator", "evaluate"]


class TransferEstimator(Protocol):
    """What a method must offer: scikit-learn's interface with the unlabelled target samples as a keyword."""

    def fit(self, X: Any, y: Any, *, X_target: Any = None) -> Any: ...

    def predict(self, X: Any) -> Any: ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A fitted estimator with its predictions for the target, their scores, and the fit's seconds."""

    estimator: Any
    predictions: npt.NDArray[np.int64]
    scores: Scores
    fit_seconds: float


def evaluate(estimator: TransferEstimator, pair: DatabasePair) -> Evaluation:
    """Fit on the source (and the unlabelled target), predict the target, score."""
    task = mask_target(pair)
    started = time.perf_counter()
    estimator.fit(task.X, task.y, X_target=task.X_target)
    fit_seconds = time.perf_counter() - started
    predictions = np.asarray(estimator.predict(task.X_target), dtype=np.int64)
    scores = score(pair.target.known_labels, predictions, len(task.class_names))
    return Evaluation(estimator, predictions, scores, fit_seconds)
