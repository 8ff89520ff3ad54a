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
from tgsr.solvers.kernel import accumulate, exceeds_tolerance, shrink_groups, step_groups
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
            coef[rows] = problem.rows[rows] @ coefficients + offset
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
        cross = np.empty((target.shape[1], n_groups, n))
        for i in range(n_groups):
            block = rows[starts[i] : starts[i + 1]]
            np.matmul(block.T, block, out=self._gram[i])
            cross[:, i] = target[starts[i] : starts[i + 1]].T @ block
        self._ones = np.add.reduceat(rows, starts[:-1], axis=0)
        self._cross = cross.reshape(len(cross), -1)
        self._target_ones = np.add.reduceat(target, starts[:-1], axis=0).T
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
        n_groups, n, c = len(solver._gram), solver._gram.shape[1], solver.problem.n_classes
        self.classes = c
        self.size = size
        self.width = 0  # slots in use: the first ones
        # one entry a slot
        self.tags = np.zeros(size, dtype=np.intp)
        self.kappa = np.zeros(size, dtype=np.intp)
        self.xi = np.zeros(size)
        self.n_iter = np.zeros(size, dtype=np.intp)
        self.mu = np.zeros(size)  # of the last iteration
        self.old_mu = np.zeros(size)  # of the one before
        self.lam = np.zeros(size)
        self.converged = np.zeros(size, dtype=np.bool_)
        self.scan_order = np.zeros((size, n_groups), dtype=np.intp)
        self.steps = np.zeros((size, 128, n, c))  # R/μ of every iteration
        self.shrinks = np.zeros((size, 128, n_groups))
        # one column a slot
        self.shrink = np.zeros((n_groups, size))
        self.norms = np.zeros((n_groups, size))  # ‖Q_i‖
        self.dual_norms = np.zeros((n_groups, size))  # ‖P_i‖
        self.inner = np.zeros((n_groups, size))
        # C columns a slot
        self.u = np.zeros((n_groups, n, size * c))  # X̃_i^T Q_i
        self.fitted = np.zeros((n, size * c))  # Σ_i X̃_i^T C_i
        self.unshrunk = np.zeros((n, size * c))  # Σ_i X̃_i^T Q_i
        entries = (np.diff(solver.problem.starts) * c).astype(np.float64)
        self.first_norms = np.sqrt(entries)
        self.distance_bounds = solver.settings.tol * np.sqrt(entries)

    def _columns(self, slot: int) -> slice:
        return slice(slot * self.classes, (slot + 1) * self.classes)

    def enter(self, slot: int, tag: int, kappa: int, xi: float) -> None:
        """Start a pair in a slot (a free one, or the next): C = ones, P = 0."""
        columns = self._columns(slot)
        self.width = max(self.width, slot + 1)
        self.tags[slot], self.kappa[slot], self.xi[slot] = tag, kappa, xi
        self.n_iter[slot] = self.mu[slot] = self.old_mu[slot] = self.lam[slot] = 0
        self.converged[slot] = False
        self.scan_order[slot] = np.arange(len(self.first_norms))
        self.shrink[:, slot] = 1.0
        self.norms[:, slot] = self.first_norms
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
        step = self._residual(penalty, mu_columns) / mu_columns
        self.unshrunk[:, :w] = self.fitted[:, :w] + solver._total_gram @ step
        step_groups(solver._gram, step, self.shrink, self.u, self.inner, w)
        possible = np.empty(b, dtype=np.bool_)
        shrink_groups(
            self.inner,
            self.kappa,
            mu,
            self.distance_bounds,
            self.norms,
            self.shrink,
            self.dual_norms,
            self.lam,
            possible,
        )
        accumulate(self.u, self.shrink, self.fitted, w)
        self.mu[:b], self.old_mu[:b] = mu, old_mu
        self._record(step)
        for slot in np.flatnonzero(possible):
            self.converged[slot] = self._has_converged(int(slot))

    def _residual(self, penalty: _FloatArray, mu_columns: _FloatArray) -> _FloatArray:
        """R = (μ/2·I + X̃^T X̃)^{-1}(μL̃^T − X̃^T(P + μC)), its last row scaled by √ξ for use with the unscaled G_i."""
        penalty[-1] *= np.repeat(np.sqrt(self.xi[: self.width]), self.classes)
        right = np.tile(self.solver.problem.labels, self.width) * mu_columns - penalty
        residual = np.empty_like(right)
        xi = self.xi[: self.width]
        # slots that share ξ share the eigenbasis; the queue keeps them together
        for value in np.unique(xi):
            columns = np.repeat(xi == value, self.classes)
            values, vectors = self.solver.spectrum(float(value))
            inverse = 1.0 / (0.5 * mu_columns[columns] + values[:, None])
            part = vectors @ (inverse * (vectors.T @ right[:, columns]))
            part[-1] *= np.sqrt(value)
            residual[:, columns] = part
        return residual

    def _record(self, step: _FloatArray) -> None:
        slots = np.arange(self.width)
        position = self.n_iter[: self.width]
        if position.max() >= self.steps.shape[1]:
            self.steps = np.concatenate([self.steps, np.zeros_like(self.steps)], axis=1)
            self.shrinks = np.concatenate([self.shrinks, np.zeros_like(self.shrinks)], axis=1)
        self.steps[slots, position] = step.reshape(len(step), -1, self.classes).transpose(1, 0, 2)
        self.shrinks[slots, position] = self.shrink[:, : self.width].T
        self.n_iter[: self.width] += 1

    def _has_converged(self, slot: int) -> bool:
        solver, t = self.solver, self.n_iter[slot]
        return not exceeds_tolerance(
            solver._columns,
            solver.problem.starts,
            self.steps[slot, :t].reshape(t, -1),
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
        for of_slots in (self.tags, self.kappa, self.xi, self.mu, self.old_mu, self.lam, self.converged):
            of_slots[slot] = of_slots[last]
        self.scan_order[slot] = self.scan_order[last]
        for of_groups in (self.shrink, self.norms, self.dual_norms):
            of_groups[:, slot] = of_groups[:, last]
        for sums in (self.fitted, self.unshrunk):
            sums[:, self._columns(slot)] = sums[:, self._columns(last)]
        self.u[:, :, self._columns(slot)] = self.u[:, :, self._columns(last)]
        t = self.n_iter[slot] = self.n_iter[last]
        self.steps[slot, :t] = self.steps[last, :t]
        self.shrinks[slot, :t] = self.shrinks[last, :t]

    def solution(self, slot: int) -> CellSolution:
        """Rebuild what the recursion does not carry: A_i from the steps and the shrink factors."""
        solver, problem = self.solver, self.solver.problem
        t = int(self.n_iter[slot])
        norms = self.shrink[:, slot] * self.norms[:, slot]
        # C_i is the sum of the steps, each times the shrink factors since; E has the weight of the first step
        weights = np.cumprod(self.shrinks[slot, t - 1 :: -1] if t > 1 else self.shrinks[slot, :1], axis=0)[::-1]
        steps = self.steps[slot, :t]
        coefficients = (weights.T @ steps.reshape(t, -1)).reshape(len(norms), *steps.shape[1:])
        decisions = solver._cross @ coefficients.reshape(-1, self.classes)
        decisions += (solver._target_ones @ weights[0])[:, None]
        residual = self.fitted[:, self._columns(slot)].copy()
        residual[-1] *= np.sqrt(self.xi[slot])
        residual -= problem.labels
        lam = float(self.lam[slot])
        active = np.flatnonzero(self.shrink[:, slot])
        return CellSolution(
            kappa=int(self.kappa[slot]),
            xi=float(self.xi[slot]),
            n_iter=t,
            converged=bool(self.converged[slot]),
            objective=float((residual * residual).sum() + lam * norms.sum()),
            lam=lam,
            group_norms=norms,
            target_decisions=decisions,
            _active=active,
            _coefficients=coefficients[active],
            _offsets=weights[0, active],
            _problem=problem,
        )
