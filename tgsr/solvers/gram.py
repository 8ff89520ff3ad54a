"""What the recursion needs of one experiment's data, whatever κ and ξ: the Gram matrices of the groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg

from tgsr.solvers.problem import Problem

__all__ = ["GramSystem"]

_FloatArray = npt.NDArray[np.float64]


class GramSystem:
    """The Gram matrices of a problem's groups, and what follows from them alone.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    gram : array of shape (K, n, n)
        G_i = X_i^T X_i, the last row and column without √ξ.
    total : array of shape (n, n)
        T = Σ_i G_i.
    cross : array of shape (n_target + n_new, K, n)
        (X_i^t)^T X_i: the decisions for the target, and for new samples after it, follow from it.
    ones, target_ones : arrays of shape (K, n), (n_target + n_new, K)
        Sums of each group's features, because the iteration starts from the all-ones matrix.
    blocks : array of shape (p·n,)
        The transposes of all X_i, one after the other.
    ridge : float
        δ > 0, small against T.
    reach : array of shape (K,)
        γ_i, the least with G_i ⪯ γ_i²(T + δI).
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        starts, rows, target = problem.starts, problem.rows, problem.target
        if problem.new is not None:
            target = np.hstack([target, problem.new])
        n_groups, n = problem.n_groups, rows.shape[1]
        self.gram = np.empty((n_groups, n, n))
        self.cross = np.empty((target.shape[1], n_groups, n))
        for i in range(n_groups):
            block = rows[starts[i] : starts[i + 1]]
            np.matmul(block.T, block, out=self.gram[i])
            self.cross[:, i] = target[starts[i] : starts[i + 1]].T @ block
        self.blocks = np.concatenate([rows[starts[i] : starts[i + 1]].T.ravel() for i in range(n_groups)])
        self.ones: _FloatArray = np.add.reduceat(rows, starts[:-1], axis=0)
        self.target_ones: _FloatArray = np.add.reduceat(target, starts[:-1], axis=0).T
        self.total: _FloatArray = self.gram.sum(axis=0)
        # any δ is right; a small one keeps γ_i finite where T is singular
        self.ridge = 1e-10 * float(np.trace(self.total)) or 1.0
        self.reach = self._reach()

    def _reach(self) -> _FloatArray:
        values, vectors = scipy.linalg.eigh(self.total)
        root = vectors / np.sqrt(np.maximum(values, 0.0) + self.ridge)
        last = [len(root) - 1] * 2
        largest = [scipy.linalg.eigvalsh(root.T @ gram @ root, subset_by_index=last) for gram in self.gram]
        return np.sqrt(np.maximum(np.concatenate(largest), 0.0))

    def spectrum(self, xi: float) -> tuple[_FloatArray, _FloatArray]:
        """Eigenvalues (n,) and eigenvectors (n, n) of X̃^T X̃ at this ξ."""
        scaled = self.total.copy()
        scaled[-1] *= np.sqrt(xi)
        scaled[:, -1] *= np.sqrt(xi)
        values, vectors = scipy.linalg.eigh(scaled)
        return np.maximum(values, 0.0), vectors
