"""What a method or a rule may see of a pair of databases, and one experiment with it: target labels stay here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from tgsr.datasets import DatabasePair
from tgsr.estimators.sweep import fit_on_pair
from tgsr.evaluation.metrics import Scores, score

__all__ = ["Evaluation", "TransferTask", "evaluate", "mask_target"]


@dataclass(frozen=True)
class TransferTask:
    """The labelled source and the unlabelled target.

    Attributes
    ----------
    X : array of shape (n_source, n_features)
    y : array of int, shape (n_source,)
        Class indices.
    X_target : array of shape (n_target, n_features)
    subjects : array of str, shape (n_source,), or None
        Who is seen in each source sample, for cross-validation by subject.
    class_names : tuple of str
    groups : array of int, shape (n_features,), or None
    """

    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    X_target: npt.NDArray[np.float64]
    subjects: npt.NDArray[np.str_] | None
    class_names: tuple[str, ...]
    groups: npt.NDArray[np.intp] | None = None


def mask_target(pair: DatabasePair) -> TransferTask:
    """Drop the target's labels, so that no method can see them."""
    source = pair.source
    return TransferTask(
        source.X, source.known_labels, pair.target.X, source.subjects, source.class_names, source.groups
    )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A fitted estimator with its predictions for the target, their scores, and the fit's seconds."""

    estimator: Any
    predictions: npt.NDArray[np.int64]
    scores: Scores[float]
    fit_seconds: float


def evaluate(estimator: Any, pair: DatabasePair) -> Evaluation:
    """Fit an estimator on the source (and the unlabelled target), predict the target, score.

    Where the features have groups of their own and the estimator is set to the facial regions, which is the default, a
    clone of it with the features' groups is fitted.
    """
    task = mask_target(pair)
    if task.groups is not None and hasattr(estimator, "get_params"):
        named = {name: value for name, value in estimator.get_params().items() if name.split("__")[-1] == "groups"}
        own = {name: task.groups for name, value in named.items() if isinstance(value, str) and value == "region"}
        estimator = clone(estimator).set_params(**own) if own else estimator
    started = time.perf_counter()
    fit_on_pair(estimator, task.X, task.y, task.X_target)
    fit_seconds = time.perf_counter() - started
    predictions = np.asarray(estimator.predict(task.X_target), dtype=np.int64)
    scores = score(pair.target.known_labels, predictions, len(task.class_names))
    return Evaluation(estimator, predictions, scores, fit_seconds)
