"""Rules by which a study chooses among settings: an oracle, and rules that see no target labels.

A rule gives every fitted cell (κ, ξ) of TGSR, or all settings of another method, one value each; the largest is chosen.
``oracle`` looks at the target's labels, as the paper's tables do, and is labelled so wherever it appears. Further rules
register with `register_rule`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError
from tgsr.estimators.sweep import SweepClassifier
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.runner import TransferTask, mask_target
from tgsr.solvers import BatchSolver, CellSolution, SolverSettings

__all__ = [
    "DEFAULT_RULE",
    "RULES",
    "CellScorer",
    "SelectionRule",
    "SettingsScorer",
    "get_rule",
    "register_rule",
    "source_folds",
]

CellScorer = Callable[[Sequence[CellSolution]], npt.NDArray[np.float64]]
"""Values of fitted cells, one a solution; larger is better."""

SettingsScorer = Callable[[Sequence[Mapping[str, Any]], npt.NDArray[np.int64]], npt.NDArray[np.float64]]
"""Values of a method's settings, given also what each predicts for the target (n_settings, n_target)."""

DEFAULT_RULE = "source-cv"
"""What whoever has no target labels can use."""

_N_FOLDS = 5


@dataclass(frozen=True)
class SelectionRule:
    """A way of choosing (κ, ξ).

    Attributes
    ----------
    name : str
    description : str
        One sentence, shown wherever the rule's values are.
    uses_target_labels : bool
        Whether it is an oracle.
    build : callable
        ``build(pair, groups, settings, seed)`` prepares the rule for one experiment and returns its `CellScorer`;
        ``groups`` holds a group for every feature.
    build_for_method : callable, optional
        ``build_for_method(pair, estimator, seed)`` prepares the same for the settings of another method than TGSR;
        without it the rule is for TGSR only.
    """

    name: str
    description: str
    uses_target_labels: bool
    build: Callable[[DatabasePair, npt.NDArray[np.intp], SolverSettings, int], CellScorer]
    build_for_method: Callable[[DatabasePair, SweepClassifier, int], SettingsScorer] | None = None


RULES: dict[str, SelectionRule] = {}
"""Name → rule."""


def register_rule(rule: SelectionRule) -> SelectionRule:
    """Add a rule to those that studies can use.

    Raises
    ------
    ParameterError
        If another rule has the name.
    """
    if rule.name in RULES:
        raise ParameterError(f"a selection rule {rule.name!r} exists already")
    RULES[rule.name] = rule
    return rule


def get_rule(name: str) -> SelectionRule:
    """Find a rule by name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if name not in RULES:
        raise ParameterError(f"unknown selection rule {name!r}; use one of {', '.join(RULES)}")
    return RULES[name]


def source_folds(task: TransferTask, seed: int, n_folds: int = _N_FOLDS) -> list[npt.NDArray[np.intp]]:
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
    n_folds = min(n_folds, int(counts[counts > 0].min()))
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
        "subjects in each class, or a feature file without subjects (folds are then by class), or choose by "
        "--selection oracle (the target's labels)"
    )


def _subjects_by_class(task: TransferTask) -> dict[str, int]:
    subjects = np.asarray(task.subjects)
    return {name: len(set(subjects[task.y == code])) for code, name in enumerate(task.class_names)}


def _build_oracle(
    pair: DatabasePair,
    groups: npt.NDArray[np.intp],  # noqa: ARG001
    settings: SolverSettings,  # noqa: ARG001
    seed: int,  # noqa: ARG001
) -> CellScorer:
    n_classes = len(pair.target.class_names)

    def values(solutions: Sequence[CellSolution]) -> npt.NDArray[np.float64]:
        codes = np.array([solution.target_codes for solution in solutions])
        return score_batch(pair.target.labels, codes, n_classes).macro_f1

    return values


def _build_source_cv(
    pair: DatabasePair, groups: npt.NDArray[np.intp], settings: SolverSettings, seed: int
) -> CellScorer:
    task = mask_target(pair)
    n_classes = len(task.class_names)
    folds = source_folds(task, seed)
    held_out = np.concatenate(folds)
    solvers = [
        BatchSolver(
            np.delete(task.X, fold, axis=0), np.delete(task.y, fold), n_classes, task.X_target, groups, settings
        )
        for fold in folds
    ]

    def values(solutions: Sequence[CellSolution]) -> npt.NDArray[np.float64]:
        cells = [(solution.kappa, solution.xi) for solution in solutions]
        decided = [
            np.array([(task.X[fold] @ fitted.coef()).argmax(axis=1) for fitted in solver.solve(cells)])
            for solver, fold in zip(solvers, folds, strict=True)
        ]
        return score_batch(task.y[held_out], np.concatenate(decided, axis=1), n_classes).macro_f1

    return values


def _oracle_of_method(
    pair: DatabasePair,
    estimator: SweepClassifier,  # noqa: ARG001
    seed: int,  # noqa: ARG001
) -> SettingsScorer:
    n_classes = len(pair.target.class_names)
    return lambda _, predictions: score_batch(pair.target.labels, predictions, n_classes).macro_f1


def _source_cv_of_method(pair: DatabasePair, estimator: SweepClassifier, seed: int) -> SettingsScorer:
    task = mask_target(pair)
    folds = source_folds(task, seed)
    held_out = np.concatenate(folds)

    def values(
        settings: Sequence[Mapping[str, Any]],
        predictions: npt.NDArray[np.int64],  # noqa: ARG001
    ) -> npt.NDArray[np.float64]:
        decided = [
            estimator.predict_grid(
                np.delete(task.X, fold, axis=0),
                np.delete(task.y, fold),
                task.X_target,
                settings,
                X_new=task.X[fold],
            )
            for fold in folds
        ]
        return score_batch(task.y[held_out], np.concatenate(decided, axis=1), len(task.class_names)).macro_f1

    return values


register_rule(
    SelectionRule(
        "source-cv",
        "macro-F1 of a cross-validation on the source, by subject where known; no target label is used",
        uses_target_labels=False,
        build=_build_source_cv,
        build_for_method=_source_cv_of_method,
    )
)
register_rule(
    SelectionRule(
        "oracle",
        "macro-F1 on the target, with the target's labels: an oracle, as in the paper; not available in use",
        uses_target_labels=True,
        build=_build_oracle,
        build_for_method=_oracle_of_method,
    )
)
