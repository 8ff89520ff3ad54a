"""The pairs (κ, ξ) that are being solved at the same time, and one iteration of all of them."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from tgsr.solvers.gram import GramSystem
from tgsr.solvers.kernel import accumulate, advance, exceeds_tolerance
from tgsr.solvers.problem import Problem, SolverSettings
from tgsr.solvers.solution import CellSolution

__all__ = ["Slots"]

_FloatArray = npt.NDArray[np.float64]


class Slots:
    """The pairs now being solved, one in a slot; the first ``width`` slots are in use."""

    def __init__(self, system: GramSystem, settings: SolverSettings, size: int) -> None:
        self.system = system
        self.settings = settings
        self.spectra: dict[float, tuple[_FloatArray, _FloatArray]] = {}
        self.n_products = 0
        problem = system.problem
        n_groups, n, c = problem.n_groups, system.gram.shape[1], problem.n_classes
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
        self.lost = np.zeros(size, dtype=np.bool_)  # too much rounding for the recursion
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
        self.summands = np.zeros((n_groups, size))  # the sizes that ‖Q_i‖² was added up from
        self.u = np.zeros((n_groups, size, c * n))  # X̃_i^T Q_i
        entries = (np.diff(problem.starts) * c).astype(np.float64)
        self.first_norms = settings.start * np.sqrt(entries)
        self.distance_bounds = settings.tol * np.sqrt(entries)[:, None]

    def enter(self, slot: int, tag: int, kappa: int, xi: float) -> None:
        """Start a pair in a slot (a free one, or the next): C = ones, P = 0."""
        ones = self.settings.start * self.system.ones
        self.width = max(self.width, slot + 1)
        self.tags[slot], self.kappa[slot], self.xi[slot] = tag, kappa, xi
        self.n_iter[slot] = self.mu[slot] = self.old_mu[slot] = self.lam[slot] = self.travelled[slot] = 0
        self.converged[slot] = self.lost[slot] = False
        self.scan_order[slot] = np.arange(len(ones))
        self.residual[slot] = self.residual_image[slot] = 0.0
        self.fitted[slot] = self.unshrunk[slot] = ones.sum(axis=0)
        self.shrink[:, slot] = 1.0
        self.norms[:, slot] = self.first_norms
        self.summands[:, slot] = self.first_norms**2
        self.dual_norms[:, slot] = 0.0
        self.u[:, slot] = np.tile(ones, self.system.problem.n_classes)

    def step(self) -> None:
        """One iteration of Algorithm 1 for every slot in use."""
        settings, system, b = self.settings, self.system, self.width
        old_mu = self.mu[:b].copy()
        mu = np.where(self.n_iter[:b] == 0, settings.mu, np.minimum(settings.rho * old_mu, settings.mu_max))
        each, old_each = mu[:, None, None], old_mu[:, None, None]
        # X̃^T(P + μC), with P = μ_old(C − Q) of the last iteration
        penalty = old_each * (self.fitted[:b] - self.unshrunk[:b]) + each * self.fitted[:b]
        residual = self._residual(penalty, mu)
        image = (residual.reshape(-1, residual.shape[2]) @ system.total).reshape(residual.shape)
        step = residual / each
        self.unshrunk[:b] = self.fitted[:b] + image / each
        self._travel(residual, image)
        self.n_products += advance(
            system.gram,
            system.reach,
            step.reshape(b, -1),
            mu,
            self.travelled[:b],
            self.kappa,
            self.u,
            self.shrink,
            self.norms,
            self.anchors,
            self.lam,
            self.summands,
            self.lost,
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
        right = mu[:, None, None] * self.system.problem.labels.T
        penalty[:, :, -1] *= np.sqrt(xi)[:, None]
        right -= penalty
        residual = np.empty_like(right)
        # slots that share ξ share the eigenbasis; the queue keeps them together
        for value in np.unique(xi):
            slots = np.flatnonzero(xi == value)
            values, vectors = self._spectrum(float(value))
            part = right[slots] @ vectors
            part /= 0.5 * mu[slots, None, None] + values
            residual[slots] = part @ vectors.T
        residual[:, :, -1] *= np.sqrt(xi)[:, None]
        return residual

    def _spectrum(self, xi: float) -> tuple[_FloatArray, _FloatArray]:
        if xi not in self.spectra:
            in_use = self.xi[: self.width]
            self.spectra = {known: spectrum for known, spectrum in self.spectra.items() if known in in_use}
            self.spectra[xi] = self.system.spectrum(xi)
        return self.spectra[xi]

    def _travel(self, residual: _FloatArray, image: _FloatArray) -> None:
        """Add the length of R's last move in the norm of T + δI, rounded up."""
        b = self.width
        image = image + self.system.ridge * residual
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
        t = self.n_iter[slot]
        return not exceeds_tolerance(
            self.system.blocks,
            self.system.problem.starts,
            self.steps[slot, :t],
            self.shrinks[slot, :t],
            self.old_mu[slot] / self.mu[slot],
            self.settings.start,
            self.settings.tol,
            self.scan_order[slot],
        )

    def finished(self) -> list[int]:
        """Slots that have converged, are lost or out of iterations, in ascending order."""
        b = self.width
        done = self.converged[:b] | self.lost[:b] | (self.n_iter[:b] >= self.settings.max_iter)
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
        for of_groups in (self.shrink, self.norms, self.dual_norms, self.anchors, self.summands):
            of_groups[:, slot] = of_groups[:, last]
        self.u[:, slot] = self.u[:, last]
        self.converged[slot], self.lost[slot] = self.converged[last], self.lost[last]
        t = self.n_iter[slot] = self.n_iter[last]
        self.steps[slot, :t] = self.steps[last, :t]
        self.shrinks[slot, :t] = self.shrinks[last, :t]

    def solution(self, slot: int) -> CellSolution:
        """Rebuild what the recursion does not carry: A_i from the steps and the shrink factors."""
        system, problem = self.system, self.system.problem
        t = int(self.n_iter[slot])
        shrinks = self.shrinks[slot, :t]
        norms = np.where(self.shrink[:, slot] > 0, self.shrink[:, slot] * self.norms[:, slot], 0.0)
        # C_i is the sum of the steps, each times the shrink factors since; E has the weight of the first step
        weights = np.cumprod(shrinks[::-1], axis=0)[::-1]
        coefficients = (weights.T @ self.steps[slot, :t].reshape(t, -1)).reshape(len(norms), *self.steps.shape[2:])
        decisions = np.tensordot(system.cross, coefficients, axes=([1, 2], [0, 2]))
        decisions += (system.target_ones @ (self.settings.start * weights[0]))[:, None]
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
            target_decisions=decisions[: problem.target.shape[1]],
            new_decisions=None if problem.new is None else decisions[problem.target.shape[1] :],
            _coef=partial(_rebuild, problem, active, coefficients[active], self.settings.start * weights[0, active]),
        )


def _rebuild(problem: Problem, groups: npt.NDArray[np.intp], a: _FloatArray, offsets: _FloatArray) -> _FloatArray:
    """C_i = X_i A_i + w_i E of the groups that are not zero, in the original order of the features."""
    coef = np.zeros((len(problem.rows), problem.n_classes))
    for i, coefficients, offset in zip(groups, a, offsets, strict=True):
        rows = slice(problem.starts[i], problem.starts[i + 1])
        coef[rows] = problem.rows[rows] @ coefficients.T + offset
    return problem.original_order(coef)
