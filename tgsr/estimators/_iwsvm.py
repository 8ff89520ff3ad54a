"""Importance-weighted SVM (Hassan, Damper and Niranjan, IEEE Trans. Audio, Speech and Language Processing 2013)."""

from __future__ import annotations

import numpy as np

from tgsr.estimators._base import Array, Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span
from tgsr.protocols import check_choice, check_number
from tgsr.solvers.importance import gaussian, kliep, kmm, median_distance, ulsif

__all__ = ["IWSVMClassifier"]

WEIGHTINGS = ("kliep", "ulsif", "kmm")


class IWSVMClassifier(SVMSweepClassifier):
    """Linear SVM in which each source sample's C is multiplied by its importance for the target.

    The weights have mean 1. With far more features than samples they matter only where C·w_i binds.

    Parameters
    ----------
    weighting : {"kliep", "ulsif", "kmm"}, default="kliep"
        The estimator of the weights; see `tgsr.solvers.importance`.
    width : float, optional
        Width σ of the Gaussian kernel, as a multiple of the median distance between samples. By default KLIEP and
        uLSIF choose it by cross-validation, and KMM takes 1.
    bound : float, default=1000.0
        Upper bound B of KMM's weights.
    C : float, default=1.0

    Attributes
    ----------
    weights_ : array of shape (n_source,)
        The samples' weights.
    n_iter_ : int
        LIBSVM's iterations, over all pairs of classes.
    converged_ : bool
        Whether the weights are optimal and LIBSVM ended before its limit of ten million; otherwise ``fit`` warns.
    """

    weights_: Array

    def __init__(
        self,
        weighting: str = "kliep",
        width: float | None = None,
        bound: float = 1000.0,
        C: float = 1.0,
    ) -> None:
        self.weighting = weighting
        self.width = width
        self.bound = bound
        self.C = C

    def _prepare(self, span: Span) -> tuple[Span, dict[tuple[object, ...], tuple[Array, bool]]]:
        return span, {}

    def _solve(self, prepared: tuple[Span, dict[tuple[object, ...], tuple[Array, bool]]], codes: Codes) -> LinearRule:
        span, known = prepared
        key = (self.weighting, self.width, self.bound if self.weighting == "kmm" else None)
        if key not in known:
            known[key] = self._weights(span)
        self.weights_, optimal = known[key]
        rule = self._fit_svm(span.source, codes, weights=self.weights_)
        self.converged_ = self.converged_ and optimal
        return rule

    def _weights(self, span: Span) -> tuple[Array, bool]:
        """Weights of mean 1 at the source samples, shape (n_source,), and whether they are optimal."""
        check_choice("weighting", self.weighting, WEIGHTINGS)
        bound, scale = check_number("bound", self.bound, strict=True), median_distance(span.source, span.target)
        width = None if self.width is None else check_number("width", self.width, strict=True) * scale
        if self.weighting == "kliep":
            return kliep(span.source, span.target, width=width)
        if self.weighting == "ulsif":
            return ulsif(span.source, span.target, width=width), True
        width = scale if width is None else width
        kernel, cross = (gaussian(span.source, side, width) for side in (span.source, span.target))
        weights, optimal = kmm(kernel, cross, bound=bound)
        return weights / max(float(weights.mean()), np.finfo(np.float64).tiny), optimal
