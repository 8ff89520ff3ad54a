"""Fitting settings of a study: a sweep, the scores on the target, and the selection rule's values."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from studies.spec import OWN_GROUPS, StudySpec
from tgsr.datasets import DatabasePair
from tgsr.errors import TrackingError
from tgsr.estimators.sweep import Outcome, Sweep, prepare_reverse, prepare_sweep
from tgsr.evaluation import mask_target, score_batch
from tgsr.evaluation.selection import RuleContext, get_rule
from tgsr.tracking._trial import Trial, cell_id

__all__ = ["Fitter", "make_context", "make_estimator"]


def make_estimator(spec: StudySpec, pair: DatabasePair, settings: Mapping[str, Any] | None = None) -> BaseEstimator:
    """The unfitted estimator of a study, with the settings of one of its trials."""
    params = {**spec.fixed, **(settings or {})}
    if params.get("groups") == OWN_GROUPS:
        params["groups"] = pair.source.groups
    estimator = spec.definition.make(**params)
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=1)  # the executor's workers are the threads
    return estimator


def make_context(spec: StudySpec, pair: DatabasePair) -> RuleContext:
    """What a study's selection rule may see."""
    task, estimator = mask_target(pair), make_estimator(spec, pair)
    n_classes = len(task.class_names)

    def prepare(
        X: npt.NDArray[np.float64],
        codes: npt.NDArray[np.intp],
        X_target: npt.NDArray[np.float64],
        X_new: npt.NDArray[np.float64] | None,
    ) -> Sweep:
        return prepare_sweep(estimator, X, codes, X_target, X_new, n_classes=n_classes)

    return RuleContext(
        task=task,
        sweep=prepare,
        seed=spec.seed,
        defaults=spec.definition.defaults_for(spec.shape),
        reverse=partial(prepare_reverse, estimator, n_classes=n_classes),
    )


class Fitter:
    """A study's sweep and selection rule, prepared once; may be used by several threads at once.

    The target's labels go to the scores (and to a rule that is an oracle) only.

    Raises
    ------
    TrackingError
        If the databases are not the study's.
    ParameterError
        If the rule needs labels that the target lacks, or does not suit the method.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair) -> None:
        if (pair.source.digest, pair.target.digest) != (spec.source_digest, spec.target_digest):
            raise TrackingError(f"{pair.name}: not the content that {spec.title!r} was begun with; use the same files")
        rule = get_rule(spec.selection)
        labels = pair.target.labels
        self._labels, self._class_names = labels, pair.source.class_names
        context = make_context(spec, pair)
        task = context.task
        self._sweep = context.sweep(task.X, task.y.astype(np.intp), task.X_target, None)
        self._values = None if rule.needs_all else rule.scorer(context, labels)

    def fit(
        self, numbers: Sequence[int], settings: Sequence[Mapping[str, Any]], keep: int | None = None
    ) -> list[Trial]:
        """Fit and score settings together, as the trials of these numbers; the time is shared out evenly.

        Of the best ``keep`` of these trials the regression matrices are kept; None keeps all.
        """
        start_ms, started = int(time.time() * 1000), time.perf_counter()
        outcomes = self._sweep(settings)
        seconds = (time.perf_counter() - started) / max(len(outcomes), 1)
        values = np.full(len(outcomes), np.nan) if self._values is None else np.asarray(self._values(outcomes))
        scores = self._scores(outcomes)
        end_ms = int(time.time() * 1000)
        kept = set(np.argsort(-values, kind="stable")[:keep].tolist())
        return [
            Trial(
                number=number,
                cell=cell_id(outcome.settings),
                settings=dict(outcome.settings),
                metrics={**score, "selection_value": float(value), **outcome.metrics, "fit_seconds": seconds},
                predictions=outcome.codes,
                group_norms=outcome.group_norms,
                coef=outcome.coef() if outcome.coef is not None and index in kept else None,
                start_ms=start_ms,
                end_ms=end_ms,
            )
            for index, (number, outcome, score, value) in enumerate(zip(numbers, outcomes, scores, values, strict=True))
        ]

    def _scores(self, outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
        """Scores on the target; none where it has no labels."""
        if self._labels is None or not outcomes:
            return [{} for _ in outcomes]
        codes = np.array([outcome.codes for outcome in outcomes])
        scored = score_batch(self._labels, codes, len(self._class_names))
        return [scored[index].as_metrics(self._class_names) for index in range(len(outcomes))]
