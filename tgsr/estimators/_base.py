"""What every method shares: checking the labelled source, the unlabelled target, and the class codes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

__all__ = ["TargetSamples", "TransferClassifier"]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


class TargetSamples:
    """Unlabelled target samples that scikit-learn's searches hand on whole.

    Cross-validation slices every fit argument with as many rows as ``X``. This has no length and no shape, so that it
    is passed on as it is: ``GridSearchCV(model, grid).fit(X, y, X_target=TargetSamples(X_target))``.

    Parameters
    ----------
    X : array of shape (n_target, n_features)
    """

    def __init__(self, X: npt.ArrayLike) -> None:
        self.X = X


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """Base of the methods: a scikit-learn classifier whose ``fit`` also takes unlabelled target samples.

    A subclass implements ``_fit(X, codes, X_target)`` on checked arrays, with ``codes`` indices into ``classes_``,
    and ``_decide(X)``, which returns a score for each class. Without ``X_target`` a method is fitted as if the target
    had the source's distribution: what remains is the method without its adaptation.
    """

    classes_: npt.NDArray[Any]

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
        """
        self._fit(*self._check_fit(X, y, X_target))
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

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Accuracy of the predicted labels of X (n, n_features).

        Raises
        ------
        ValueError
            If ``y`` holds no class labels of the type that the method was fitted with.
        """
        check_is_fitted(self)
        labels = np.asarray(y)
        check_classification_targets(labels)
        numeric = [array.dtype.kind in "biuf" for array in (labels, self.classes_)]
        if numeric[0] != numeric[1]:
            raise ValueError(f"y holds {labels.dtype} labels, but the classes are {self.classes_.tolist()}")
        return float(super().score(X, labels, sample_weight))

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
