"""Rules that hold source samples out: plain, and weighted by the samples' likeness to the target.

All predict each source sample by a model that was fitted without its subject, and that adapts to the whole target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.rules import Rule, RuleContext, Scorer
from tgsr.evaluation.task import TransferTask
from tgsr.solvers.importance import kliep

__all__ = ["IMPORTANCE_WEIGHTED_CV", "SOURCE_CV", "source_folds"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

_N_FOLDS = 5


def source_folds(task: TransferTask, seed: int) -> list[Codes]:
    """Split the source for cross-validation: by subject where subjects are known, else stratified by class.

    There are fewer folds than asked for where only fewer leave samples of every class to train on.

    Returns
    -------
    list of arrays of int
        The held-out sample indices of each fold. Every fold's training part has every class of the source.

    Raises
    ------
    ParameterError
        If the source has too few subjects, or too few samples of a class, for two such folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(task.y, minlength=len(task.class_names))
    n_folds = min(_N_FOLDS, int(counts[counts > 0].min()))
    subjects = task.subjects
    if subjects is not None:
        n_folds = min(n_folds, len(np.unique(subjects)))
    if n_folds < 2:
        raise ParameterError(
            "cross-validation on the source needs at least 2 samples of each class and 2 subjects; "
            f"found {dict(zip(task.class_names, counts.tolist(), strict=True))}"
        )
    splitter = StratifiedKFold if subjects is None else StratifiedGroupKFold
    for count in range(n_folds, 1, -1):
        splits = splitter(count, shuffle=True, random_state=seed).split(task.X, task.y, subjects)
        folds = [held_out for _, held_out in splits if len(held_out)]
        if all(set(np.delete(task.y, fold)) == set(task.y) for fold in folds):
            return folds
    raise ParameterError(
        "cross-validation by subject is not possible on this source: of each way to leave subjects out, one leaves a "
        f"class without training samples; subjects by class: {_subjects_by_class(task)}. Use a source with more "
        "subjects in each class, a feature file without subjects (folds are then by class), or another rule"
    )


def _subjects_by_class(task: TransferTask) -> dict[str, int]:
    subjects = np.asarray(task.subjects)
    return {name: len(set(subjects[task.y == code])) for code, name in enumerate(task.class_names)}


def _held_out_codes(context: RuleContext) -> Callable[[Sequence[Outcome]], Codes]:
    """Prepare a cross-validation on the source; the folds' models adapt to the whole target.

    Returns
    -------
    callable
        For outcomes, the predictions of refits of their settings for all source samples: (n_outcomes, n_source).
    """
    task = context.task
    folds = source_folds(task, context.seed)
    sweeps = [
        context.sweep(np.delete(task.X, fold, axis=0), np.delete(task.y, fold), task.X_target, task.X[fold])
        for fold in folds
    ]

    def predict(outcomes: Sequence[Outcome]) -> Codes:
        codes = np.empty((len(outcomes), len(task.y)), dtype=np.intp)
        for fold, sweep in zip(folds, sweeps, strict=True):
            refits = sweep([outcome.settings for outcome in outcomes])
            codes[:, fold] = np.array([again.new_codes for again in refits], dtype=np.intp)
        return codes

    return predict


def _source_cv(context: RuleContext) -> Scorer:
    task, predict = context.task, _held_out_codes(context)

    def values(outcomes: Sequence[Outcome]) -> Array:
        return score_batch(task.y, predict(outcomes).astype(np.int64), len(task.class_names)).macro_f1

    return values


def _importance_weighted_cv(context: RuleContext) -> Scorer:
    task, predict = context.task, _held_out_codes(context)
    span = Span.of(task.X, task.X_target)
    weights, _ = kliep(span.source, span.target)

    def values(outcomes: Sequence[Outcome]) -> Array:
        hits: Array = (predict(outcomes) == task.y) @ weights / weights.sum()
        return hits

    return values


SOURCE_CV = Rule(
    "source-cv",
    "macro-F1 of a cross-validation on the source, by subject where known; no target label is used",
    prepare=_source_cv,
)
IMPORTANCE_WEIGHTED_CV = Rule(
    "iw-cv",
    "accuracy of that cross-validation with KLIEP's importance weights (Sugiyama et al. 2007)",
    prepare=_importance_weighted_cv,
)
