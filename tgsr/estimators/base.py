"""What every method shares: checking the labelled source, the unlabelled target, and the class codes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

__all__ = ["TransferClassifier"]


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """Base of the methods: a scikit-learn classifier whose ``fit`` also takes unlabelled target samples.

    A subclass implements ``_fit(X, codes, X_target)`` on checked arrays, with ``codes`` indices into ``classes_``,
    and ``_decide(X)``, which returns class codes. Without ``X_target`` a method is fitted as if the target had the
    source's distribution: what remains is the method without its adaptation.
    """

    classes_: npt.NDArray[Any]

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, *, X_target: npt.ArrayLike | None = None) -> Self:
        """Fit on labelled source samples and unlabelled target samples.

        Parameters
        ----------
        X : array of shape (n_source, n_features)
        y : array of shape (n_source,)
            Class labels of any type that scikit-learn accepts.
        X_target : array of shape (n_target, n_features), optional
            A data frame must have the columns of X, in their order. Note that scikit-learn's cross-validation slices
            every fit argument of length n_source: with equally many target samples, pass ``X_target`` through a
            closure or a fixed estimator instead. A pipeline transforms it only when asked, see this folder's README.md.

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
        check_is_fitted(self)
        labels: npt.NDArray[Any] = self.classes_[self._decide(validate_data(self, X, dtype=np.float64, reset=False))]
        return labels

    def _check_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, X_target: npt.ArrayLike | None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.float64] | None]:
        """Check what ``fit`` is given, set ``classes_``; the errors are those of `fit`."""
        source, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, got 1 class: {self.classes_[0]!r}"
            )
        target: npt.NDArray[np.float64] | None = None
        if X_target is not None:
            target = check_array(X_target, dtype=np.float64, input_name="X_target", estimator=self)
            if target.shape[1] != source.shape[1]:
                raise ValueError(f"X_target has {target.shape[1]} features, X has {source.shape[1]}")
            validate_data(self, X_target, reset=False, skip_check_array=True)  # the names of its columns
        return source, codes, target

    def _fit(
        self, X: npt.NDArray[np.float64], codes: npt.NDArray[np.intp], X_target: npt.NDArray[np.float64] | None
    ) -> None:
        raise NotImplementedError

    def _decide(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        raise NotImplementedError
