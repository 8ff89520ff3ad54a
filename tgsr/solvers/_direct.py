"""Algorithm 1 as it is written down: the readable reference that the fast solver is compared with.

Step 3 has the corrected sign, P ← P + μ(C − D): it is the ascent step of the Lagrangian term +tr P^T(C − D), and the
printed P + μ(D − C) diverges. The p × p inverse of step 1 is taken by the singular vectors of X̃, X̃ = UΣV^T:

    D = U((μI + 2Σ²)^{-1}U^T(2X̃L̃^T + P + μC) − U^T(P + μC)/μ) + (P + μC)/μ,

which is what it is on U's span, and division by μ outside of it, where X̃L̃^T has nothing; everything else is literal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from tgsr.protocols import check_kappa, check_xi
from tgsr.solvers._problem import Problem, SolverSettings

__all__ = ["DirectSolution", "group_norms", "solve_direct"]


@dataclass(frozen=True, eq=False)
class DirectSolution:
    """What Algorithm 1 ends with.

    Attributes
    ----------
    coef : array of shape (p, n_classes)
        C, in the original order of the features.
    group_norms : array of shape (n_groups,)
        ‖C_i‖_F.
    shrink : array of shape (n_groups,)
        The last shrink factors, ‖C_i‖/‖Q_i‖.
    n_iter : int
    converged : bool
        Whether max|C − D| < tol was reached.
    objective : float
        Value of Equ. (2) at C with the last λ.
    lam : float
        The last λ = μ·d_(κ+1).
    distances : list of float
        max|C − D| after each iteration.
    """

    coef: npt.NDArray[np.float64]
    group_norms: npt.NDArray[np.float64]
    shrink: npt.NDArray[np.float64]
    n_iter: int
    converged: bool
    objective: float
    lam: float
    distances: list[float]


def group_norms(coef: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Frobenius norm of each group's rows: shape (n_groups,)."""
    return np.sqrt(np.add.reduceat((coef * coef).sum(axis=1), starts[:-1]))


def solve_direct(problem: Problem, kappa: int, xi: float, settings: SolverSettings | None = None) -> DirectSolution:
    """Run Algorithm 1 (page 3 of the paper) on problem (2), on all p features in every iteration.

    In double precision. On features of sizes from 1e-9 to 1e5, and groups that differ by 1e6 in size, it agrees with
    extended precision (``tests/solvers/reference.py``) to 1e-6 of the largest coefficient; beyond, or where norms of
    groups are equal up to rounding, it is not known to.

    Raises
    ------
    ParameterError
        If κ or ξ is out of range.
    """
    settings = settings or SolverSettings()
    check_kappa(kappa, problem.n_groups)
    x = problem.scaled_rows(check_xi(xi))  # X̃
    labels = problem.labels
    u, singular, vt = scipy.linalg.svd(x, full_matrices=False)
    twice_xl = 2.0 * singular[:, None] * (vt @ labels)  # in the span of U
    c = np.full((len(x), problem.n_classes), settings.start)
    p = np.zeros_like(c)
    mu = settings.mu
    lam = 0.0
    distances: list[float] = []
    converged = False
    while len(distances) < settings.max_iter and not converged:
        # step 1: D = (μI + 2X̃X̃^T)^{-1}(2X̃L̃^T + P + μC)
        v = p + mu * c
        inside = u.T @ v
        d = u @ ((twice_xl + inside) / (mu + 2.0 * singular**2)[:, None] - inside / mu) + v / mu
        # step 2: keep the κ groups of Q = D − P/μ with the largest norms
        q = d - p / mu
        norms = group_norms(q, problem.starts)
        threshold = np.sort(norms)[::-1][kappa] if kappa < problem.n_groups else 0.0  # λ/μ = d_(κ+1)
        lam = mu * threshold
        shrink = _shrink_factors(norms, threshold)
        c = np.repeat(shrink, np.diff(problem.starts))[:, None] * q
        # steps 3 and 4
        p = p + mu * (c - d)
        distances.append(float(np.abs(c - d).max()))
        converged = distances[-1] < settings.tol
        mu = min(settings.rho * mu, settings.mu_max)
    norms = group_norms(c, problem.starts)
    residual = labels - x.T @ c
    objective = float((residual * residual).sum() + lam * norms.sum())
    coef = problem.original_order(c)
    return DirectSolution(coef, norms, shrink, len(distances), converged, objective, lam, distances)


def _shrink_factors(norms: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.float64]:
    """max(0, 1 − threshold/‖Q_i‖), with 0 for an empty Q_i: the proximal operator of the group lasso."""
    kept = norms > threshold
    return np.where(kept, 1.0 - threshold / np.where(kept, norms, 1.0), 0.0)
