"""Algorithm 1 as it is written down: the readable reference that the fast solver is compared with.

Step 3 has the corrected sign, P ← P + μ(C − D): it is the ascent step of the Lagrangian term +tr P^T(C − D), and the
printed P + μ(D − C) diverges. The p × p inverse of step 1 is taken by the singular vectors of X̃, X̃ = UΣV^T:

    D = U((μI + 2Σ²)^{-1}U^T(2X̃L̃^T + P + μC) − U^T(P + μC)/μ) + (P + μC)/μ,

which is what it is on U's span, and division by μ outside of it, where X̃L̃^T has nothing; everything else is literal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg

from tgsr.protocols import check_kappa, check_xi
from tgsr.solvers._problem import Problem, SolverSettings
from tgsr.solvers._solution import TIE, CellSolution
from tgsr.stopping import raise_if_stopped

__all__ = ["solve_direct"]


def solve_direct(problem: Problem, kappa: int, xi: float, settings: SolverSettings | None = None) -> CellSolution:
    """Run Algorithm 1 (page 3 of the paper) on problem (2), on all p features in every iteration.

    In double precision. On features of sizes from 1e-9 to 1e5, and groups that differ by 1e6 in size, it agrees with
    extended precision (``tests/solvers/reference.py``) to 1e-6 of the largest coefficient; beyond, or where norms of
    groups are equal up to rounding, it is not known to.

    Raises
    ------
    ParameterError
        If κ or ξ is out of range.
    Interrupted
        See `tgsr.stopping`.
    """
    settings = settings or SolverSettings()
    kappa, xi = check_kappa(kappa, problem.n_groups), check_xi(xi)
    x = problem.scaled_rows(xi)  # X̃
    labels = problem.labels
    u, singular, vt = scipy.linalg.svd(x, full_matrices=False)
    twice_xl = 2.0 * singular[:, None] * (vt @ labels)  # in the span of U
    c = np.full((len(x), problem.n_classes), settings.start)
    p = np.zeros_like(c)
    mu, lam, n_iter, converged = settings.mu, 0.0, 0, False
    while n_iter < settings.max_iter and not converged:
        raise_if_stopped()
        # step 1: D = (μI + 2X̃X̃^T)^{-1}(2X̃L̃^T + P + μC)
        v = p + mu * c
        inside = u.T @ v
        d = u @ ((twice_xl + inside) / (mu + 2.0 * singular**2)[:, None] - inside / mu) + v / mu
        # step 2: keep the κ groups of Q = D − P/μ with the largest norms
        q = d - p / mu
        norms = _group_norms(q, problem.starts)
        threshold = np.sort(norms)[::-1][kappa] if kappa < problem.n_groups else 0.0  # λ/μ = d_(κ+1)
        lam = mu * threshold
        shrink = _shrink_factors(norms, threshold)
        c = np.repeat(shrink, np.diff(problem.starts))[:, None] * q
        # steps 3 and 4
        p = p + mu * (c - d)
        n_iter += 1
        converged = float(np.abs(c - d).max()) < settings.tol
        mu = min(settings.rho * mu, settings.mu_max)
    norms = _group_norms(c, problem.starts)
    residual = labels - x.T @ c
    return CellSolution(
        kappa=kappa,
        xi=xi,
        n_iter=n_iter,
        converged=converged,
        complete=int((shrink > TIE).sum()) == kappa,
        objective=float((residual * residual).sum() + lam * norms.sum()),
        lam=lam,
        group_norms=norms,
        source_decisions=problem.rows[:, :-1].T @ c,
        target_decisions=problem.target.T @ c,
        _coef=lambda: problem.original_order(c),
        new_decisions=None if problem.new is None else problem.new.T @ c,
    )


def _group_norms(coef: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Frobenius norm of each group's rows: shape (n_groups,)."""
    return np.sqrt(np.add.reduceat((coef * coef).sum(axis=1), starts[:-1]))


def _shrink_factors(norms: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.float64]:
    """max(0, 1 − threshold/‖Q_i‖), with 0 for an empty Q_i: the proximal operator of the group lasso."""
    kept = norms > threshold
    return np.where(kept, 1.0 - threshold / np.where(kept, norms, 1.0), 0.0)
