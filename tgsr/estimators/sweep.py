"""Sweeps: a method prepared once on a task, then asked for any number of hyper-parameters."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning

from tgsr.estimators._base import Array, Codes, TransferClassifier
from tgsr.estimators._span import Span

__all__ = ["Fitted", "Outcome", "Rule", "Settings", "Sweep", "SweepClassifier", "prepare_sweep"]

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


class Sweep(Protocol):
    """A method prepared on one task; may be called from several threads at once."""

    def __call__(self, settings: Sequence[Settings]) -> list[Outcome]:
        """Fit with each set of hyper-parameters; outcomes in the same order."""


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
        Samples to predict besides, such as a held-out fold.
    n_classes : int, optional
        By default one more than the largest code; a class may be absent in the source.
    """
    codes = np.asarray(codes, dtype=np.intp)
    n_classes = int(codes.max()) + 1 if n_classes is None else n_classes
    own = getattr(estimator, "prepare_sweep", None)
    if own is not None:
        sweep: Sweep = own(X, codes, X_target, X_new, n_classes=n_classes)
        return sweep
    return _FitSweep(estimator, np.asarray(X), codes, X_target, X_new, n_classes)


@dataclass(frozen=True, eq=False)
class _FitSweep:
    """The sweep of an estimator that only has ``fit`` and ``predict``: a fit for each set of hyper-parameters."""

    estimator: BaseEstimator
    X: npt.NDArray[Any]
    codes: Codes
    X_target: npt.ArrayLike
    X_new: npt.ArrayLike | None
    n_classes: int

    def __call__(self, settings: Sequence[Settings]) -> list[Outcome]:
        return [self._outcome(dict(params)) for params in settings]

    def _outcome(self, params: dict[str, Any]) -> Outcome:
        fitted: Any = clone(self.estimator).set_params(**params)
        takes_target = "X_target" in inspect.signature(fitted.fit).parameters
        fitted.fit(self.X, self.codes, **({"X_target": self.X_target} if takes_target else {}))
        codes, decisions = self._predict(fitted, self.X_target)
        new_codes, new_decisions = (None, None) if self.X_new is None else self._predict(fitted, self.X_new)
        return Outcome(params, codes, decisions, new_codes=new_codes, new_decisions=new_decisions)

    def _predict(self, fitted: Any, X: npt.ArrayLike) -> tuple[Codes, Array | None]:
        codes = np.asarray(fitted.predict(X), dtype=np.intp)
        scores_of = getattr(fitted, "predict_proba", None) or getattr(fitted, "decision_function", None)
        if scores_of is None:
            return codes, None
        scores = np.asarray(scores_of(X), dtype=np.float64)
        present = np.asarray(getattr(fitted, "classes_", np.unique(self.codes)), dtype=np.intp)
        if scores.ndim == 1:
            scores = np.column_stack([-scores / 2, scores / 2])
        return codes, _all_classes(scores, present, self.n_classes) if scores.shape[1] == len(present) else None


def _all_classes(scores: Array, present: Codes, n_classes: int) -> Array:
    decisions = np.full((len(scores), n_classes), -np.inf)
    decisions[:, present] = scores
    return decisions


Rule = Callable[..., Array]
"""A fitted decision: span coordinates (n, r) to a score for each class present, (n, n_present); the largest wins."""


@dataclass(frozen=True)
class Fitted:
    """The decision for one set of hyper-parameters; ``n_iter`` is None where nothing is iterated."""

    index: int  # in the grid
    rule: Rule
    n_iter: int | None = None
    converged: bool = True


class SweepClassifier(TransferClassifier):
    """A method whose fit is a part shared by all hyper-parameters, and a cheap rest.

    A subclass implements ``_prepare(span)``, which must not look at the hyper-parameters of the method's grid, and
    ``_solve(prepared, codes)``; both see samples in span coordinates only. An iterative method has the attributes
    ``n_iter_`` and ``converged_``, and warns where it did not converge.
    """

    span_: Span
    rule_: Rule
    n_iter_: int
    converged_: bool

    def prepare_sweep(
        self,
        X: npt.ArrayLike,
        codes: npt.ArrayLike,
        X_target: npt.ArrayLike,
        X_new: npt.ArrayLike | None = None,
        *,
        n_classes: int | None = None,
    ) -> Sweep:
        """Prepare a sweep over this method's hyper-parameters; see `tgsr.estimators.sweep.prepare_sweep`."""
        worker = clone(self)
        source, present, target = worker._check_fit(X, codes, X_target)
        span = Span.of(source, target)
        return _SharedSweep(
            worker,
            worker._prepare(span),
            present,
            self._coordinates(span, source if target is None else target),
            None if X_new is None else self._coordinates(span, worker._check_samples("X_new", X_new, source.shape[1])),
            int(worker.classes_[-1]) + 1 if n_classes is None else n_classes,
        )

    def _rules(self, prepared: Any, codes: Codes, grid: Sequence[Settings]) -> Iterable[Fitted]:
        """Yield what is fitted for each of the grid, in any order."""
        for index, params in enumerate(grid):
            worker = clone(self).set_params(**params) if params else self  # a fit leaves its attributes on itself
            rule = worker._solve(prepared, codes)
            yield Fitted(index, rule, getattr(worker, "n_iter_", None), getattr(worker, "converged_", True))

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        self.span_ = Span.of(X, X_target)
        (fitted,) = self._rules(self._prepare(self.span_), codes, [{}])
        self.rule_ = fitted.rule
        if fitted.n_iter is not None:
            self.n_iter_, self.converged_ = fitted.n_iter, fitted.converged
        if not fitted.converged:
            warnings.warn(
                f"{type(self).__name__} did not converge in {fitted.n_iter} iterations: scale the features, or see "
                "its docstring",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _decide(self, X: Array) -> Array:
        return self.rule_(*self._coordinates(self.span_, X))

    def _coordinates(self, span: Span, X: Array) -> tuple[Array, ...]:
        """What the rule takes of samples X (n, n_features)."""
        return (span.transform(X),)

    def _prepare(self, span: Span) -> Any:
        return span

    def _solve(self, prepared: Any, codes: Codes) -> Rule:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _SharedSweep:
    """The sweep of a `SweepClassifier`: what does not depend on its hyper-parameters is prepared."""

    worker: SweepClassifier
    prepared: Any
    codes: Codes  # indices into the classes that are present
    target: tuple[Array, ...]
    new: tuple[Array, ...] | None
    n_classes: int

    def __call__(self, settings: Sequence[Settings]) -> list[Outcome]:
        worker = clone(self.worker)  # a fit leaves attributes: each call has an estimator of its own
        outcomes: dict[int, Outcome] = {}
        for fitted in worker._rules(self.prepared, self.codes, settings):
            decisions = self._decisions(fitted.rule, self.target)
            new = None if self.new is None else self._decisions(fitted.rule, self.new)
            iterative = fitted.n_iter is not None
            outcomes[fitted.index] = Outcome(
                dict(settings[fitted.index]),
                decisions.argmax(axis=1),
                decisions,
                {"iterations": float(fitted.n_iter or 0), "converged": float(fitted.converged)} if iterative else {},
                new_codes=None if new is None else new.argmax(axis=1),
                new_decisions=new,
            )
        return [outcomes[index] for index in range(len(settings))]

    def _decisions(self, rule: Rule, coordinates: tuple[Array, ...]) -> Array:
        return _all_classes(rule(*coordinates), self.worker.classes_, self.n_classes)
