"""Span coordinates: what makes methods on inner products cheap where there are far fewer samples than features.

The rows of X = [X_source; X_target] span at most n of the D dimensions. With X^T = QR the coordinates Z = XQ (n × n)
have the same inner products and distances as X, so that every method which uses only those is the same on Z. The
coordinates are those of K = XX^T = UΛU^T, Z = UΛ^{1/2}, up to a rotation; the QR route does not square the condition
number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.solvers.importance import gaussian

__all__ = ["Span", "SpanKernel", "principal_axes"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """Source and target samples in the coordinates of their common span."""

    basis: Array | None  # Q (n_features, r); None where there are no more features than samples: X itself is used
    source: Array  # (n_source, r)
    target: Array  # (n_target, r)

    @classmethod
    def of(cls, X: Array, X_target: Array | None) -> Span:
        """Find the span of X (n_source, n_features) and X_target; without X_target the source stands for it."""
        samples = X if X_target is None else np.vstack([X, X_target])
        basis = np.linalg.qr(samples.T)[0] if len(samples) < samples.shape[1] else None
        span = cls(basis, X, X if X_target is None else X_target)
        return cls(basis, span.transform(span.source), span.transform(span.target))

    def transform(self, X: Array) -> Array:
        """Coordinates (n, r) of samples (n, n_features); what lies outside the span is dropped, see `locate`."""
        coordinates: Array = X if self.basis is None else X @ self.basis
        return coordinates

    def locate(self, X: Array) -> tuple[Array, Array]:
        """Coordinates (n, r) of samples (n, n_features), and their squared distances (n, 1) to the span."""
        coordinates = self.transform(X)
        beyond = np.zeros((len(X), 1)) if self.basis is None else X - coordinates @ self.basis.T
        return coordinates, (beyond**2).sum(axis=1, keepdims=True)

    @property
    def samples(self) -> Array:
        """All samples, source first: shape (n_source + n_target, r)."""
        return np.vstack([self.source, self.target])


@dataclass(frozen=True)
class SpanKernel:
    """The kernel of new samples with known ones, linear or Gaussian, from span coordinates."""

    samples: Array  # (m, r)
    width: float | None  # σ of the Gaussian kernel; None for the linear one

    def __call__(self, z: Array, outside: Array) -> Array:
        """Kernel (n, m) of samples z (n, r) whose squared distances to the span are ``outside`` (n, 1)."""
        if self.width is None:
            linear: Array = z @ self.samples.T
            return linear
        return gaussian(z, self.samples, self.width) * np.exp(-outside / (2 * self.width**2))


def principal_axes(Z: Array) -> Array:
    """Principal axes of samples (n, r), by exact SVD of the centred samples: shape (r, q), leading axis first.

    q is the rank of the centred samples: 0 for one sample, or for samples that are all equal.
    """
    _, singular, axes = np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)
    threshold = max(Z.shape) * np.finfo(np.float64).eps * max(float(np.abs(Z).max(initial=0.0)), singular.max())
    return np.ascontiguousarray(axes[singular > threshold].T)
