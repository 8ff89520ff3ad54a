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

_QP_TOL = 1e-10
"""Of the interior point, from which the limits that bind are told; what is returned is exact for these."""

_QP_RIDGE = 1e-8
"""What is added to H's diagonal, in its largest entry: of weights that match almost equally well, the most even ones.
Kernels of wide widths are next to singular, and without it the last bits of a computer chose."""

_MOST_GUESSES, _ROUNDING = 50, 1e-12


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


def bounded_budget_qp(quadratic: Array, linear: Array, bound: float, low: float, high: float) -> tuple[Array, bool]:
    """Minimise ½ s^T H s − c^T s over s (n,) subject to 0 ≤ s ≤ bound and low ≤ Σ s ≤ high, with H (n, n) ≥ 0, c (n,).

    At an interior-point solver's tolerance of 1e-8 the weights are uncertain by .01, and an SVM's decisions with them.
    So its solution only serves to tell which limits bind; the rest is linear equations.

    Returns
    -------
    s : array of shape (n,)
    exact : bool
        Whether s meets the conditions of optimality to rounding.

    Raises
    ------
    ValueError
        If the constraints contradict each other, or no solution is found.
    Interrupted
        See `tgsr.stopping`.
    """
    raise_if_stopped()
    n = len(linear)
    if bound * n < low or high < low or bound <= 0 or high < 0:
        raise ValueError(f"no weights in [0, {bound}] of {n} samples have a sum in [{low}, {high}]")
    unit = float(np.abs(quadratic).max()) or 1.0
    H, c = quadratic / unit + _QP_RIDGE * np.eye(n), linear / unit
    eye = scipy.sparse.identity(n, format="csc")
    ones = scipy.sparse.csc_matrix(np.ones((1, n)))
    rows, limits = [-eye, -ones, ones], [np.zeros(n), np.array([-low, high])]
    if bound < high:  # otherwise the budget implies it
        rows, limits = [*rows, eye], [*limits, np.full(n, bound)]
    A, b = scipy.sparse.vstack(rows, format="csc"), np.concatenate(limits)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = _QP_TOL
    # the solver's tolerances are partly absolute: give it a problem of unit size
    size = max(1.0, float(np.abs(c).max()))
    P = scipy.sparse.triu(scipy.sparse.csc_matrix(H / size), format="csc")
    solution = clarabel.DefaultSolver(P, -c / size, A, b, [clarabel.NonnegativeConeT(len(b))], settings).solve()
    inside = np.clip(np.array(solution.x), 0.0, bound)
    s = _with_guessed_limits(H, c, bound, low, high, inside, (solution.z[n + 1] - solution.z[n]) * size)
    if s is None and str(solution.status) not in ("Solved", "AlmostSolved"):
        raise ValueError(f"the quadratic program for the sample weights ended with {solution.status}")
    return (inside, False) if s is None else (s, True)


def _with_guessed_limits(
    H: Array, c: Array, bound: float, low: float, high: float, s: Array, price: float
) -> Array | None:
    """The exact solution from one nearby, s (n,) and the budget's multiplier; None if it is not found.

    Primal–dual active sets (Hintermüller, Ito and Kunisch, SIAM J. Optimization 2002): a limit binds where a step down
    the slope would cross it. Solve for the rest, and guess anew, until the conditions of optimality hold.
    """
    size = max(1.0, float(np.abs(c).max()))
    for guess in range(_MOST_GUESSES):
        wished, wished_sum = s - (H @ s - c + price), s.sum() + price
        unmet = max(np.abs(s - np.clip(wished, 0, bound)).max(), abs(s.sum() - np.clip(wished_sum, low, high)))
        if guess > 0 and unmet <= _ROUNDING * max(size, np.abs(s).max()):
            return np.clip(s, 0.0, bound)
        free = np.flatnonzero((wished > 0) & (wished < bound))
        s = np.where(wished >= bound, bound, np.where(wished <= 0, 0.0, s))
        system = np.ones((len(free) + 1, len(free) + 1))
        system[:-1, :-1] = H[np.ix_(free, free)]
        missing = np.append((c - H @ s - price)[free], -price)  # without a binding budget its multiplier is 0
        system[-1, :-1] = 0.0
        if not low <= wished_sum <= high:
            system[-1], missing[-1] = 1.0, np.clip(wished_sum, low, high) - s.sum()
            system[-1, -1] = -np.finfo(np.float64).eps  # next to 0; there is a solution where no weight is free, too
        change = np.linalg.solve(system, missing)
        s[free] += change[:-1]
        price += change[-1]
    return None


_NEWTON_STEPS, _GAP = 100, 1e-11


def mixture_likelihood(densities: Array) -> tuple[Array, bool]:
    """Maximise Σ_t log(Mβ)_t over the simplex, the shares β (m,) of a mixture; M (n, m) ≥ 0 has no row of zeros.

    At the maximum of Σ_t log(Mβ)_t − n·Σβ over β ≥ 0 the shares add up to 1, so that the equation needs no multiplier.
    A primal–dual interior-point method takes some twenty Newton steps there, each a Cholesky factorisation of m × m.

    Returns
    -------
    shares : array of shape (m,)
    converged : bool
        Whether they are optimal to eleven digits.
    """
    n, m = densities.shape
    beta, slack = np.full(m, 1 / m), np.full(m, float(n))
    converged = False
    for _ in range(_NEWTON_STEPS):
        raise_if_stopped()
        mixed = densities @ beta
        gradient = n - densities.T @ (1 / mixed)
        gap = float(beta @ slack)
        converged = gap < _GAP * n and float(np.abs(gradient - slack).max()) < _GAP * n
        if converged:
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
    return shares, converged
