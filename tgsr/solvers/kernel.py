"""The compiled inner loops of the batched solver.

All pairs (κ, ξ) of a batch share the Gram matrices G_i of the groups; each owns C (n_classes) neighbouring columns of
the work arrays. SciPy's own BLAS does the products, called once a group so that the element-wise work finds its block
in the cache. None of the functions allocates more than a vector, and all of them release the interpreter's lock.
"""

from __future__ import annotations

import ctypes

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

__all__ = ["accumulate", "exceeds_tolerance", "shrink_groups", "step_groups"]

_POINTER = ctypes.c_void_p
_dgemm = ctypes.CFUNCTYPE(None, *[_POINTER] * 13)(get_cython_function_address("scipy.linalg.cython_blas", "dgemm"))
_NO_TRANSPOSE = np.frombuffer(b"N", dtype=np.uint8).copy()
_ONE = np.ones(1)

_Array = npt.NDArray[np.float64]


def step_groups(gram: _Array, step: _Array, shrink: _Array, u: _Array, inner: _Array, width: int) -> None:
    """Advance every group: U_i ← s_i U_i + G_i R/μ, and the sums that ‖Q_i‖² follows from.

    Parameters
    ----------
    gram : (K, n, n)
    step : (n, width), R/μ
    shrink : (K, B), the last iteration's shrink factors s_i
    u : (K, n, W), of which the first ``width`` columns are in use; on return X̃_i^T Q_i
    inner : (K, B), written: ⟨H_i, R/μ⟩ + ⟨U_i, R/μ⟩ with H_i = X̃_i^T C_i, so that ‖Q_i‖² = ‖C_i‖² + inner_i
    width : int
        C for each pair in use.
    """
    _step_groups(gram, step, shrink, u, inner, width, _NO_TRANSPOSE, _ONE)


