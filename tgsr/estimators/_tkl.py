"""Transfer kernel learning (Long, Wang, Sun and Yu, IEEE Trans. Knowledge and Data Engineering 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.estimators._base import Array, Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span, SpanKernel
from tgsr.protocols import check_choice, check_number
from tgsr.solvers.quadratic import damped_least_squares

__all__ = ["TKLClassifier"]

_RIDGE = 1e-6


@dataclass(frozen=True)
class _Spectrum:
    kernel: SpanKernel  # with the target's samples
    extension: Array  # (n_target, q): kernel with the target to the target's eigensystem, Φ_a = K_at · extension
    source: Array  # Φ_s, (n_source, q)
    quadratic: Array  # A∘A
    linear: Array  # diag(B)


@dataclass(frozen=True)
class _ExtendedRule:
    kernel: SpanKernel
    rule: LinearRule

    def __call__(self, z: Array, outside: Array) -> Array:
        """Score of each class for samples z (n, r) whose squared distances to the span are ``outside`` (n, 1)."""
        return self.rule(self.kernel(z, outside))


class TKLClassifier(SVMSweepClassifier):
    """SVM on the kernel that extends the target's eigensystem with the spectrum which fits the source best.

    Parameters
    ----------
    zeta : float, default=2.0
        Damping ζ of the spectrum: l_i ≥ ζ·l_{i+1}.
    kernel : {"linear", "rbf"}, default="linear"
        The kernel whose spectrum is learned. "rbf" is exp(−‖x − z‖²/(width²·m)) with the mean m of the squared
        distances between all samples, as in the authors' experiments on Office-Caltech (there ζ = 1.1, C = 10).
    width : float, default=1.0
        Of the Gaussian kernel.
    C : float, default=1.0
    """

    def __init__(
        self,
        zeta: float = 2.0,
        kernel: str = "linear",
        width: float = 1.0,
        C: float = 1.0,
    ) -> None:
        self.zeta = zeta
        self.kernel = kernel
        self.width = width
        self.C = C

    def _prepare(self, span: Span) -> tuple[Span, dict[float | None, _Spectrum]]:
        return span, {}

    def _solve(self, prepared: tuple[Span, dict[float | None, _Spectrum]], codes: Codes) -> _ExtendedRule:
        span, known = prepared
        check_choice("kernel", self.kernel, ("linear", "rbf"))
        zeta, width = check_number("zeta", self.zeta, strict=True), check_number("width", self.width, strict=True)
        key = width if self.kernel == "rbf" else None
        if key not in known:
            known[key] = _target_spectrum(span, key)
        learned = known[key]
        scale = np.sqrt(damped_least_squares(learned.quadratic, learned.linear, zeta))
        rule = self._fit_svm(learned.source * scale, codes, projection=learned.extension * scale)
        return _ExtendedRule(learned.kernel, rule)

    def _coordinates(self, span: Span, X: Array) -> tuple[Array, ...]:
        return span.locate(X)


def _target_spectrum(span: Span, width: float | None) -> _Spectrum:
    """The leading eigenpairs of the target's kernel, extended to the source, and the program for their spectrum."""
    sigma = None if width is None else width * np.sqrt(_mean_square_distance(span.samples) / 2)
    with_target, with_source = SpanKernel(span.target, sigma), SpanKernel(span.source, sigma)
    inside = np.zeros((1, 1))  # the samples' distance to their own span
    n_source, n_target = len(span.source), len(span.target)
    rank = max(1, min(n_target - 10, 200))
    values, vectors = np.linalg.eigh(with_target(span.target, inside) + _RIDGE * np.eye(n_target))
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    extension = vectors / np.maximum(values, _RIDGE)
    source = with_target(span.source, inside) @ extension
    kernel = with_source(span.source, inside) + _RIDGE * np.eye(n_source)
    quadratic = (source.T @ source) ** 2
    return _Spectrum(with_target, extension, source, quadratic, np.einsum("ij,ij->j", source, kernel @ source))


def _mean_square_distance(samples: Array) -> float:
    """Mean of ‖x − z‖² over all pairs of samples (n, r), each with itself included; 1 if all are equal."""
    return 2 * float(samples.var(axis=0).sum()) or 1.0
