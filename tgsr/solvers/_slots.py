"""The pairs (κ, ξ) that are being solved at the same time: entering, leaving, and what is rebuilt of a finished one."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from tgsr.solvers._gram import ExplainedLabels, GramSystem
from tgsr.solvers._kernel import GROUP_COLUMNS, SCALAR_COLUMNS, Slots, decide, run
from tgsr.solvers._problem import SolverSettings
from tgsr.solvers._solution import TIE, CellSolution
from tgsr.stopping import raise_if_stopped

__all__ = ["Batch"]

_FloatArray = npt.NDArray[np.float64]
_FIRST_CAPACITY = 128


class Batch:
    """The pairs now being solved, one in each of ``size`` slots, of which the first ``width`` are in use."""

    def __init__(self, system: GramSystem, settings: SolverSettings, size: int, *, tight: bool) -> None:
        self._system, self._settings, self._arrays = system, settings, system.arrays(tight=tight)
        n_groups, m = self._arrays.ones.shape
        c = system.problem.n_classes
        self.tags = np.zeros(size, dtype=np.intp)
        self._labels: list[ExplainedLabels | None] = [None] * size
        self.width, self.size = 0, size
        entries = np.diff(system.problem.starts) * c
        self._first_norms = settings.start * np.sqrt(entries.astype(np.float64))
        self._first_u = np.tile(settings.start * self._arrays.ones, c)
        self._first_fitted = self._first_u.sum(axis=0).reshape(c, m)

        def zeros(*shape: int) -> _FloatArray:
            return np.zeros((size, *shape))

        self._slots = Slots(
            kappa=np.zeros(size, dtype=np.intp),
            n_iter=np.zeros(size, dtype=np.intp),
            converged=np.zeros(size, dtype=np.bool_),
            scalars=zeros(len(SCALAR_COLUMNS)),
            groups=zeros(n_groups, len(GROUP_COLUMNS)),
            right=zeros(c, m),
            y=zeros(c, m),
            fitted=zeros(c, m),
            unshrunk=zeros(c, m),
            steps=zeros(_FIRST_CAPACITY, c, m),
            shrinks=zeros(_FIRST_CAPACITY, n_groups),
            order=np.zeros((size, n_groups), dtype=np.intp),
            u=np.zeros((n_groups, size, c * m)),
            products=np.zeros(1, dtype=np.intp),
        )

    def _scalar(self, slot: int, name: str) -> float:
        return float(self._slots.scalars[slot, SCALAR_COLUMNS.index(name)])

    def _of_groups(self, slot: int, name: str) -> _FloatArray:
        return self._slots.groups[slot, :, GROUP_COLUMNS.index(name)]

    @property
    def n_products(self) -> int:
        """Products with a Gram matrix made so far."""
        return int(self._slots.products[0])

    def enter(self, slot: int, tag: int, kappa: int, xi: float, labels: ExplainedLabels) -> None:
        """Start a pair in a slot (a free one, or the next): C = ones or zeros, P = 0."""
        slots = self._slots
        self.width = max(self.width, slot + 1)
        self.tags[slot], slots.kappa[slot] = tag, kappa
        self._labels[slot], slots.right[slot] = labels, labels.right
        for state in (slots.n_iter, slots.converged, slots.scalars, slots.groups, slots.y):
            state[slot] = 0
        slots.scalars[slot, SCALAR_COLUMNS.index("xi")] = xi
        self._of_groups(slot, "shrink")[:] = 1.0
        self._of_groups(slot, "norm")[:] = self._first_norms
        self._of_groups(slot, "summands")[:] = self._first_norms**2
        slots.fitted[slot] = slots.unshrunk[slot] = self._first_fitted
        slots.order[slot] = np.arange(slots.order.shape[1])
        slots.u[:, slot] = self._first_u

    def run(self) -> list[int]:
        """Iterate until a pair is finished; return the slots of those that are, in ascending order.

        Raises
        ------
        Interrupted
            See `tgsr.stopping`.
        """
        settings, slots = self._settings, self._slots
        while True:
            full = slots.n_iter[: self.width].max() >= slots.steps.shape[1]
            if full:
                doubled = {name: np.concatenate([getattr(slots, name)] * 2, axis=1) for name in ("steps", "shrinks")}
                self._slots = slots = slots._replace(**doubled)
            run(
                self._arrays,
                slots,
                self.width,
                settings.start,
                float(settings.mu),
                float(settings.rho),
                float(settings.mu_max),
                float(settings.tol),
                int(settings.max_iter),
            )
            raise_if_stopped()
            done = slots.converged[: self.width] | (slots.n_iter[: self.width] >= settings.max_iter)
            if done.any():
                return [int(slot) for slot in np.flatnonzero(done)]

    def close(self, slot: int) -> None:
        """Give a slot's place to the last slot in use."""
        last = self.width - 1
        self.width = last
        if slot == last:
            return
        self.tags[slot], self._labels[slot] = self.tags[last], self._labels[last]
        self._slots.u[:, slot] = self._slots.u[:, last]
        for name, rows in self._slots._asdict().items():
            if name not in ("u", "products"):
                rows[slot] = rows[last]

    def solution(self, slot: int) -> CellSolution:
        """Rebuild what the recursion does not carry: the coordinates of C_i from the steps and the shrink factors."""
        system, slots, problem = self._system, self._slots, self._system.problem
        t, xi, lam = int(slots.n_iter[slot]), self._scalar(slot, "xi"), self._scalar(slot, "lam")
        shrink = self._of_groups(slot, "shrink")
        kept = shrink > TIE
        active, norms = np.flatnonzero(kept), np.where(kept, shrink * self._of_groups(slot, "norm"), 0.0)
        # C_i is the sum of the steps, each times the shrink factors since; the start has the weight of the first step
        weights = np.cumprod(slots.shrinks[slot, :t, active].T[::-1], axis=0)[::-1]
        steps = slots.steps[slot, :t]
        coordinates = (weights.T @ steps.reshape(t, -1)).reshape(len(active), *steps.shape[1:])
        offsets = self._settings.start * weights[0]
        decisions = np.repeat((system.target_ones[:, active] @ offsets)[:, None], problem.n_classes, axis=1)
        decide(system.cross, active, coordinates, decisions)
        n_target, fitted, labels = problem.target.shape[1], slots.fitted[slot], self._labels[slot]
        assert labels is not None
        predicted = system.singular * fitted  # V^T X^s^T C
        residual = labels.labels - predicted
        loss = labels.unexplained + (residual**2).sum() + xi * ((fitted @ self._arrays.shift) ** 2).sum()
        return CellSolution(
            kappa=int(slots.kappa[slot]),
            xi=xi,
            n_iter=t,
            converged=bool(slots.converged[slot]),
            complete=len(active) == slots.kappa[slot],
            objective=float(loss + lam * norms.sum()),
            lam=lam,
            group_norms=norms,
            source_decisions=system.right_vectors @ predicted.T,
            target_decisions=decisions[:n_target],
            _coef=partial(_rebuild, system, active, coordinates, offsets),
            new_decisions=None if problem.new is None else decisions[n_target:],
        )


def _rebuild(
    system: GramSystem, groups: npt.NDArray[np.intp], coordinates: _FloatArray, offsets: _FloatArray
) -> _FloatArray:
    """C_i = Ũ_i A_i + w_i E of the groups that are not zero, in the original order of the features."""
    problem = system.problem
    coef = np.zeros((len(problem.rows), problem.n_classes))
    for i, of_group, offset in zip(groups, coordinates, offsets, strict=True):
        rows = slice(problem.starts[i], problem.starts[i + 1])
        coef[rows] = system.basis[rows] @ of_group.T + offset
    return problem.original_order(coef)
