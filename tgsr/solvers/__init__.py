"""Algorithm 1 and its parts: arrays in, a solution out."""

from tgsr.solvers._batch import BatchSolver
from tgsr.solvers._direct import solve_direct
from tgsr.solvers._problem import Problem, SolverSettings
from tgsr.solvers._solution import CellSolution
from tgsr.solvers.simplex import project_simplex

__all__ = [
    "BatchSolver",
    "CellSolution",
    "Problem",
    "SolverSettings",
    "project_simplex",
    "solve_direct",
]
