"""What every method shares: checking its samples, and sweeping hyper-parameters with one preparation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from tgsr.estimators.span import Span
from tgsr.estimators.sweep import (
    Array,
    Codes,
    Outcome,
    Reverse,
    Settings,
    Sweep,
    SweepTask,
    fit_sweep,
    on_all_classes,
    refit_by_labels,
)
from tgsr.stopping import raise_if_stopped

__all__ = ["Array", "Codes", "Fitted", "SweepClassifier", "TargetSamples", "TransferClassifier"]


class TargetSamples:
    """Unlabelled target samples that scikit-learn's searches hand on whole.

    Cross-validation slices every fit argument with as many rows as ``X``. This states no number of rows, so that it is
    passed on as it is: ``GridSearchCV(model, grid).fit(X, y, X_target=TargetSamples(X_target))``. A pipeline that is
    asked to transform ``X_target`` reads it as the array that it holds.

    Parameters
    ----------
    X : array of shape (n_target, n_features)
    """

    def __init__(self, X: npt.ArrayLike) -> None:
        self.X = X

    @property
    def shape(self) -> tuple[int, ...]:
        """−1 rows, which scikit-learn never finds equal to those of ``X``, and the features."""
        return (-1, *np.shape(self.X)[1:])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.X, dtype=dtype, copy=copy)


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """Base of the methods: a scikit-learn classifier whose ``fit`` also takes unlabelled target samples.

    A subclass implements ``_fit(X, codes, X_target)`` on checked arrays, with ``codes`` indices into ``classes_``,
    and ``_decide(X)``, which returns a score for each class. Without ``X_target`` a method is fitted as if the target
    had the source's distribution: what remains is the method without its adaptation.
    """

    classes_: npt.NDArray[Any]
    n_iter_: int  # of methods that iterate
    converged_: bool

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, *, X_target: npt.ArrayLike | TargetSamples | None = None) -> Self:
        """Fit on labelled source samples and unlabelled target samples.

        Parameters
        ----------
        X : array of shape (n_source, n_features)
        y : array of shape (n_source,)
            Class labels of any type that scikit-learn accepts.
        X_target : array of shape (n_target, n_features) or TargetSamples, optional
            A data frame must have the columns of X, in their order. scikit-learn's cross-validation slices every
            argument of length n_source: give it `TargetSamples`. A pipeline transforms it only when asked, see this
            folder's README.md.

        Raises
        ------
        ValueError
            If shapes or column names disagree, a value is not finite, fewer than two classes are present, or a
            parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If the method iterates and has not converged: see its ``converged_``.
        """
        self._fit(*self._check_fit(X, y, X_target))
        if not getattr(self, "converged_", True):
            text = f"{type(self).__name__} did not converge in {self.n_iter_} iterations"
            others = {"max_iter": "a larger max_iter", "C": "a smaller C"}
            remedies = [f"take {remedy}" for name, remedy in others.items() if name in self.get_params()]
            warnings.warn(
                f"{text}: {', '.join(['scale the features', *remedies])}, or see its docstring",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Predict labels of X (n, n_features): shape (n,)."""
        codes = np.argmax(self._scores(X), axis=1)
        labels: npt.NDArray[Any] = self.classes_[codes]
        return labels

    def decision_function(self, X: npt.ArrayLike) -> Array:
        """Score of each class: shape (n, n_classes); for two classes the second's minus the first's, shape (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

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
        worker: Self = clone(self)
        source, _, target = worker._check_fit(X, codes, X_target)
        new = None
        if X_new is not None:
            new = source if X_new is X else worker._check_samples("X_new", X_new, source.shape[1])
        numbers = np.asarray(codes, dtype=np.intp)
        return worker._sweep(SweepTask(source, numbers, target, new, n_classes or int(numbers.max()) + 1))

    def _sweep(self, task: SweepTask) -> Sweep:
        """The sweep on checked samples; ``classes_`` is set."""
        return fit_sweep(self, task)

    def _scores(self, X: npt.ArrayLike) -> Array:
        check_is_fitted(self)
        return self._decide(validate_data(self, X, dtype=np.float64, reset=False))

    def _check_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, X_target: npt.ArrayLike | TargetSamples | None
    ) -> tuple[Array, Codes, Array | None]:
        """Check what ``fit`` is given, set ``classes_``; the errors are those of `fit`."""
        source, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, got 1 class: {self.classes_[0]!r}"
            )
        if isinstance(X_target, TargetSamples):
            X_target = X_target.X
        return source, codes, None if X_target is None else self._check_samples("X_target", X_target, source.shape[1])

    def _check_samples(self, name: str, X: npt.ArrayLike, n_features: int) -> Array:
        samples: Array = check_array(X, dtype=np.float64, input_name=name, estimator=self)
        if samples.shape[1] != n_features:
            raise ValueError(f"{name} has {samples.shape[1]} features, X has {n_features}")
        validate_data(self, X, reset=False, skip_check_array=True)  # the names of its columns
        return samples

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        raise NotImplementedError

    def _decide(self, X: Array) -> Array:
        raise NotImplementedError


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
    ``n_iter_`` and ``converged_``.
    """

    span_: Span
    rule_: Rule

    def prepare_reverse(self, X: Array, X_target: Array, *, n_classes: int) -> Reverse:
        """Prepare once for all labels of the target; see `tgsr.estimators.sweep.prepare_reverse`."""
        worker: Self = clone(self)
        return refit_by_labels(worker._sweeps(X_target, X, None, n_classes))

    def _sweep(self, task: SweepTask) -> Sweep:
        return self._sweeps(task.X, task.X_target, task.X_new, task.n_classes)(task.codes)

    def _sweeps(self, X: Array, X_target: Array, X_new: Array | None, n_classes: int) -> Callable[[Codes], Sweep]:
        """Prepare what does not depend on labels; what is returned gives the sweep for some."""
        span = Span.of(X, X_target)
        prepared = self._prepare(span)
        target = self._coordinates(span, X_target)
        new = None if X_new is None else self._coordinates(span, X_new)

        def outcomes_of(numbers: Codes, settings: Sequence[Settings]) -> list[Outcome]:
            present, codes = np.unique(numbers, return_inverse=True)
            outcomes: dict[int, Outcome] = {}

            def scores(rule: Rule, coordinates: tuple[Array, ...]) -> Array:
                return on_all_classes(rule(*coordinates), present, n_classes)

            for fitted in clone(self)._rules(prepared, codes, settings):  # a fit leaves attributes
                raise_if_stopped()
                metrics = {}
                if fitted.n_iter is not None:
                    metrics = {"iterations": float(fitted.n_iter), "converged": float(fitted.converged)}
                outcomes[fitted.index] = Outcome.of_scores(
                    settings[fitted.index],
                    scores(fitted.rule, target),
                    None if new is None else scores(fitted.rule, new),
                    metrics=metrics,
                )
            return [outcomes[index] for index in range(len(settings))]

        return lambda numbers: partial(outcomes_of, numbers)

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

    def _decide(self, X: Array) -> Array:
        return self.rule_(*self._coordinates(self.span_, X))

    def _coordinates(self, span: Span, X: Array) -> tuple[Array, ...]:
        """What the rule takes of samples X (n, n_features)."""
        return (span.transform(X),)

    def _prepare(self, span: Span) -> Any:
        return span

    def _solve(self, prepared: Any, codes: Codes) -> Rule:
        raise NotImplementedError