# compiled at every start (about a second): numba cannot cache what holds another library's address
@numba.njit(nogil=True)
def _step_groups(
    gram: _Array,
    step: _Array,
    shrink: _Array,
    u: _Array,
    inner: _Array,
    width: int,
    no_transpose: npt.NDArray[np.uint8],
    one: _Array,
) -> None:
    n_groups, n, columns = u.shape
    classes = columns // shrink.shape[1]
    sizes = np.empty(4, dtype=np.int32)
    sizes[0], sizes[1], sizes[2], sizes[3] = width, n, columns, step.shape[1]
    total = np.empty(width)
    factor = np.empty(width)
    for i in range(n_groups):
        for j in range(width):
            factor[j] = shrink[i, j // classes]
        total[:] = 0.0
        for r in range(n):
            row, direction = u[i, r, :width], step[r, :width]
            for j in range(width):
                h = row[j] * factor[j]
                row[j] = h
                total[j] += h * direction[j]
        # row-major U = H + G·R is column-major U^T = H^T + R^T·G^T, and G is symmetric
        _dgemm(
            no_transpose.ctypes,
            no_transpose.ctypes,
            sizes[0:].ctypes,
            sizes[1:].ctypes,
            sizes[1:].ctypes,
            one.ctypes,
            step.ctypes,
            sizes[3:].ctypes,
            gram[i].ctypes,
            sizes[1:].ctypes,
            one.ctypes,
            u[i].ctypes,
            sizes[2:].ctypes,
        )
        for r in range(n):
            row, direction = u[i, r, :width], step[r, :width]
            for j in range(width):
                total[j] += row[j] * direction[j]
        for b in range(width // classes):
            inner[i, b] = total[b * classes : (b + 1) * classes].sum()


@numba.njit(nogil=True, cache=True)
def shrink_groups(
    inner: _Array,
    kappa: npt.NDArray[np.intp],
    mu: _Array,
    bounds: _Array,
    norms: _Array,
    shrink: _Array,
    dual_norms: _Array,
    lam: _Array,
    possible: npt.NDArray[np.bool_],
) -> None:
    """Step 2 of Algorithm 1 for every pair in use: λ from κ, and the shrink factor of every group.

    Parameters
    ----------
    inner : (K, B), see `step_groups`
    kappa : (B,)
    mu : (b,), μ of the pairs in use: the first b
    bounds : (K,), tol·√(entries of the group)
    norms, shrink, dual_norms : (K, B)
        In and out: ‖Q_i‖, s_i and ‖P_i‖.
    lam : (B,), written
    possible : (B,), written
        False where max|C − D| ≥ tol is certain, because |‖P_i‖ − ‖P_i,old‖|/μ ≤ ‖C_i − D_i‖ is too large.
    """
    n_groups = len(inner)
    for b in range(len(mu)):
        for i in range(n_groups):
            kept = shrink[i, b] * norms[i, b]
            norms[i, b] = np.sqrt(max(kept * kept + inner[i, b], 0.0))
        threshold = 0.0
        if kappa[b] < n_groups:
            threshold = np.sort(norms[:, b])[n_groups - 1 - kappa[b]]
        lam[b] = mu[b] * threshold
        possible[b] = True
        for i in range(n_groups):
            shrink[i, b] = 1.0 - threshold / norms[i, b] if norms[i, b] > threshold else 0.0
            dual = mu[b] * (norms[i, b] - shrink[i, b] * norms[i, b])
            if not abs(dual - dual_norms[i, b]) <= bounds[i] * mu[b]:
                possible[b] = False
            dual_norms[i, b] = dual


@numba.njit(nogil=True, cache=True)
def accumulate(u: _Array, shrink: _Array, total: _Array, width: int) -> None:
    """Write Σ_i s_i U_i = X̃^T C into the first ``width`` columns of ``total`` (n, W)."""
    n_groups, n, columns = u.shape
    classes = columns // shrink.shape[1]
    factor = np.empty(width)
    total[:, :width] = 0.0
    for i in range(n_groups):
        for j in range(width):
            factor[j] = shrink[i, j // classes]
        for r in range(n):
            row, out = u[i, r, :width], total[r, :width]
            for j in range(width):
                out[j] += factor[j] * row[j]


@numba.njit(nogil=True, cache=True)
def exceeds_tolerance(
    columns: _Array,
    starts: npt.NDArray[np.intp],
    steps: _Array,
    shrinks: _Array,
    mu_ratio: float,
    tol: float,
    order: npt.NDArray[np.intp],
) -> bool:
    """Whether max|C − D| ≥ tol, entry by entry; the exact stopping test of step 4.

    C − D = (C − Q) − (μ_old/μ)(C − Q)_old with Q = s_old Q_old + (the last step), so that each group's part is a
    combination of the steps taken, its weights products of shrink factors.

    Parameters
    ----------
    columns : (n, p), the transpose of all X_i
    starts : (K + 1,)
    steps : (t, n·C), R/μ of every iteration of this pair
    shrinks : (t, K)
    mu_ratio : float
        μ_old/μ.
    tol : float
    order : (K,)
        The groups in the order in which to look; a group that exceeds is moved to the front, where it is looked at
        first next time: most refutations then read one group.
    """
    t, length = steps.shape
    n = len(columns)
    n_classes = length // n
    weights = np.empty(t)
    combined = np.empty(length)
    for k in range(len(order)):
        group = order[k]
        now = shrinks[t - 1, group]
        product = 0.0
        if t > 1:
            before = shrinks[t - 2, group]
            product = mu_ratio * (1.0 - before) - (1.0 - now) * before
        weights[t - 1] = now - 1.0
        for past in range(t - 2, -1, -1):
            weights[past] = product
            product *= shrinks[past - 1, group] if past > 0 else 1.0
        # the all-ones start has the weight of the first step
        offset = weights[0]
        combined[:] = 0.0
        for past in range(t):
            if weights[past] != 0.0:
                weight, past_step = weights[past], steps[past]
                for j in range(length):
                    combined[j] += weight * past_step[j]
        values = np.empty((n_classes, starts[group + 1] - starts[group]))
        values[:] = offset
        for s in range(n):
            column = columns[s, starts[group] : starts[group + 1]]
            for c in range(n_classes):
                factor, row = combined[s * n_classes + c], values[c]
                for j in range(len(column)):
                    row[j] += column[j] * factor
        largest = 0.0
        for c in range(n_classes):
            for j in range(values.shape[1]):
                if not abs(values[c, j]) < tol:  # NaN counts as exceeding
                    largest = tol
        if largest >= tol:
            for earlier in range(k, 0, -1):
                order[earlier] = order[earlier - 1]
            order[0] = group
            return True
    return False
