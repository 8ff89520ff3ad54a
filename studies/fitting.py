"""Solving claimed cells: a batch to the solver in one call, scores, and what is stored of each trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from studies.ledger import Claim
from studies.space import Cell
from studies.spec import StudySpec
from tgsr.datasets import DatabasePair
from tgsr.estimators.tgsr import feature_groups
from tgsr.evaluation import mask_target, score, score_batch
from tgsr.evaluation.selection import get_rule
from tgsr.solvers import BatchSolver, CellSolution
from tgsr.tracking.records import TrialRecord

__all__ = ["Fitted", "Fitter"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A solved cell with its scores.

    Attributes
    ----------
    solution : CellSolution
    value : float
        The selection rule's value.
    metrics : dict
        What MLflow gets.
    start_ms, end_ms : int
    """

    solution: CellSolution
    value: float
    metrics: dict[str, float]
    start_ms: int
    end_ms: int

    def record(self, number: int, *, with_coef: bool = True) -> TrialRecord:
        """What is stored of the trial with this number."""
        return TrialRecord(
            number=number,
            kappa=self.solution.kappa,
            xi=self.solution.xi,
            metrics=self.metrics,
            group_norms=self.solution.group_norms,
            coef=self.solution.coef() if with_coef else None,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
        )


class Fitter:
    """Solver and selection rule of one study, prepared once.

    Parameters
    ----------
    spec : StudySpec
    pair : DatabasePair
        The databases; the target's labels go to the scorer (and to a rule that is an oracle) only.
    jobs : int
        Threads, each with one BLAS thread.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, jobs: int = 1) -> None:
        spec.check_data(pair)
        self._pair = pair
        task = mask_target(pair)
        groups = feature_groups(spec.grouping, task.X.shape[1])
        self.solver = BatchSolver(task.X, task.y, len(task.class_names), task.X_target, groups, spec.settings)
        self._values = get_rule(spec.selection).build(pair, groups, spec.settings, spec.seed)
        self._jobs = jobs

    def fit(self, cells: Sequence[Cell]) -> list[Fitted]:
        """Solve and score cells, those of one ξ together."""
        xis = list(dict.fromkeys(xi for _, xi in cells))
        parts = [[index for index, (_, at) in enumerate(cells) if at == xi] for xi in xis]
        if len(parts) > 4 * self._jobs:  # sampled cells hardly share a ξ: then any of them may share a batch
            parts = [list(range(start, len(cells), self._jobs)) for start in range(self._jobs)]
        fitted: list[Fitted | None] = [None] * len(cells)
        # BLAS's limit is the process's, so it is set once around all threads
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(self._jobs) as pool:
            solved = pool.map(lambda part: self._fit_part([cells[index] for index in part]), parts)
            for part, results in zip(parts, solved, strict=True):
                for index, result in zip(part, results, strict=True):
                    fitted[index] = result
        return [result for result in fitted if result is not None]

    def _fit_part(self, cells: Sequence[Cell]) -> list[Fitted]:
        """Solve cells together and score them; the time of the batch is shared out evenly."""
        start_ms, started = int(time.time() * 1000), time.perf_counter()
        solutions = self.solver.solve(cells)
        seconds = (time.perf_counter() - started) / len(cells)
        values = self._values(solutions)
        codes = np.array([solution.target_codes for solution in solutions])
        scores = score_batch(self._pair.target.labels, codes, len(self._pair.target.class_names))
        end_ms = int(time.time() * 1000)
        return [
            Fitted(
                solution,
                float(value),
                {
                    **scores[index].as_metrics(self._pair.target.class_names),
                    "selection_value": float(value),
                    "objective": solution.objective,
                    "iterations": float(solution.n_iter),
                    "converged": float(solution.converged),
                    "regions_kept": float(np.count_nonzero(solution.group_norms)),
                    "fit_seconds": seconds,
                },
                start_ms,
                end_ms,
            )
            for index, (solution, value) in enumerate(zip(solutions, values, strict=True))
        ]

    def fit_alone(self, cell: Cell) -> Fitted:
        """Solve one cell by itself: its last bits then depend on nothing else."""
        return self.fit([cell])[0]

    def confusion(self, fitted: Fitted) -> dict[str, Any]:
        """Confusion matrix on the target (rows are true classes), as JSON values."""
        target = self._pair.target
        matrix = score(target.labels, fitted.solution.target_codes, len(target.class_names)).confusion
        return {"classes": list(target.class_names), "confusion": matrix.tolist()}

    def fit_claims(self, claims: Sequence[Claim]) -> list[Fitted]:
        """Solve the cells of claims."""
        return self.fit([claim.cell for claim in claims])
