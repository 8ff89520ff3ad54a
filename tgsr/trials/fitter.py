"""Fitting settings of a study: predictions, scores on the target, and the values of rules."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.estimators.preprocess import Scaling
from tgsr.estimators.sweep import Outcome, prepare_reverse, prepare_sweep
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.rules import ALWAYS, Rule, RuleContext, Scorer, get_rules
from tgsr.evaluation.task import TransferTask, mask_target
from tgsr.trials.spec import OWN_GROUPS, StudySpec
from tgsr.trials.tasks import Task
from tgsr.trials.trial import Trial, cell_id

__all__ = ["Fitter", "compared_values", "make_context", "make_estimator", "prepare_task"]


def make_estimator(spec: StudySpec, pair: DatabasePair, settings: Mapping[str, Any] | None = None) -> BaseEstimator:
    """The unfitted estimator of a study, with the settings of one of its trials."""
    params = {**spec.fixed, **(settings or {})}
    if params.get("groups") == OWN_GROUPS:
        params["groups"] = pair.source.groups
    estimator = spec.definition.make(**params)
    if estimator.get_params().get("n_jobs") not in (None, 1):
        estimator.set_params(n_jobs=1)  # the executor's workers are the threads
    return estimator


def prepare_task(spec: StudySpec, pair: DatabasePair) -> TransferTask:
    """What methods and rules see of a study's databases: no target labels, features as they are fitted on."""
    task = mask_target(pair)
    X, X_target = (Scaling.of(spec.preprocess, rows).transform(rows) for rows in (task.X, task.X_target))
    return replace(task, X=X, X_target=X_target)


def make_context(spec: StudySpec, pair: DatabasePair) -> RuleContext:
    """What rules may see of a study."""
    task, estimator = prepare_task(spec, pair), make_estimator(spec, pair)
    n_classes = len(task.class_names)
    sweep = partial(prepare_sweep, estimator, n_classes=n_classes)
    reverse = partial(prepare_reverse, estimator, task.X, task.X_target, n_classes=n_classes)
    return RuleContext(task, sweep, reverse, spec.seed)


class Fitter:
    """A study's method and some rules, prepared once on its databases; may be used by several threads at once.

    The target's labels go to the scores only. `fit` gives every trial the values of the rules. Of those that every
    trial should have, such as circular validation, one that this method does not allow has no value; any other that
    does not suit is an error.

    Raises
    ------
    TrackingError
        If the databases are not the study's.
    ParameterError
        If a rule that was asked for does not suit the method or the data.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, rules: Sequence[str] = ()) -> None:
        if (pair.source.digest, pair.target.digest) != (spec.source_digest, spec.target_digest):
            raise TrackingError(f"{pair.name}: not the content that {spec.title!r} was begun with; use the same files")
        self._labels, self._class_names = pair.target.labels, pair.source.class_names
        self._context = make_context(spec, pair)
        # rules that compare all trials wait until all are there
        self._rules = [rule for rule in get_rules(rules) if not rule.compares_all]
        self._scorers: dict[str, Scorer] = {}
        for rule in list(self._rules):
            try:
                self._scorers[rule.name] = rule.prepare(self._context)
            except ParameterError:
                if rule.name not in ALWAYS:
                    raise
                self._rules.remove(rule)
        task = self._context.task
        new = task.X if any(rule.needs == "source_decisions" for rule in self._rules) else None
        self._sweep = self._context.sweep(task.X, task.y.astype(np.intp), task.X_target, new)

    def fit(self, task: Task, keep_matrices: bool = True) -> list[Trial]:
        """Fit and score settings together, as the trials of these numbers; the time is shared out evenly."""
        start_ms, started = int(time.time() * 1000), time.perf_counter()
        outcomes = self._sweep([settings for _, settings in task])
        seconds = (time.perf_counter() - started) / max(len(outcomes), 1)
        scores, values = self._scores(outcomes), self._values(outcomes)
        end_ms = int(time.time() * 1000)
        return [
            Trial(
                number=number,
                settings=dict(outcome.settings),
                metrics={**score, **outcome.metrics, "fit_seconds": seconds},
                predictions=outcome.codes,
                rules=rules,
                group_norms=outcome.group_norms,
                coef=outcome.coef() if keep_matrices and outcome.coef is not None else None,
                start_ms=start_ms,
                end_ms=end_ms,
            )
            for (number, _), outcome, score, rules in zip(task, outcomes, scores, values, strict=True)
        ]

    def values(
        self, settings: Sequence[Mapping[str, Any]], predictions: Sequence[npt.NDArray[np.intp]]
    ) -> dict[str, dict[str, float]]:
        """Values of the rules for trials that are there: cell → rule → value.

        The settings are fitted again only where a rule needs more than their predictions.
        """
        if all(rule.needs == "codes" for rule in self._rules):
            outcomes = [Outcome(dict(one), codes) for one, codes in zip(settings, predictions, strict=True)]
        else:
            outcomes = self._sweep(settings)
        return dict(zip(map(cell_id, settings), self._values(outcomes), strict=True))

    def _values(self, outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
        """Values of the rules, for each outcome."""
        found = {}
        for rule in self._rules:
            try:
                found[rule.name] = np.asarray(self._scorers[rule.name](outcomes), dtype=np.float64).tolist()
            except ParameterError:  # the method gives no decision values, say
                if rule.name not in ALWAYS:
                    raise
        return [{name: column[index] for name, column in found.items()} for index in range(len(outcomes))]

    def _scores(self, outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
        """Scores on the target; none where it has no labels."""
        if self._labels is None or not outcomes:
            return [{} for _ in outcomes]
        codes = np.array([outcome.codes for outcome in outcomes])
        scored = score_batch(self._labels, codes, len(self._class_names))
        return [scored[index].as_metrics(self._class_names) for index in range(len(outcomes))]


def compared_values(rules: Sequence[Rule], context: RuleContext, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Values of the rules that compare all trials, given all: rule → array (n_outcomes,)."""
    return {rule.name: rule.prepare(context)(outcomes) for rule in rules if rule.compares_all}
