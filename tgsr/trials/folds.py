"""Leave one subject out: each subject of a pool in turn is the target, without labels; everybody else is the source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from tgsr.datasets import DatabasePair
from tgsr.errors import DataError
from tgsr.estimators.sweep import prepare_sweep
from tgsr.evaluation.task import mask_target
from tgsr.trials.fitter import make_estimator
from tgsr.trials.tasks import Task
from tgsr.trials.trial import Trial

if TYPE_CHECKING:
    from tgsr.datasets import FeatureDataset
    from tgsr.trials.spec import StudySpec

__all__ = ["SUBJECT", "FoldFitter", "subjects_of"]

SUBJECT = "subject"
"""The setting of a fold: who is left out."""


def subjects_of(data: FeatureDataset) -> list[str]:
    """Everybody who can be left out.

    Raises
    ------
    DataError
        If subjects are not known, or there is only one.
    """
    if data.subjects is None:
        raise DataError(f"{data.name}: subjects are not known for all samples, so that none can be left out")
    names = [str(name) for name in np.unique(data.subjects)]
    if len(names) < 2:
        raise DataError(f"{data.name}: one subject only; nobody is left to learn from")
    return names


class FoldFitter:
    """A method at its fixed settings on a pool of databases, in place of a `Fitter`: a trial leaves one subject out.

    The grid of ``spec`` has the subjects; ``pair`` has the pool as source and as target; no rule chooses.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, rules: tuple[str, ...] = ()) -> None:  # noqa: ARG002
        self._spec, self._data = spec, pair.source

    def fit(self, task: Task, keep_matrices: bool = False) -> list[Trial]:  # noqa: ARG002
        """Predict the samples of each subject by a model that has not seen any of them."""
        return [self._fit(number, settings[SUBJECT]) for number, settings in task]

    def _fit(self, number: int, subject: str) -> Trial:
        start_ms, started = int(time.time() * 1000), time.perf_counter()
        left_out = np.asarray(self._data.subjects) == subject
        pair = DatabasePair(self._data.select(~left_out), self._data.select(left_out))
        task, names = mask_target(pair), list(self._data.class_names)  # the pool's databases have their scale already
        estimator, n_classes = make_estimator(self._spec, pair), len(task.class_names)
        (outcome,) = prepare_sweep(estimator, task.X, task.y, task.X_target, n_classes=n_classes)([{}])
        # classes that nobody but this subject shows are not learned: the pair's may be fewer than the pool's
        codes = np.array([names.index(name) for name in task.class_names])[outcome.codes]
        truth, seconds = self._data.known_labels[left_out], time.perf_counter() - started
        metrics = {"accuracy": float((codes == truth).mean()), "samples": float(len(truth))}
        metrics |= {**outcome.metrics, "fit_seconds": seconds}
        end_ms = int(time.time() * 1000)
        return Trial(number, {SUBJECT: subject}, metrics, codes, start_ms=start_ms, end_ms=end_ms)
