"""Base of the comparison methods: one fit, or a whole grid of hyper-parameters for little more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from tgsr.estimators.base import TransferClassifier
from tgsr.estimators.span import Span

__all__ = ["Rule", "SweepClassifier", "check_positive"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

Rule = Callable[[Array], Codes]
"""A fitted decision: span coordinates (n, r) to class codes (n,)."""


class SweepClassifier(TransferClassifier):
    """A method whose fit is a part shared by all hyper-parameters, and a cheap rest.

    A subclass implements ``_prepare(span)``, which must not look at the hyper-parameters of the method's grid, and
    ``_solve(prepared, codes)``; both see samples in span coordinates only.
    """

    span_: Span
    rule_: Rule

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
        for index, rule in worker._rules(span, codes, grid):
            predictions[index] = rule(samples)
            if progress is not None:
                progress(1)
        labels: npt.NDArray[Any] = worker.classes_[predictions]
        return labels

    def _rules(self, span: Span, codes: Codes, grid: Sequence[Mapping[str, Any]]) -> Iterable[tuple[int, Rule]]:
        """Yield (index in the grid, fitted rule), in any order."""
        prepared = self._prepare(span)
        for index, params in enumerate(grid):
            worker = clone(self).set_params(**params) if params else self  # a fit leaves its attributes on itself
            yield index, worker._solve(prepared, codes)

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        self.span_ = Span.of(X, X_target)
        ((_, self.rule_),) = self._rules(self.span_, codes, [{}])

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
