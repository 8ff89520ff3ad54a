"""Base of the comparison methods: one fit, or a whole grid of hyper-parameters for little more."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from tgsr.estimators.base import TransferClassifier
from tgsr.estimators.span import Span

__all__ = ["Fitted", "Rule", "SweepClassifier", "check_positive"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

Rule = Callable[[Array], Codes]
"""A fitted decision: span coordinates (n, r) to class codes (n,)."""


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

    def predict_grid(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        X_target: npt.ArrayLike,
        grid: Sequence[Mapping[str, Any]],
        progress: Callable[[int], None] | None = None,
        *,
        X_new: npt.ArrayLike | None = None,
    ) -> npt.NDArray[Any]:
        """Predict the target (or ``X_new``) with every set of hyper-parameters; equal to a fit for each.

        Parameters
        ----------
        X : array of shape (n_source, n_features)
        y : array of shape (n_source,)
        X_target : array of shape (n_target, n_features)
        grid : sequence of mappings
            Parameters to set for each fit; the others are this estimator's.
        progress : callable, optional
            Called with the number of parameter sets finished since the last call.
        X_new : array of shape (n_new, n_features), optional
            Samples to predict instead of the target's, such as a held-out fold.

        Returns
        -------
        array of shape (len(grid), n_target or n_new)
            Labels.
        """
        worker = clone(self)
        source, codes, target = worker._check_fit(X, y, X_target)
        span = Span.of(source, target)
        samples = span.target if X_new is None else span.transform(np.asarray(X_new, dtype=np.float64))
        predictions = np.empty((len(grid), len(samples)), dtype=np.intp)
        n_astray = 0
        for fitted in worker._rules(span, codes, grid):
            predictions[fitted.index] = fitted.rule(samples)
            n_astray += not fitted.converged
            if progress is not None:
                progress(1)
        if n_astray:
            self._warn(f"with {n_astray} of {len(grid)} settings", stacklevel=3)
        labels: npt.NDArray[Any] = worker.classes_[predictions]
        return labels

    def _rules(self, span: Span, codes: Codes, grid: Sequence[Mapping[str, Any]]) -> Iterable[Fitted]:
        """Yield what is fitted for each of the grid, in any order."""
        prepared = self._prepare(span)
        for index, params in enumerate(grid):
            worker = clone(self).set_params(**params) if params else self  # a fit leaves its attributes on itself
            rule = worker._solve(prepared, codes)
            yield Fitted(index, rule, getattr(worker, "n_iter_", None), getattr(worker, "converged_", True))

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        self.span_ = Span.of(X, X_target)
        (fitted,) = self._rules(self.span_, codes, [{}])
        self.rule_ = fitted.rule
        if fitted.n_iter is not None:
            self.n_iter_, self.converged_ = fitted.n_iter, fitted.converged
        if not fitted.converged:
            self._warn(f"in {fitted.n_iter} iterations", stacklevel=4)

    def _warn(self, where: str, stacklevel: int) -> None:
        warnings.warn(
            f"{type(self).__name__} did not converge {where}: scale the features, or see its docstring",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )

    def _decide(self, X: Array) -> Codes:
        return self.rule_(self.span_.transform(X))

    def _prepare(self, span: Span) -> Any:
        return span

    def _solve(self, prepared: Any, codes: Codes) -> Rule:
        raise NotImplementedError


def check_positive(name: str, value: float, *, zero: bool = False) -> float:
    """Return ``value`` as float if it is finite and positive (or, if ``zero`` is allowed, not negative).

    Raises
    ------
    ValueError
        Otherwise.
    """
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be a finite number {'≥' if zero else '>'} 0, got {value!r}")
    return float(value)
