"""Sweeps: a method prepared once on a task, then asked for any number of hyper-parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array

from tgsr.autologging import without_autologging
from tgsr.stopping import raise_if_stopped

__all__ = [
    "Outcome",
    "Reverse",
    "Settings",
    "Sweep",
    "SweepTask",
    "fit_on_pair",
    "fit_sweep",
    "on_all_classes",
    "prepare_reverse",
    "prepare_sweep",
    "refit_by_labels",
]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

Settings = Mapping[str, Any]
"""Hyper-parameters by name, such as ``{"kappa": 12, "xi": 44.0}``."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one set of hyper-parameters gives on a task.

    Attributes
    ----------
    settings : dict
    codes : array of int, shape (n_target,)
        Predicted class indices of the target.
    decisions : array of shape (n_target, n_classes) or None
        Score of each class; −∞ for a class that the source lacks. None where the method has none.
    metrics : dict
        The method's own, such as ``iterations``, ``converged`` (0 or 1), ``objective``, ``regions_kept``.
    group_norms : array of shape (n_groups,) or None
        Of methods with groups.
    coef : callable or None
        Makes the matrix (n_features, n_classes) that a linear method with groups applies to the features.
    new_codes, new_decisions : arrays or None
        The same as codes and decisions for ``X_new``, when given.
    """

    settings: dict[str, Any]
    codes: Codes
    decisions: Array | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    group_norms: Array | None = None
    coef: Callable[[], Array] | None = None
    new_codes: Codes | None = None
    new_decisions: Array | None = None

    @classmethod
    def of_scores(cls, settings: Settings, decisions: Array, new: Array | None = None, **others: Any) -> Outcome:
        """An outcome that predicts the class of the largest score."""
        new_codes = None if new is None else new.argmax(axis=1)
        return cls(
            dict(settings), decisions.argmax(axis=1), decisions, new_codes=new_codes, new_decisions=new, **others
        )


Sweep = Callable[[Sequence[Settings]], list[Outcome]]
"""A method prepared on one task: fits with each set of hyper-parameters. Several threads may call it at once."""

Reverse = Callable[[Sequence[Settings], Sequence[Codes] | Codes], Codes]
"""A method prepared to be trained back from the target to the source; several threads may call it at once.

For each set of hyper-parameters it is fitted on the target with its own class indices ``codes[i]`` (n_target,). Given
are class indices of the source's samples, (n_settings, n_source)."""


def prepare_sweep(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    codes: npt.ArrayLike,
    X_target: npt.ArrayLike,
    X_new: npt.ArrayLike | None = None,
    *,
    n_classes: int | None = None,
) -> Sweep:
    """Prepare a method on a task; what its hyper-parameters share is computed once where its class can.

    Parameters
    ----------
    estimator : estimator
        Its parameters are those of every fit, unless the settings name them. A class may have a ``prepare_sweep`` of
        its own with the same arguments; any other is cloned and fitted for each set of hyper-parameters, with
        ``X_target`` where its ``fit`` takes it.
    X : array of shape (n_source, n_features)
    codes : array of int, shape (n_source,)
        Class indices 0…n_classes − 1.
    X_target : array of shape (n_target, n_features)
        What the method adapts to, and predicts.
    X_new : array of shape (n_new, n_features), optional
        Samples to predict besides, such as a held-out fold. Where it is ``X`` itself (the same object), TGSR has the
        source's decisions at no cost.
    n_classes : int, optional
        By default one more than the largest code; a class may be absent in the source.
    """
    codes = np.asarray(codes, dtype=np.intp)
    n_classes = int(codes.max()) + 1 if n_classes is None else n_classes
    own = getattr(estimator, "prepare_sweep", None)
    if own is not None:
        sweep: Sweep = own(X, codes, X_target, X_new, n_classes=n_classes)
        return sweep
    return fit_sweep(estimator, SweepTask(np.asarray(X), codes, X_target, X_new, n_classes))


