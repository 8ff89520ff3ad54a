"""How the source is held out or drawn again: by subject where subjects are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.rules import RuleContext
from tgsr.evaluation.task import TransferTask

__all__ = ["bootstrap_samples", "held_out_codes", "source_folds"]

Codes = npt.NDArray[np.intp]

_N_FOLDS = 5
_MAX_DRAWS = 1000


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


def held_out_codes(context: RuleContext) -> Callable[[Sequence[Outcome]], Codes]:
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


def bootstrap_samples(task: TransferTask, seed: int, n_samples: int) -> list[Codes]:
    """Draw the source with replacement: whole subjects where they are known, else samples within each class.

    Raises
    ------
    ParameterError
        If draws of subjects nearly always lack a class.
    """
    rng = np.random.default_rng(seed)
    if task.subjects is None:
        members = [np.flatnonzero(task.y == code) for code in np.unique(task.y)]
        return [np.concatenate([rng.choice(part, len(part)) for part in members]) for _ in range(n_samples)]
    people = [np.flatnonzero(task.subjects == subject) for subject in np.unique(task.subjects)]
    drawn = []
    for _ in range(_MAX_DRAWS):
        sample = np.concatenate([people[index] for index in rng.integers(len(people), size=len(people))])
        if set(task.y[sample]) == set(task.y):
            drawn.append(sample)
        if len(drawn) == n_samples:
            return drawn
    raise ParameterError(
        f"bootstrap samples of this source's subjects lack a class; subjects by class: {_subjects_by_class(task)}. "
        "Use a source with more subjects in each class, or a rule that does not draw them, such as 'source-cv'"
    )


def _subjects_by_class(task: TransferTask) -> dict[str, int]:
    subjects = np.asarray(task.subjects)
    return {name: len(set(subjects[task.y == code])) for code, name in enumerate(task.class_names)}
