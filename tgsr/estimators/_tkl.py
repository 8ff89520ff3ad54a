"""Transfer kernel learning (Long, Wang, Sun and Yu, IEEE Trans. Knowledge and Data Engineering 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.estimators._base import Array, Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span
from tgsr.protocols import check_number
from tgsr.solvers._quadratic import damped_least_squares

__all__ = ["TKLClassifier"]

_RIDGE = 1e-6


@dataclass(frozen=True)
class _Spectrum:
    span: Span
    extension: Array  # (r, q): span coordinates to the target's eigensystem, Φ_a = Z · extension
    source: Array  # Φ_s, (n_source, q)
    quadratic: Array  # A∘A
    linear: Array  # diag(B)


class TKLClassifier(SVMSweepClassifier):
    """SVM on the kernel that extends the target's eigensystem with the spectrum which fits the source best.

    Parameters
    ----------
    zeta : float, default=2.0
        Damping ζ of the spectrum: l_i ≥ ζ·l_{i+1}.
    C : float, default=1.0
    class_order : {"sorted", "first_appearance"}, default="sorted"
        See `SVMClassifier`.
    """

    def __init__(self, zeta: float = 2.0, C: float = 1.0, class_order: str = "sorted") -> None:
        self.zeta = zeta
        self.C = C
        self.class_order = class_order

    def _prepare(self, span: Span) -> _Spectrum:
        n_target = len(span.target)
        rank = max(1, min(n_target - 10, 200))
        values, vectors = np.linalg.eigh(span.target @ span.target.T + _RIDGE * np.eye(n_target))
        values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
        scaled = vectors / np.maximum(values, _RIDGE)
        extension = span.target.T @ scaled
        source = span.source @ extension
        kernel = span.source @ span.source.T + _RIDGE * np.eye(len(span.source))
        quadratic = (source.T @ source) ** 2
        linear = np.einsum("ij,ij->j", source, kernel @ source)
        return _Spectrum(span, extension, source, quadratic, linear)

    def _solve(self, prepared: _Spectrum, codes: Codes) -> LinearRule:
        zeta = check_number("zeta", self.zeta, strict=True)
        spectrum = damped_least_squares(prepared.quadratic, prepared.linear, zeta)
        scale = np.sqrt(spectrum)
        return self._fit_svm(prepared.source * scale, codes, projection=prepared.extension * scale)
