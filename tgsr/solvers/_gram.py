"""What the recursion needs of the data, whatever κ and ξ: orthonormal coordinates, and their Gram matrices.

With X^s = U Σ V^T (the numerical rank's columns only) and w the part of the difference of means δ that is outside of
U's span, every X̃R of Equ. (2) is Ũ·y with Ũ = [U, w], for every ξ. A group sees Ũ_i y, its rows of Ũ. In these
coordinates nothing cancels that does not cancel in X̃R itself: what of the labels no feature can explain is not there,
and however ill-conditioned X is, Σ_i Ũ_i^T Ũ_i = I.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg

from tgsr.solvers._problem import Problem

__all__ = ["ExplainedLabels", "GramArrays", "GramSystem"]

_FloatArray = npt.NDArray[np.float64]

_SMALL = 50_000
"""Up to so many multiplications a pair (m²·C) coordinates are padded to a multiple of 4, above to one of 8. OpenBLAS
then treats all columns alike, with and without its code for small matrices; for their number see `_multiply`."""


class GramArrays(NamedTuple):
    """The arrays that the compiled kernel reads; m is the number of coordinates."""

    gram: _FloatArray  # (K, m, m): H_i = Ũ_i^T Ũ_i
    reach: _FloatArray  # (K,): γ_i with ‖Ũ_i y‖ ≤ γ_i‖y‖: ‖Ũ_i‖₂ is the least; a larger one leaves out fewer products
    loose: _FloatArray  # (K,): such γ_i for little: from the traces of the Gram matrices
    blocks: _FloatArray  # (p·m,): the transposes of all Ũ_i, one after the other
    starts: npt.NDArray[np.intp]  # (K + 1,)
    ones: _FloatArray  # (K, m): Ũ_i^T of all ones, which the iteration starts from
    squares: _FloatArray  # (m,): Σ²
    shift: _FloatArray  # (m,): Ũ^T δ


class ExplainedLabels(NamedTuple):
    """Labels of the source in the coordinates."""

    labels: _FloatArray  # (C, m): V^T L^T, the part that features can explain
    unexplained: float  # squared norm of the rest
    right: _FloatArray  # (C, m): Ũ^T X̃ L̃^T


class GramSystem:
    """A problem in orthonormal coordinates; nothing here depends on its labels.

    Attributes
    ----------
    basis : array of shape (p, m)
        Ũ, its last columns zero.
    singular : array of shape (m,)
        Σ.
    right_vectors : array of shape (n_source, m)
        V, so that X^s = ŨΣV^T.
    cross : array of shape (K, n_target + n_new, m)
        (X_i^t)^T Ũ_i: the decisions for the target, and for new samples after it, follow from it.
    target_ones : array of shape (n_target + n_new, K)
        Sums of each group's features.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        starts, n_groups = problem.starts, problem.n_groups
        self.basis, self.singular, self.right_vectors, shift = _coordinates(problem.rows, problem.n_classes)
        m = self.basis.shape[1]
        target = problem.target if problem.new is None else np.hstack([problem.target, problem.new])
        gram, cross = np.empty((n_groups, m, m)), np.empty((n_groups, target.shape[1], m))
        for i in range(n_groups):
            block = self.basis[starts[i] : starts[i + 1]]
            np.matmul(block.T, block, out=gram[i])
            np.matmul(target[starts[i] : starts[i + 1]].T, block, out=cross[i])
        self.cross = cross
        self.target_ones: _FloatArray = np.add.reduceat(target, starts[:-1], axis=0).T
        blocks = np.concatenate([self.basis[starts[i] : starts[i + 1]].T.ravel() for i in range(n_groups)])
        ones = np.add.reduceat(self.basis, starts[:-1], axis=0)
        loose = np.sqrt(np.minimum(np.trace(gram, axis1=1, axis2=2), 1.0))
        self._arrays = GramArrays(gram, loose, loose, blocks, starts, ones, self.singular**2, shift)

    def explain(self, labels: _FloatArray) -> ExplainedLabels:
        """Project labels, given as `Problem.labels` has them."""
        wanted = labels[:-1].T
        explained = wanted @ self.right_vectors
        outside = wanted - explained @ self.right_vectors.T
        return ExplainedLabels(explained, float((outside**2).sum()), self.singular * explained)

    @cached_property
    def _reach(self) -> _FloatArray:
        last = [len(self._arrays.squares) - 1] * 2
        largest = [scipy.linalg.eigvalsh(gram, subset_by_index=last) for gram in self._arrays.gram]
        return np.sqrt(np.maximum(np.concatenate(largest), 0.0))

    def arrays(self, *, tight: bool) -> GramArrays:
        """The kernel's arrays; the tight γ_i cost K eigenvalues once, which a few cells do not bring in."""
        return self._arrays._replace(reach=self._reach) if tight else self._arrays


def _coordinates(rows: _FloatArray, n_classes: int) -> tuple[_FloatArray, _FloatArray, _FloatArray, _FloatArray]:
    """Ũ (p, m), Σ (m,), V (n_source, m) and Ũ^T δ (m,), all padded with zeros."""
    source, difference = rows[:, :-1], rows[:, -1]
    u, singular, vt = scipy.linalg.svd(source, full_matrices=False)
    rank = int((singular > max(source.shape) * np.finfo(np.float64).eps * singular[0]).sum())
    lanes = 4 if (rank + 1) ** 2 * n_classes <= _SMALL else 8
    m = -(-(rank + 1) // lanes) * lanes
    basis, sigma, v, shift = np.zeros((len(rows), m)), np.zeros(m), np.zeros((source.shape[1], m)), np.zeros(m)
    basis[:, :rank], sigma[:rank], v[:, :rank] = u[:, :rank], singular[:rank], vt[:rank].T
    rest = difference
    for _ in range(2):  # Gram and Schmidt, twice is enough
        inside = basis.T @ rest
        shift, rest = shift + inside, rest - basis @ inside
    length = float(np.linalg.norm(rest))
    if length > 1e-13 * float(np.linalg.norm(difference)):
        basis[:, rank], shift[rank] = rest / length, length
    return basis, sigma, v, shift
