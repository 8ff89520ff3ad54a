"""Fitting claimed settings of a method: a sweep for a batch, scores, and what is stored of each trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from studies.ledger import AnyCell, Claim
from studies.method_spec import MethodSpec
from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError
from tgsr.estimators.spaces import get_method
from tgsr.estimators.sweep import SweepClassifier
from tgsr.evaluation import mask_target, score, score_batch
from tgsr.evaluation.selection import get_rule
from tgsr.tracking.records import MethodRecord

__all__ = ["MethodFitted", "MethodFitter"]


@dataclass(frozen=True, eq=False)
class MethodFitted:
    """Fitted settings with their scores.

    Attributes
    ----------
    settings : dict
    value : float
        The selection rule's value.
    metrics : dict
        What MLflow gets.
    start_ms, end_ms : int
    """

    settings: Mapping[str, Any]
    value: float
    metrics: dict[str, float]
    start_ms: int
    end_ms: int

    def record(self, number: int, *, with_coef: bool = True) -> MethodRecord:  # noqa: ARG002
        """What is stored of the trial with this number."""
        return MethodRecord(number, self.settings, self.metrics, self.start_ms, self.end_ms)


class MethodFitter:
    """A method's sweeps and the selection rule of one study; the counterpart of `studies.fitting.Fitter`.

    Parameters
    ----------
    spec : MethodSpec
    pair : DatabasePair
        The databases; the target's labels go to the scorer (and to a rule that is an oracle) only.
    jobs : int
        Threads of TSRG; the other methods use one.
    """

    def __init__(self, spec: MethodSpec, pair: DatabasePair, jobs: int = 1) -> None:
        spec.check_data(pair)
        self._pair = pair
        self._task = mask_target(pair)
        estimator = get_method(spec.method).make()
        rule = get_rule(spec.selection)
        if not isinstance(estimator, SweepClassifier) or rule.build_for_method is None:
            raise ParameterError(f"{spec.method} cannot be studied by {spec.selection}")
        if "n_jobs" in estimator.get_params():
            estimator.set_params(n_jobs=jobs)
        self._estimator = estimator
        self._values = rule.build_for_method(pair, estimator, spec.seed)

    def fit(self, cells: Sequence[AnyCell]) -> list[MethodFitted]:
        """Fit and score settings, given as (name, value) pairs; the time is shared out evenly."""
        grid = [dict(cell) for cell in cells]
        task, target = self._task, self._pair.target
        start_ms, started = int(time.time() * 1000), time.perf_counter()
        with threadpool_limits(limits=1, user_api="blas"):  # last bits are then the same on any number of cores
            predictions = self._estimator.predict_grid(task.X, task.y, task.X_target, grid).astype(np.int64)
            seconds = (time.perf_counter() - started) / len(grid)
            values = self._values(grid, predictions)
        scores = score_batch(target.labels, predictions, len(target.class_names))
        end_ms = int(time.time() * 1000)
        return [
            MethodFitted(
                settings,
                float(values[index]),
                {
                    **scores[index].as_metrics(target.class_names),
                    "selection_value": float(values[index]),
                    "fit_seconds": seconds,
                },
                start_ms,
                end_ms,
            )
            for index, settings in enumerate(grid)
        ]

    def fit_claims(self, claims: Sequence[Claim]) -> list[MethodFitted]:
        """Fit the settings of claims."""
        return self.fit([claim.cell for claim in claims])

    def confusion(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Confusion matrix of settings on the target (rows are true classes), as JSON values."""
        task, target = self._task, self._pair.target
        with threadpool_limits(limits=1, user_api="blas"):
            (predictions,) = self._estimator.predict_grid(task.X, task.y, task.X_target, [settings])
        matrix = score(target.labels, predictions.astype(np.int64), len(target.class_names)).confusion
        return {"classes": list(target.class_names), "confusion": matrix.tolist()}
