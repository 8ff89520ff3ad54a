"""Small convex programs: the spectrum of TKL, sample weights with a bound and a budget, shares of a mixture."""

from __future__ import annotations

import clarabel
import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.sparse

from tgsr.stopping import raise_if_stopped

__all__ = ["bounded_budget_qp", "damped_least_squares", "mixture_likelihood"]

Array = npt.NDArray[np.float64]

QP_TOL = 1e-12
"""Kernels are next to singular: at the solver's own 1e-8 an SVM's decisions on its weights are uncertain by .01."""


def damped_least_squares(quadratic: Array, linear: Array, zeta: float) -> Array:
    """Minimise ½ l^T H l − c^T l over l (q,) subject to l_i ≥ ζ·l_{i+1} and l ≥ 0, with H (q, q) ≥ 0, c (q,) and ζ > 0.

    With l = T m, where T_ij = ζ^{j−i} for i ≤ j, the constraints become m ≥ 0: non-negative least squares.
    """
    index = np.arange(len(linear))
    exponents = index[None, :] - index[:, None]
    # columns are scaled to a largest entry of 1, so that ζ^q cannot overflow
    shift = index[None, :] if zeta > 1 else 0
    with np.errstate(over="ignore", under="ignore"):
        damping = np.where(exponents >= 0, float(zeta) ** np.where(exponents >= 0, exponents - shift, 0), 0.0)
    H = damping.T @ quadratic @ damping
    norms = np.sqrt(np.maximum(np.diag(H), np.finfo(np.float64).tiny))
    H = H / np.outer(norms, norms)
    values, vectors = np.linalg.eigh(H)
    keep = values > values[-1] * len(values) * np.finfo(np.float64).eps
    root = np.sqrt(values[keep])
    design = root[:, None] * vectors[:, keep].T
    response = (vectors[:, keep].T @ ((damping.T @ linear) / norms)) / root
    m, _ = scipy.optimize.nnls(design, response, maxiter=100 * len(linear))
    spectrum: Array = damping @ (m / norms)
    return spectrum


def bounded_budget_qp(quadratic: Array, linear: Array, bound: float, low: float, high: float) -> Array:
    """Minimise ½ s^T H s − c^T s over s (n,) subject to 0 ≤ s ≤ bound and low ≤ Σ s ≤ high, with H (n, n) ≥ 0, c (n,).

    Raises
    ------
    ValueError
        If the constraints contradict each other, or the solver cannot reach its accuracy.
    Interrupted
        See `tgsr.stopping`.
    """
    raise_if_stopped()
    n = len(linear)
    if bound * n < low or high < low or bound <= 0 or high < 0:
        raise ValueError(f"no weights in [0, {bound}] of {n} samples have a sum in [{low}, {high}]")
    eye = scipy.sparse.identity(n, format="csc")
    ones = scipy.sparse.csc_matrix(np.ones((1, n)))
    rows, limits = [-eye, -ones, ones], [np.zeros(n), np.array([-low, high])]
    if bound < high:  # otherwise the budget implies it
        rows, limits = [*rows, eye], [*limits, np.full(n, bound)]
    A, b = scipy.sparse.vstack(rows, format="csc"), np.concatenate(limits)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = QP_TOL
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = settings.reduced_tol_feas = 1e4 * QP_TOL
    # the solver's tolerances are partly absolute: give it a problem of unit size
    scale = max(float(np.abs(quadratic).max()), float(np.abs(linear).max()), np.finfo(np.float64).tiny)
    P = scipy.sparse.triu(scipy.sparse.csc_matrix(quadratic / scale), format="csc")
    solution = clarabel.DefaultSolver(P, -linear / scale, A, b, [clarabel.NonnegativeConeT(len(b))], settings).solve()
    if str(solution.status) not in ("Solved", "AlmostSolved"):
        raise ValueError(f"the quadratic program for the sample weights ended with {solution.status}")
    s: Array = np.clip(np.array(solution.x), 0.0, bound)
    return s


_NEWTON_STEPS, _GAP = 100, 1e-11


def mixture_likelihood(densities: Array) -> Array:
    """Maximise Σ_t log(Mβ)_t over the simplex, the shares β (m,) of a mixture; M (n, m) ≥ 0 has no row of zeros.

    At the maximum of Σ_t log(Mβ)_t − n·Σβ over β ≥ 0 the shares add up to 1, so that the equation needs no multiplier.
    A primal–dual interior-point method takes some twenty Newton steps there, each a Cholesky factorisation of m × m.
    """
    n, m = densities.shape
    beta, slack = np.full(m, 1 / m), np.full(m, float(n))
    for _ in range(_NEWTON_STEPS):
        raise_if_stopped()
        mixed = densities @ beta
        gradient = n - densities.T @ (1 / mixed)
        gap = float(beta @ slack)
        if gap < _GAP * n and float(np.abs(gradient - slack).max()) < _GAP * n:
            break
        weighted = densities / mixed[:, None]
        centre = 0.1 * gap / m
        newton = scipy.linalg.cho_factor(weighted.T @ weighted + np.diag(slack / beta), check_finite=False)
        step = scipy.linalg.cho_solve(newton, centre / beta - gradient, check_finite=False)
        slack_step = centre / beta - slack - slack / beta * step
        ratio = np.concatenate([-step / beta, -slack_step / slack]).max()  # 1: to the boundary in a whole step
        length = min(1.0, 0.99 / ratio) if ratio > 0 else 1.0
        beta, slack = beta + length * step, slack + length * slack_step
    shares: Array = beta / beta.sum()
    for _ in range(50):  # the last digits by the multiplicative update, which only ever raises the likelihood
        shares = shares * (densities.T @ (1 / (densities @ shares))) / n
    return shares
