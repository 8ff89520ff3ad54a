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
from tgsr.solvers.kernel import accumulate, first_exceeding, step_all
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
        self._columns = np.ascontiguousarray(rows.T)
        self._gram = np.empty((n_groups, n, n))
        self._cross = np.empty((n_groups, target.shape[1], n))
        for i in range(n_groups):
            block = rows[starts[i] : starts[i + 1]]
            np.matmul(block.T, block, out=self._gram[i])
            np.matmul(target[starts[i] : starts[i + 1]].T, block, out=self._cross[i])
        self._ones = np.add.reduceat(rows, starts[:-1], axis=0)
        self._target_ones = np.add.reduceat(target, starts[:-1], axis=0) if target.size else np.zeros((n_groups, 0))
        self._total_gram = self._gram.sum(axis=0)
        self._spectra: dict[float, tuple[_FloatArray, _FloatArray]] = {}

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
                    batch.enter(index, *cells[index])
                batch.step()
                for slot in reversed(batch.finished()):
                    yield batch.tags[slot], batch.leave(slot)
            self._spectra.clear()

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
    """The pairs now being solved; slot b owns the columns C·b … C·b + C − 1 of the work arrays."""

    def __init__(self, solver: BatchSolver, size: int) -> None:
        self.solver = solver
        self.size = size
        self.width = 0  # slots in use: the first ones
        n_groups, n, c = len(solver._gram), solver._gram.shape[1], solver.problem.n_classes
        self.classes = c
        self.tags: list[int] = [0] * size
        self.kappa = np.zeros(size, dtype=np.intp)
        self.xi = np.zeros(size)
        self.n_iter = np.zeros(size, dtype=np.intp)
        self.mu = np.zeros(size)  # of the last iteration
        self.old_mu = np.zeros(size)  # of the one before
        self.lam = np.zeros(size)
        self.scan_order: list[list[int]] = [[] for _ in range(size)]
        self.shrink = np.zeros((n_groups, size))
        self.norms = np.zeros((n_groups, size))  # ‖Q_i‖
        self.dual_norms = np.zeros((n_groups, size))  # ‖P_i‖
        self.converged = np.zeros(size, dtype=bool)
        self.u = np.zeros((n_groups, n, size * c))
        self.inner = np.zeros((n_groups, size * c))
        self.fitted = np.zeros((n, size * c))  # Σ_i X̃_i^T C_i
        self.unshrunk = np.zeros((n, size * c))  # Σ_i X̃_i^T Q_i
        self.steps = np.zeros((size, 128, n, c))
        self.shrinks = np.zeros((size, 128, n_groups))
        group_sizes = np.diff(solver.problem.starts)
        self.group_entries = (group_sizes * c).astype(np.float64)
        self.distance_bound = solver.settings.tol * np.sqrt(self.group_entries)

    def _columns(self, slot: int) -> slice:
        return slice(slot * self.classes, (slot + 1) * self.classes)

    def enter(self, tag: int, kappa: int, xi: float) -> None:
        """Start a pair in the next free slot: C = ones, P = 0."""
        slot, columns = self.width, self._columns(self.width)
        self.width += 1
        self.tags[slot] = tag
        self.kappa[slot], self.xi[slot] = kappa, xi
        self.n_iter[slot] = self.mu[slot] = self.lam[slot] = 0
        self.converged[slot] = False
        self.scan_order[slot] = list(range(len(self.group_entries)))
        self.shrink[:, slot] = 1.0
        self.norms[:, slot] = np.sqrt(self.group_entries)
        self.dual_norms[:, slot] = 0.0
        self.u[:, :, columns] = self.solver._ones[:, :, None]
        self.fitted[:, columns] = self.unshrunk[:, columns] = self.solver._ones.sum(axis=0)[:, None]

    def step(self) -> None:
        """One iteration of Algorithm 1 for every slot in use."""
        settings, solver = self.solver.settings, self.solver
        b, w = self.width, self.width * self.classes
        old_mu = self.mu[:b].copy()
        mu = np.where(self.n_iter[:b] == 0, settings.mu, np.minimum(settings.rho * old_mu, settings.mu_max))
        old_columns, mu_columns = np.repeat(old_mu, self.classes), np.repeat(mu, self.classes)
        # X̃^T(P + μC), with P = μ_old(C − Q) of the last iteration
        penalty = old_columns * (self.fitted[:, :w] - self.unshrunk[:, :w]) + mu_columns * self.fitted[:, :w]
        step = self._residual(penalty, mu) / mu_columns
        self.unshrunk[:, :w] = self.fitted[:, :w] + solver._total_gram @ step
        factors = np.repeat(self.shrink[:, :b], self.classes, axis=1)
        step_all(solver._gram, step, factors, self.u, self.inner, w)
        inner = self.inner[:, :w].reshape(-1, b, self.classes).sum(axis=2)
        kept = self.shrink[:, :b] * self.norms[:, :b]  # ‖C_i‖
        norms = np.sqrt(np.maximum(kept * kept + inner, 0.0))
        threshold = self._threshold(norms)
        shrink = np.where(norms > threshold, 1.0 - threshold / np.where(norms > 0, norms, 1.0), 0.0)
        dual_norms = mu * (norms - shrink * norms)
        # |‖P_i‖ − ‖P_i,old‖|/μ ≤ ‖C_i − D_i‖: where this is large, the exact test cannot pass
        bound = np.abs(dual_norms - self.dual_norms[:, :b]) / mu
        possible = np.flatnonzero((bound <= self.distance_bound[:, None]).all(axis=0))
        self._record(step, shrink)
        self.shrink[:, :b], self.norms[:, :b], self.dual_norms[:, :b] = shrink, norms, dual_norms
        self.mu[:b], self.old_mu[:b], self.lam[:b] = mu, old_mu, mu * threshold
        self.n_iter[:b] += 1
        for slot in possible:
            self.converged[slot] = self._has_converged(int(slot))
        accumulate(self.u, np.repeat(shrink, self.classes, axis=1), self.fitted, w)

    def _residual(self, penalty: _FloatArray, mu: _FloatArray) -> _FloatArray:
        """R = (μ/2·I + X̃^T X̃)^{-1}(μL̃^T − X̃^T(P + μC)), its last row scaled by √ξ for use with the unscaled G_i."""
        labels = self.solver.problem.labels
        residual = np.empty_like(penalty)
        xi = self.xi[: self.width]
        # slots that share ξ share the eigenbasis; the queue keeps them together
        for value in np.unique(xi):
            slots = np.flatnonzero(xi == value)
            columns = (slots[:, None] * self.classes + np.arange(self.classes)).ravel()
            values, vectors = self.solver.spectrum(float(value))
            part = np.tile(labels, len(slots)) * np.repeat(mu[slots], self.classes)
            scaled = penalty[:, columns]
            scaled[-1] *= np.sqrt(value)
            part -= scaled
            inverse = 1.0 / (0.5 * np.repeat(mu[slots], self.classes) + values[:, None])
            part = vectors @ (inverse * (vectors.T @ part))
            part[-1] *= np.sqrt(value)
            residual[:, columns] = part
        return residual

    def _threshold(self, norms: _FloatArray) -> _FloatArray:
        """d_(κ+1) of each slot; 0 where every group is kept."""
        n_groups = len(norms)
        descending = -np.sort(-norms, axis=0)
        kappa = self.kappa[: self.width]
        slots = np.arange(self.width)
        return np.where(kappa < n_groups, descending[np.minimum(kappa, n_groups - 1), slots], 0.0)

    def _record(self, step: _FloatArray, shrink: _FloatArray) -> None:
        b = self.width
        position = self.n_iter[:b]
        if position.max() >= self.steps.shape[1]:
            self.steps = np.concatenate([self.steps, np.zeros_like(self.steps)], axis=1)
            self.shrinks = np.concatenate([self.shrinks, np.zeros_like(self.shrinks)], axis=1)
        slots = np.arange(b)
        self.steps[slots, position] = step.reshape(len(step), b, self.classes).transpose(1, 0, 2)
        self.shrinks[slots, position] = shrink.T

    def finished(self) -> list[int]:
        """Slots that have converged or are out of iterations, in ascending order."""
        done = self.converged[: self.width] | (self.n_iter[: self.width] >= self.solver.settings.max_iter)
        return [int(slot) for slot in np.flatnonzero(done)]

    def _has_converged(self, slot: int) -> bool:
        """max|C − D| < tol, entry by entry.

        The groups that refuted convergence last are looked at first: most refutations then read one group only.
        """
        solver, order = self.solver, self.scan_order[slot]
        for groups in (np.array(order[:1]), np.array(order[1:])):
            if groups.size == 0:
                break
            weights, offsets = self._distance_weights(slot, groups)
            steps = self.steps[slot, : len(weights)].reshape(len(weights), -1)
            combined = (weights.T @ steps).reshape(len(groups), -1, self.classes)
            coefficients = np.ascontiguousarray(combined.transpose(0, 2, 1))
            found = first_exceeding(
                solver._columns, solver.problem.starts, groups, coefficients, offsets, solver.settings.tol
            )
            if found >= 0:
                order.remove(found)
                order.insert(0, found)
                return False
        return True

    def _distance_weights(self, slot: int, groups: npt.NDArray[np.intp]) -> tuple[_FloatArray, _FloatArray]:
        """C − D of some groups as a combination of the steps taken, (n_iter, len(groups)), and of E, (len(groups),)."""
        shrinks = self.shrinks[slot, : self.n_iter[slot], groups].T
        if len(shrinks) == 1:
            return shrinks - 1.0, shrinks[0] - 1.0
        # C − D = (C − Q) − (μ_old/μ)(C − Q)_old, with Q = s_old Q_old + (the last step)
        before, now = shrinks[-2], shrinks[-1]
        factor = (self.old_mu[slot] / self.mu[slot]) * (1.0 - before) - (1.0 - now) * before
        products = _products_from(shrinks[:-2])  # Π of the shrink factors between a step and Q_old
        return np.vstack([products * factor, now - 1.0]), products[0] * factor

    def leave(self, slot: int) -> CellSolution:
        """Take a slot's solution and give its place to the last slot in use."""
        solution = self._solution(slot)
        last = self.width - 1
        if slot != last:
            for each in (self.kappa, self.xi, self.n_iter, self.mu, self.old_mu, self.lam, self.converged):
                each[slot] = each[last]
            self.tags[slot], self.scan_order[slot] = self.tags[last], self.scan_order[last]
            for of_groups in (self.shrink, self.norms, self.dual_norms):
                of_groups[:, slot] = of_groups[:, last]
            for sums in (self.fitted, self.unshrunk):
                sums[:, self._columns(slot)] = sums[:, self._columns(last)]
            self.u[:, :, self._columns(slot)] = self.u[:, :, self._columns(last)]
            filled = self.n_iter[last]
            self.steps[slot, :filled] = self.steps[last, :filled]
            self.shrinks[slot, :filled] = self.shrinks[last, :filled]
        self.width -= 1
        return solution

    def _solution(self, slot: int) -> CellSolution:
        solver, problem = self.solver, self.solver.problem
        n_iter = int(self.n_iter[slot])
        norms = self.shrink[:, slot] * self.norms[:, slot]
        active = np.flatnonzero(self.shrink[:, slot])
        weights = _products_from(self.shrinks[slot, :n_iter][:, active])[:-1]
        steps = self.steps[slot, :n_iter]
        coefficients = (weights.T @ steps.reshape(n_iter, -1)).reshape(len(active), *steps.shape[1:])
        offsets = weights[0]
        decisions = np.tensordot(solver._cross[active], coefficients, axes=([0, 2], [0, 1]))
        decisions += (offsets @ solver._target_ones[active])[:, None]
        residual = self.fitted[:, self._columns(slot)].copy()
        residual[-1] *= np.sqrt(self.xi[slot])
        residual -= problem.labels
        lam = float(self.lam[slot])
        return CellSolution(
            kappa=int(self.kappa[slot]),
            xi=float(self.xi[slot]),
            n_iter=n_iter,
            converged=bool(self.converged[slot]),
            objective=float((residual * residual).sum() + lam * norms.sum()),
            lam=lam,
            group_norms=norms,
            target_decisions=decisions,
            _active=active,
            _coefficients=np.ascontiguousarray(coefficients.transpose(0, 2, 1)),
            _offsets=offsets,
            _problem=problem,
        )


def _products_from(shrinks: _FloatArray) -> _FloatArray:
    """Row τ: the product of rows τ, τ + 1, … (last row: ones); shape (t + 1, K) for t rows."""
    products = np.ones((len(shrinks) + 1, shrinks.shape[1]))
    products[:-1] = np.cumprod(shrinks[::-1], axis=0)[::-1]
    return products
