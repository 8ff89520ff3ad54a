"""Algorithm 1 and its parts: arrays in, a solution out."""

from tgsr.solvers.batch import BatchSolver
from tgsr.solvers.direct import DirectSolution, solve_direct
from tgsr.solvers.problem import Problem, SolverSettings
from tgsr.solvers.simplex import project_simplex
from tgsr.solvers.solution import CellSolution

__all__ = [
    "BatchSolver",
    "CellSolution",
    "DirectSolution",
    "Problem",
    "SolverSettings",
    "project_simplex",
    "solve_direct",
]