def prepare_reverse(estimator: BaseEstimator, X: npt.ArrayLike, X_target: npt.ArrayLike, *, n_classes: int) -> Reverse:
    """Prepare what circular validation asks of a method: fits on the target's predicted labels, adapted to the source.

    What does not depend on labels is computed once where the class can: where it has a ``prepare_reverse`` of its own
    with the same arguments. Any other is prepared for each distinct vector of labels by `prepare_sweep`. Labels of one
    class teach nothing: all of the source is then predicted as that class.

    Parameters
    ----------
    estimator, n_classes
        As in `prepare_sweep`.
    X : array of shape (n_source, n_features)
        What is predicted and adapted to: the source's samples.
    X_target : array of shape (n_target, n_features)
        What is fitted on.
    """
    if _shares_reverse(type(estimator)):  # which takes checked samples
        adapted: Array = check_array(X, dtype=np.float64, input_name="X")
        fitted: Array = check_array(X_target, dtype=np.float64, input_name="X_target")
        if adapted.shape[1] != fitted.shape[1]:
            raise ValueError(f"X has {adapted.shape[1]} features, X_target has {fitted.shape[1]}")
        refit: Reverse = estimator.prepare_reverse(adapted, fitted, n_classes=n_classes)
    else:
        refit = refit_by_labels(lambda codes: prepare_sweep(estimator, X_target, codes, X, n_classes=n_classes))
    n_source = len(np.asarray(X))

    def reverse(settings: Sequence[Settings], codes: Sequence[Codes] | Codes) -> Codes:
        labels = np.array(codes, dtype=np.intp).reshape(len(settings), -1)
        back = np.repeat(labels[:, :1], n_source, axis=1)
        taught = np.flatnonzero((labels != labels[:, :1]).any(axis=1))
        if len(taught):
            back[taught] = refit([settings[index] for index in taught.tolist()], labels[taught])
        return back

    return reverse


def _shares_reverse(cls: type) -> bool:
    """Whether the class's ``prepare_reverse`` is not older than the ``prepare_sweep`` that a subclass gave it."""
    names = ("prepare_reverse", "prepare_sweep")
    reverse, sweep = (next((base for base in cls.__mro__ if name in vars(base)), None) for name in names)
    return reverse is not None and (sweep is None or issubclass(reverse, sweep))


def refit_by_labels(prepare: Callable[[Codes], Sweep]) -> Reverse:
    """Refits of a method that ``prepare(codes)`` prepares for some labels; settings with equal ones share it."""

    def refit(settings: Sequence[Settings], codes: Sequence[Codes] | Codes) -> Codes:
        distinct, numbers = np.unique(codes, axis=0, return_inverse=True)
        found: dict[int, Codes] = {}
        for number, labels in enumerate(distinct):
            alike = np.flatnonzero(numbers == number).tolist()
            outcomes = prepare(labels)([settings[index] for index in alike])
            found.update(zip(alike, (outcome.codes for outcome in outcomes), strict=True))
        return np.array([found[index] for index in range(len(settings))])

    return refit


@dataclass(frozen=True, eq=False)
class SweepTask:
    """What a method is swept on: the arguments of `prepare_sweep`."""

    X: npt.NDArray[Any]
    codes: Codes
    X_target: Any
    X_new: Any
    n_classes: int


def fit_on_pair(estimator: Any, X: Any, y: Any, X_target: Any) -> None:
    """Fit an estimator on the source, with ``X_target`` where its ``fit`` takes it."""
    takes_target = "X_target" in inspect.signature(estimator.fit).parameters
    estimator.fit(X, y, **({"X_target": X_target} if takes_target else {}))


def fit_sweep(estimator: BaseEstimator, task: SweepTask) -> Sweep:
    """The sweep of an estimator that only has ``fit`` and ``predict``: a fit for each set of hyper-parameters."""

    def outcome(params: Settings) -> Outcome:
        raise_if_stopped()
        fitted: Any = clone(estimator).set_params(**params)
        with without_autologging():
            fit_on_pair(fitted, task.X, task.codes, task.X_target)
        codes, decisions = _predict(fitted, task.X_target, task)
        new_codes, new_decisions = (None, None) if task.X_new is None else _predict(fitted, task.X_new, task)
        return Outcome(dict(params), codes, decisions, new_codes=new_codes, new_decisions=new_decisions)

    return lambda settings: [outcome(params) for params in settings]


def _predict(fitted: Any, X: npt.ArrayLike, task: SweepTask) -> tuple[Codes, Array | None]:
    codes = np.asarray(fitted.predict(X), dtype=np.intp)
    scores_of = getattr(fitted, "predict_proba", None) or getattr(fitted, "decision_function", None)
    if scores_of is None:
        return codes, None
    scores = np.asarray(scores_of(X), dtype=np.float64)
    present = np.asarray(getattr(fitted, "classes_", np.unique(task.codes)), dtype=np.intp)
    if scores.ndim == 1:
        scores = np.column_stack([-scores / 2, scores / 2])
    return codes, on_all_classes(scores, present, task.n_classes) if scores.shape[1] == len(present) else None


def on_all_classes(scores: Array, present: Codes, n_classes: int) -> Array:
    """Scores (n, n_present) of the classes present as (n, n_classes): −∞ for the others."""
    decisions = np.full((len(scores), n_classes), -np.inf)
    decisions[:, present] = scores
    return decisions
