"""Algorithm 1 for any set of (κ, ξ) at once, by a recursion that needs only the Gram matrices of the groups.

With R = 2L̃^T − W, shared by all groups, an iteration is Q_i = C_i + X̃_i R/μ, C_i ← s_i Q_i, P_i ← μ(C_i − Q_i). In
the coordinates of `tgsr.solvers._gram`, X̃R = Ũy, and carried for each group are only Ũ_i^T Q_i and ‖Q_i‖²; C_i is
rebuilt from the steps y/μ and the shrink factors s_i when it is wanted. Neither κ nor ξ is in the Gram matrices: one
set of them serves every pair. The recursion is exact: the results are those of `tgsr.solvers._direct` up to rounding;
where its rounding would show, a group's norm is computed anew from its entries. Where groups are so small that Gram
matrices do not pay, the direct iteration is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.protocols import check_kappa, check_xi
from tgsr.solvers._direct import solve_direct
from tgsr.solvers._gram import GramSystem
from tgsr.solvers._problem import Problem, SolverSettings
from tgsr.solvers._solution import CellSolution

__all__ = ["BATCH_SIZE", "BatchSolver"]

BATCH_SIZE = 16
"""Pairs solved together: enough columns for BLAS, few enough for the cache (see studies/bench)."""
_FEW_CELLS = 8
"""So many cells bring in the cost of tight bounds."""
_LEAST_SHARE = 0.25
"""Features a group, as a share of the samples, below which K matrices of samples × samples cost more than they save."""

_FloatArray = npt.NDArray[np.float64]


class BatchSolver:
    """Solves any (κ, ξ) of one experiment; what depends on neither is computed once.

    Parameters
    ----------
    X, codes, n_classes, X_target, groups, X_new
        As in `Problem.build`, which also tells the errors raised.

    Attributes
    ----------
    system : GramSystem or None
        None where groups are so small that every cell is solved by the direct iteration.
    n_products : int
        Products with a Gram matrix made so far, one a pair and group: what the floating-point cost is counted in.

    Notes
    -----
    What else is solved at the same time does not change a bit of an answer: columns are padded in length and number
    (`tgsr.solvers._gram`, `tgsr.solvers._kernel`) so that each of OpenBLAS's kernels rounds all of them alike. Other
    kernels round differently: bits are those of a kind of processor. Any number of threads may call `solve`.
    """

    def __init__(
        self,
        X: _FloatArray,
        codes: npt.NDArray[np.integer],
        n_classes: int,
        X_target: _FloatArray | None,
        groups: npt.NDArray[np.integer],
        X_new: _FloatArray | None = None,
    ) -> None:
        self.problem = Problem.build(X, codes, n_classes, X_target, groups, X_new)
        n_features, n = self.problem.rows.shape
        small_groups = n_features < _LEAST_SHARE * n * self.problem.n_groups
        self.system = None if small_groups else GramSystem(self.problem)
        self.n_products = 0

    def solve(
        self,
        cells: Iterable[tuple[int, float]],
        settings: SolverSettings | None = None,
        codes: Sequence[npt.NDArray[np.integer]] | None = None,
    ) -> list[CellSolution]:
        """Solve the cells (κ, ξ), given and returned in the same order.

        ``codes`` are class indices (n_source,) for each cell, in place of the problem's own: what is prepared does not
        depend on labels, and the answers are those of fresh problems to the last bit.

        Raises
        ------
        ParameterError
            If a κ or ξ is out of range.
        DataError
            If class indices do not fit the problem.
        Interrupted
            See `tgsr.stopping`.
        """
        wanted = [(check_kappa(kappa, self.problem.n_groups), check_xi(xi)) for kappa, xi in cells]
        problems = [self.problem] * len(wanted) if codes is None else [self.problem.relabelled(own) for own in codes]
        with threadpool_limits(limits=1, user_api="blas"):
            solutions = dict(self._solve(wanted, problems, settings or SolverSettings()))
        return [solutions[index] for index in range(len(wanted))]

    def _solve(
        self, cells: Sequence[tuple[int, float]], problems: Sequence[Problem], settings: SolverSettings
    ) -> Iterator[tuple[int, CellSolution]]:
        system = self.system
        if system is None:
            for index, (problem, cell) in enumerate(zip(problems, cells, strict=True)):
                yield index, solve_direct(problem, *cell, settings)
            return
        from tgsr.solvers._slots import Batch  # compiled code, which a fitted model has no need of

        # pairs of similar κ keep similar groups: their columns are needed in the same products
        queue = sorted(range(len(cells)), key=lambda index: cells[index], reverse=True)
        batch = Batch(system, settings, min(BATCH_SIZE, len(cells)), tight=len(cells) >= _FEW_CELLS)

        def enter_next(slot: int) -> None:
            index = queue.pop()
            batch.enter(slot, index, *cells[index], system.explain(problems[index].labels))

        while queue or batch.width:
            while queue and batch.width < batch.size:
                enter_next(batch.width)
            for slot in reversed(batch.run()):
                yield int(batch.tags[slot]), batch.solution(slot)
                if queue:
                    enter_next(slot)
                else:
                    batch.close(slot)
        self.n_products += batch.n_products
