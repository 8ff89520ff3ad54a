"""Subspace alignment and the geodesic flow kernel: methods on the principal axes of both domains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.estimators._base import Array, Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span, principal_axes
from tgsr.protocols import check_integer

__all__ = ["GFKClassifier", "SAClassifier", "geodesic_flow"]


@dataclass(frozen=True)
class _Axes:
    span: Span
    source: Array  # (r, q_source)
    target: Array  # (r, q_target)

    @property
    def max_dimension(self) -> int:
        return int(min(self.source.shape[1], self.target.shape[1]))


class _SubspaceClassifier(SVMSweepClassifier):
    """Principal axes of each domain's centred samples; the samples themselves are projected without centring."""

    def __init__(self, n_components: int = 20, C: float = 1.0) -> None:
        self.n_components = n_components
        self.C = C

    def _prepare(self, span: Span) -> _Axes:
        return _Axes(span, principal_axes(span.source), principal_axes(span.target))

    def _solve(self, prepared: _Axes, codes: Codes) -> LinearRule:
        source = prepared.span.source
        if prepared.max_dimension == 0:
            return self._fit_svm(source, codes)
        d = min(check_integer("n_components", self.n_components, 1), prepared.max_dimension)
        source_map, target_map = self._maps(prepared.source[:, :d], prepared.target[:, :d])
        return self._fit_svm(source @ source_map, codes, projection=target_map)

    def _maps(self, source_axes: Array, target_axes: Array) -> tuple[Array, Array]:
        raise NotImplementedError


class SAClassifier(_SubspaceClassifier):
    """Subspace alignment (Fernando, Habrard, Sebban and Tuytelaars, ICCV 2013), then a linear SVM.

    Source samples become X_s P_s (P_s^T P_t), target samples X_t P_t, with P the leading principal axes of each
    domain's centred samples; the samples themselves are not centred.

    Parameters
    ----------
    n_components : int, default=20
        Dimension of both subspaces; more than the smaller rank are cut to it (at most min(N_s, N_t) − 1). A domain
        without variance (a single sample) has no axes: then nothing is aligned, which leaves the plain SVM.
    C : float, default=1.0
    """

    def _maps(self, source_axes: Array, target_axes: Array) -> tuple[Array, Array]:
        return source_axes @ (source_axes.T @ target_axes), target_axes


class GFKClassifier(_SubspaceClassifier):
    """Geodesic flow kernel (Gong, Shi, Sha and Grauman, CVPR 2012), then an SVM on it.

    The subspaces are spanned by the leading principal axes of each domain's centred samples; the samples themselves
    are not centred.

    Parameters
    ----------
    n_components, C
        See `SAClassifier`.
    """

    def _maps(self, source_axes: Array, target_axes: Array) -> tuple[Array, Array]:
        flow = geodesic_flow(source_axes, target_axes)
        return flow, flow


def geodesic_flow(source_axes: Array, target_axes: Array) -> Array:
    """Factor F (r, 2d) of the geodesic flow kernel's matrix G = ∫₀¹ Φ(t)Φ(t)^T dt = FF^T, of orthonormal bases (r, d).

    With P_s^T P_t = U cos(θ) V^T the geodesic is Φ(t) = A cos(tθ) + R sin(tθ), A = P_s U, R = (P_t V − A cos θ)/sin θ;
    each angle adds [A_i R_i] [[a, b], [b, g]] [A_i R_i]^T (closed forms of the integrals). No D × D matrix and no
    complement of the source's subspace is needed.
    """
    left, cosines, right = np.linalg.svd(source_axes.T @ target_axes)
    start = source_axes @ left
    residual = target_axes @ right.T - start * cosines
    sines = np.linalg.norm(residual, axis=0)
    angles = np.arctan2(sines, cosines)  # well-conditioned at both ends, unlike arccos
    direction = np.divide(residual, sines, out=np.zeros_like(residual), where=sines > 0)
    # sin(2θ)/2θ and (1 − cos 2θ)/2θ = θ·sinc²(θ) with their limits 1 and 0 at θ = 0
    first = np.sinc(2 * angles / np.pi)
    a, g = (1 + first) / 2, (1 - first) / 2
    b = angles * np.sinc(angles / np.pi) ** 2 / 2
    # Cholesky factor of [[a, b], [b, g]]: a ≥ ½, and g − b²/a ≥ 0 up to rounding
    root = np.sqrt(a)
    rest = np.sqrt(np.maximum(g - b**2 / a, 0))
    flow: Array = np.hstack([start * root + direction * (b / root), direction * rest])
    return flow
