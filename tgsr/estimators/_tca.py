"""Transfer component analysis (Pan, Tsang, Kwok and Yang, IEEE Trans. Neural Networks 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.estimators._base import Array, Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span
from tgsr.protocols import check_integer, check_number

__all__ = ["TCAClassifier"]


@dataclass(frozen=True)
class _Kernel:
    span: Span
    K: Array
    centred: Array  # K H K
    mean_gap: Array  # K e


class TCAClassifier(SVMSweepClassifier):
    """SVM on the leading transfer components of the linear kernel.

    The components are the leading eigenvectors W of (KLK + μI)^{-1} KHK, of unit norm; samples become K·W. Their
    norm matters to the SVM: an eigensolver that normalises otherwise (by KLK + μI) gives another classifier.

    Parameters
    ----------
    n_components : int, default=20
        Number of components m; more than n − 1 are cut to n − 1.
    mu : float, default=1.0
        Weight of ‖W‖² against the distance of the means.
    C : float, default=1.0
    """

    def __init__(self, n_components: int = 20, mu: float = 1.0, C: float = 1.0) -> None:
        self.n_components = n_components
        self.mu = mu
        self.C = C

    def _prepare(self, span: Span) -> tuple[_Kernel, dict[float, Array]]:
        K = span.samples @ span.samples.T
        centred = K - K.mean(axis=0)
        n_source = len(span.source)
        gap = K[:, :n_source].mean(axis=1) - K[:, n_source:].mean(axis=1)
        return _Kernel(span, K, centred.T @ centred, gap), {}

    def _solve(self, prepared: tuple[_Kernel, dict[float, Array]], codes: Codes) -> LinearRule:
        kernel, solved = prepared
        mu = check_number("mu", self.mu, strict=True)
        n_components = min(check_integer("n_components", self.n_components, 1), len(kernel.K) - 1)
        if mu not in solved:
            solved[mu] = transfer_components(kernel.centred, kernel.mean_gap, mu)
        projection = kernel.span.samples.T @ solved[mu][:, :n_components]
        features = kernel.span.source @ projection
        return self._fit_svm(features, codes, projection=projection)


def transfer_components(centred: Array, mean_gap: Array, mu: float) -> Array:
    """Eigenvectors W (n, n) of (KLK + μI)^{-1} KHK in decreasing order of their eigenvalues.

    Its columns have unit Euclidean norm, as a general eigensolver returns them. ``centred`` is KHK (n, n), ``mean_gap``
    K e (n,) with L = e e^T: the mean source column of K minus the mean target column.
    """
    # with R = √μ(KLK + μI)^{-1/2}, the eigenvectors are R times those of the symmetric R KHK R. As KLK = gg^T has rank
    # one, R = I − (1 − √(μ/(μ + ‖g‖²)))gg^T/‖g‖²: no factorisation that rounding could spoil where ‖g‖² ≫ μ
    norm = float(np.linalg.norm(mean_gap))
    direction = mean_gap / max(norm, np.finfo(np.float64).tiny)
    root = np.eye(len(mean_gap)) - (1 - np.sqrt(mu) / np.hypot(np.sqrt(mu), norm)) * np.outer(direction, direction)
    _, vectors = np.linalg.eigh(root @ centred @ root)
    descending = root @ vectors[:, ::-1]
    lengths = np.linalg.norm(descending, axis=0)
    components: Array = descending / np.maximum(lengths, np.finfo(np.float64).tiny)
    return components
