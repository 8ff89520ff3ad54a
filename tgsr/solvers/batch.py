"""Algorithm 1 for any set of (κ, ξ) at once, by a recursion that needs only the Gram matrices of the groups.

Write C_i = X_i A_i + w_i E with E the all-ones block that the iteration starts from. With R = 2L̃^T − W, shared by all
groups, an iteration is Q_i = C_i + X̃_i R/μ, C_i ← s_i Q_i, P_i ← μ(C_i − Q_i). Carried for each group are only
U_i = X̃_i^T Q_i and ‖C_i‖²; A_i is rebuilt from the steps R/μ and the shrink factors s_i when it is wanted. ξ scales
one row and one column of the Gram matrices: that is done on R, so that one set of matrices serves every ξ.
The recursion is exact: the results are those of `tgsr.solvers.direct` up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.linalg
from threadpoolctl import threadpool_limits

from tgsr.protocols import check_kappa, check_xi
from tgsr.solvers.kernel import accumulate, advance, exceeds_tolerance
from tgsr.solvers.problem import Problem, SolverSettings

__all__ = ["BATCH_SIZE", "BatchSolver", "CellSolution"]

BATCH_SIZE = 16
"""Pairs solved together: enough columns for BLAS, few enough for the cache (see studies/bench)."""

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellSolution:
    """Algorithm 1's result for one (κ, ξ).

    Attributes
    ----------
    kappa, xi
        The cell.
    n_iter : int
    converged : bool
        Whether max|C − D| < tol was reached.
    objective : float
        Value of Equ. (2) with the last λ.
    lam : float
        The last λ = μ·d_(κ+1).
    group_norms : array of shape (n_groups,)
        ‖C_i‖_F; exactly 0 for the groups left out.
    target_decisions : array of shape (n_target, n_classes)
        C^T x of every target sample.
    """

    kappa: int
    xi: float
    n_iter: int
    converged: bool
    objective: float
    lam: float
    group_norms: _FloatArray
    target_decisions: _FloatArray
    _active: npt.NDArray[np.intp] = field(repr=False)
    _coefficients: _FloatArray = field(repr=False)
    _offsets: _FloatArray = field(repr=False)
    _problem: Problem = field(repr=False)

    @property
    def target_codes(self) -> npt.NDArray[np.intp]:
        """Predicted class indices of the target samples, Equ. (9)."""
        codes: npt.NDArray[np.intp] = np.argmax(self.target_decisions, axis=1)
        return codes

    def coef(self) -> _FloatArray:
        """C (n_features, n_classes), in the original order of the features; made anew at each call."""
        problem = self._problem
        coef = np.zeros((len(problem.rows), problem.n_classes))
        for i, coefficients, offset in zip(self._active, self._coefficients, self._offsets, strict=True):
            rows = slice(problem.starts[i], problem.starts[i + 1])
            coef[rows] = problem.rows[rows] @ coefficients.T + offset
        return problem.original_order(coef)


class BatchSolver:
    """Solves any (κ, ξ) of one experiment; what depends on neither is computed once.

    Parameters
    ----------
    X, codes, n_classes, X_target, groups
        As in `Problem.build`, which also tells the errors raised.
    settings : SolverSettings, optional

    Attributes
    ----------
    n_products : int
        Products with a Gram matrix made so far, one a pair and group: what the floating-point cost is counted in.

    Notes
    -----
    What else is in a batch changes an answer only in its last bits: the columns of a matrix product do not mix.
    """

    def __init__(
        self,
        X: _FloatArray,
        codes: npt.NDArray[np.integer],
        n_classes: int,
        X_target: _FloatArray | None,
        groups: npt.NDArray[np.integer],
        settings: SolverSettings | None = None,
    ) -> None:
        self.problem = Problem.build(X, codes, n_classes, X_target, groups)
        self.settings = settings or SolverSettings()
        starts, rows, target = self.problem.starts, self.problem.rows, self.problem.target
        n_groups, n = self.problem.n_groups, rows.shape[1]
        self._gram = np.empty((n_groups, n, n))
        self._cross = np.empty((target.shape[1], n_groups, n))
        for i in range(n_groups):
            block = rows[starts[i] : starts[i + 1]]
            np.matmul(block.T, block, out=self._gram[i])
            self._cross[:, i] = target[starts[i] : starts[i + 1]].T @ block
        self._blocks = np.concatenate([rows[starts[i] : starts[i + 1]].T.ravel() for i in range(n_groups)])
        self._ones = np.add.reduceat(rows, starts[:-1], axis=0)
        self._target_ones = np.add.reduceat(target, starts[:-1], axis=0).T
        self._total_gram = self._gram.sum(axis=0)
        # any δ is right; a small one keeps γ_i finite where T is singular
        self._ridge = 1e-10 * float(np.trace(self._total_gram)) or 1.0
        self._reach = self._group_reach()
        self._spectra: dict[float, tuple[_FloatArray, _FloatArray]] = {}
        self.n_products = 0

    def solve(
        self, cells: Iterable[tuple[int, float]], *, on_solved: Callable[[CellSolution], None] | None = None
    ) -> list[CellSolution]:
        """Solve the cells (κ, ξ), given and returned in the same order.

        ``on_solved`` is called with each solution when it is found, in no particular order.

        Raises
        ------
        ParameterError
            If a κ or ξ is out of range.
        """
        wanted = [(check_kappa(kappa, self.problem.n_groups), check_xi(xi)) for kappa, xi in cells]
        solutions: list[CellSolution | None] = [None] * len(wanted)
        for index, solution in self._solve(wanted):
            solutions[index] = solution
            if on_solved is not None:
                on_solved(solution)
        return [solution for solution in solutions if solution is not None]

    def _solve(self, cells: Sequence[tuple[int, float]]) -> Iterator[tuple[int, CellSolution]]:
        # neighbours in ξ share an eigenbasis, so they should be in the batch at the same time
        queue = sorted(range(len(cells)), key=lambda index: (cells[index][1], cells[index][0]), reverse=True)
        batch = _Batch(self, min(BATCH_SIZE, len(cells)))
        with threadpool_limits(limits=1, user_api="blas"):
            while queue or batch.width:
                while queue and batch.width < batch.size:
                    index = queue.pop()
                    batch.enter(batch.width, index, *cells[index])
                batch.step()
                for slot in reversed(batch.finished()):
                    yield int(batch.tags[slot]), batch.solution(slot)
                    if queue:
                        index = queue.pop()
                        batch.enter(slot, index, *cells[index])
                    else:
                        batch.close(slot)
            self._spectra.clear()

    def _group_reach(self) -> _FloatArray:
        """γ_i (n_groups,): the least with G_i ⪯ γ_i²(T + δI), T = Σ_i G_i."""
        values, vectors = scipy.linalg.eigh(self._total_gram)
        root = vectors / np.sqrt(np.maximum(values, 0.0) + self._ridge)
        largest = [
            scipy.linalg.eigvalsh(root.T @ gram @ root, subset_by_index=[len(gram) - 1] * 2) for gram in self._gram
        ]
        return np.sqrt(np.maximum(np.concatenate(largest), 0.0))

    def spectrum(self, xi: float) -> tuple[_FloatArray, _FloatArray]:
        """Eigenvalues (n,) and eigenvectors (n, n) of X̃^T X̃ at this ξ."""
        if xi not in self._spectra:
            gram = self._total_gram.copy()
            gram[-1] *= np.sqrt(xi)
            gram[:, -1] *= np.sqrt(xi)
            values, vectors = scipy.linalg.eigh(gram)
            self._spectra[xi] = np.maximum(values, 0.0), vectors
        return self._spectra[xi]


class _Batch:
    """The pairs now being solved, one in a slot; the first ``width`` slots are in use."""

    def __init__(self, solver: BatchSolver, size: int) -> None:
        self.solver = solver
        n_groups, n, c = len(solver._gram), solver._gram.shape[1], solver.problem.n_classes
        self.size = size
        self.width = 0
        # one entry or row a slot
        self.tags = np.zeros(size, dtype=np.intp)
        self.kappa = np.zeros(size, dtype=np.intp)
        self.xi = np.zeros(size)
        self.n_iter = np.zeros(size, dtype=np.intp)
        self.mu = np.zeros(size)  # of the last iteration
        self.old_mu = np.zeros(size)  # of the one before
        self.lam = np.zeros(size)
        self.travelled = np.zeros(size)  # the way of R in the norm of T + δI
        self.converged = np.zeros(size, dtype=np.bool_)
        self.scan_order = np.zeros((size, n_groups), dtype=np.intp)
        self.residual = np.zeros((size, c, n))  # R
        self.residual_image = np.zeros((size, c, n))  # (T + δI)·R
        self.fitted = np.zeros((size, c, n))  # Σ_i X̃_i^T C_i
        self.unshrunk = np.zeros((size, c, n))  # Σ_i X̃_i^T Q_i
        self.steps = np.zeros((size, 128, c, n))  # R/μ of every iteration
        self.shrinks = np.zeros((size, 128, n_groups))
        # for each group, one entry or row a slot
        self.shrink = np.zeros((n_groups, size))  # s_i
        self.norms = np.zeros((n_groups, size))  # ‖Q_i‖
        self.dual_norms = np.zeros((n_groups, size))  # ‖P_i‖, NaN where not known
        self.anchors = np.zeros((n_groups, size))
        self.u = np.zeros((n_groups, size, c * n))  # X̃_i^T Q_i
        entries = (np.diff(solver.problem.starts) * c).astype(np.float64)
        self.first_norms = np.sqrt(entries)
        self.distance_bounds = solver.settings.tol * np.sqrt(entries)[:, None]

    def enter(self, slot: int, tag: int, kappa: int, xi: float) -> None:
        """Start a pair in a slot (a free one, or the next): C = ones, P = 0."""
        ones = self.solver._ones
        self.width = max(self.width, slot + 1)
        self.tags[slot], self.kappa[slot], self.xi[slot] = tag, kappa, xi
        self.n_iter[slot] = self.mu[slot] = self.old_mu[slot] = self.lam[slot] = self.travelled[slot] = 0
        self.converged[slot] = False
        self.scan_order[slot] = np.arange(len(ones))
        self.residual[slot] = self.residual_image[slot] = 0.0
        self.fitted[slot] = self.unshrunk[slot] = ones.sum(axis=0)
        self.shrink[:, slot] = 1.0
        self.norms[:, slot] = self.first_norms
        self.dual_norms[:, slot] = 0.0
        self.u[:, slot] = np.tile(ones, self.solver.problem.n_classes)

    def step(self) -> None:
        """One iteration of Algorithm 1 for every slot in use."""
        settings, solver, b = self.solver.settings, self.solver, self.width
        old_mu = self.mu[:b].copy()
        mu = np.where(self.n_iter[:b] == 0, settings.mu, np.minimum(settings.rho * old_mu, settings.mu_max))
        each, old_each = mu[:, None, None], old_mu[:, None, None]
        # X̃^T(P + μC), with P = μ_old(C − Q) of the last iteration
        penalty = old_each * (self.fitted[:b] - self.unshrunk[:b]) + each * self.fitted[:b]
        residual = self._residual(penalty, mu)
        image = (residual.reshape(-1, residual.shape[2]) @ solver._total_gram).reshape(residual.shape)
        step = residual / each
        self.unshrunk[:b] = self.fitted[:b] + image / each
        self._travel(residual, image)
        solver.n_products += advance(
            solver._gram,
            solver._reach,
            step.reshape(b, -1),
            mu,
            self.travelled[:b],
            self.kappa,
            self.u,
            self.shrink,
            self.norms,
            self.anchors,
            self.lam,
        )
        accumulate(self.u, self.shrink, self.fitted[:b].reshape(b, -1))
        norms, shrink = self.norms[:, :b], self.shrink[:, :b]
        # |‖P_i‖ − ‖P_i,old‖|/μ ≤ ‖C_i − D_i‖: where this is large, the exact test cannot pass
        dual_norms = np.where(norms < 0, np.nan, mu * (norms - shrink * norms))
        distance = np.abs(dual_norms - self.dual_norms[:, :b])
        possible = ~(distance > self.distance_bounds * mu).any(axis=0)
        self.dual_norms[:, :b] = dual_norms
        self.mu[:b], self.old_mu[:b] = mu, old_mu
        self._record(step)
        for slot in np.flatnonzero(possible):
            self.converged[slot] = self._has_converged(int(slot))

    def _residual(self, penalty: _FloatArray, mu: _FloatArray) -> _FloatArray:
        """R = (μ/2·I + X̃^T X̃)^{-1}(μL̃^T − X̃^T(P + μC)), its last entry scaled by √ξ for use with the unscaled G_i."""
        xi = self.xi[: self.width]
        right = mu[:, None, None] * self.solver.problem.labels.T
        penalty[:, :, -1] *= np.sqrt(xi)[:, None]
        right -= penalty
        residual = np.empty_like(right)
        # slots that share ξ share the eigenbasis; the queue keeps them together
        for value in np.unique(xi):
            slots = np.flatnonzero(xi == value)
            values, vectors = self.solver.spectrum(float(value))
            part = right[slots] @ vectors
            part /= 0.5 * mu[slots, None, None] + values
            residual[slots] = part @ vectors.T
        residual[:, :, -1] *= np.sqrt(xi)[:, None]
        return residual

    def _travel(self, residual: _FloatArray, image: _FloatArray) -> None:
        """Add the length of R's last move in the norm of T + δI, rounded up."""
        b = self.width
        image = image + self.solver._ridge * residual
        moved, image_moved = residual - self.residual[:b], image - self.residual_image[:b]
        squares = np.einsum("bcn,bcn->b", moved, image_moved)
        rounding = 8 * image.shape[2] * np.finfo(float).eps
        rounding *= np.sqrt(np.einsum("bcn,bcn->b", moved, moved) * np.einsum("bcn,bcn->b", image, image))
        self.travelled[:b] += np.sqrt(np.maximum(squares, 0.0) + rounding)
        self.residual[:b], self.residual_image[:b] = residual, image

    def _record(self, step: _FloatArray) -> None:
        slots, position = np.arange(self.width), self.n_iter[: self.width]
        if position.max() >= self.steps.shape[1]:
            self.steps = np.concatenate([self.steps, np.zeros_like(self.steps)], axis=1)
            self.shrinks = np.concatenate([self.shrinks, np.zeros_like(self.shrinks)], axis=1)
        self.steps[slots, position] = step
        self.shrinks[slots, position] = self.shrink[:, : self.width].T
        self.n_iter[: self.width] += 1

    def _has_converged(self, slot: int) -> bool:
        solver, t = self.solver, self.n_iter[slot]
        return not exceeds_tolerance(
            solver._blocks,
            solver.problem.starts,
            self.steps[slot, :t],
            self.shrinks[slot, :t],
            self.old_mu[slot] / self.mu[slot],
            solver.settings.tol,
            self.scan_order[slot],
        )

    def finished(self) -> list[int]:
        """Slots that have converged or are out of iterations, in ascending order."""
        done = self.converged[: self.width] | (self.n_iter[: self.width] >= self.solver.settings.max_iter)
        return [int(slot) for slot in np.flatnonzero(done)]

    def close(self, slot: int) -> None:
        """Give a slot's place to the last slot in use."""
        last = self.width - 1
        self.width = last
        if slot == last:
            return
        for of_slots in (self.tags, self.kappa, self.xi, self.mu, self.old_mu, self.lam, self.travelled):
            of_slots[slot] = of_slots[last]
        for rows in (self.scan_order, self.residual, self.residual_image, self.fitted, self.unshrunk):
            rows[slot] = rows[last]
        for of_groups in (self.shrink, self.norms, self.dual_norms, self.anchors):
            of_groups[:, slot] = of_groups[:, last]
        self.u[:, slot] = self.u[:, last]
        self.converged[slot] = self.converged[last]
        t = self.n_iter[slot] = self.n_iter[last]
        self.steps[slot, :t] = self.steps[last, :t]
        self.shrinks[slot, :t] = self.shrinks[last, :t]

    def solution(self, slot: int) -> CellSolution:
        """Rebuild what the recursion does not carry: A_i from the steps and the shrink factors."""
        solver, problem = self.solver, self.solver.problem
        t = int(self.n_iter[slot])
        shrinks = self.shrinks[slot, :t]
        norms = np.where(self.shrink[:, slot] > 0, self.shrink[:, slot] * self.norms[:, slot], 0.0)
        # C_i is the sum of the steps, each times the shrink factors since; E has the weight of the first step
        weights = np.cumprod(shrinks[::-1], axis=0)[::-1]
        coefficients = (weights.T @ self.steps[slot, :t].reshape(t, -1)).reshape(len(norms), *self.steps.shape[2:])
        decisions = np.tensordot(solver._cross, coefficients, axes=([1, 2], [0, 2]))
        decisions += (solver._target_ones @ weights[0])[:, None]
        fitted = self.fitted[slot].copy()
        fitted[:, -1] *= np.sqrt(self.xi[slot])
        lam = float(self.lam[slot])
        active = np.flatnonzero(self.shrink[:, slot])
        return CellSolution(
            kappa=int(self.kappa[slot]),
            xi=float(self.xi[slot]),
            n_iter=t,
            converged=bool(self.converged[slot]),
            objective=float(((fitted - problem.labels.T) ** 2).sum() + lam * norms.sum()),
            lam=lam,
            group_norms=norms,
            target_decisions=decisions,
            _active=active,
            _coefficients=coefficients[active],
            _offsets=weights[0, active],
            _problem=problem,
        )
