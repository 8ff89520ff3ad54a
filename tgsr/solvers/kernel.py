"""The compiled inner loops of the batched solver.

All pairs (κ, ξ) of a batch share the Gram matrices G_i of the groups. For each group, the columns of those pairs that
need it are gathered and multiplied at once by SciPy's own BLAS, so that the element-wise work that follows finds them
in the cache. No function allocates more than a few vectors, and all of them release the interpreter's lock.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

__all__ = ["accumulate", "advance", "exceeds_tolerance"]

# called by the name of a symbol, not by address, so that numba can keep the compiled kernel on disk
llvmlite.binding.add_symbol("tgsr_dgemm", get_cython_function_address("scipy.linalg.cython_blas", "dgemm"))
_dgemm: Any = numba.types.ExternalFunction("tgsr_dgemm", numba.types.void(*[numba.types.voidptr] * 13))
_NO_TRANSPOSE = np.frombuffer(b"N", dtype=np.uint8).copy()

_Array = npt.NDArray[np.float64]
_Index = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]

# λ moves slowly: groups that cannot reach this share of the last λ are left out at first
_GUESS = 0.99
# the bounds below are proven in real numbers; this covers their rounding
_SLACK = 1.0 + 1e-9
# ‖Q_i‖² is added up over the iterations; past this share of rounding a pair is given back
_ROUNDING = float(np.finfo(np.float64).eps)
_LARGEST_ERROR = 1e-11


# `reassoc` lets the compiler add in vector lanes; the order of the sum stays the same from run to run
@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _dot(a: _Array, b: _Array) -> float:
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _renew(u: _Array, factor: float, product: _Array, step: _Array) -> float:
    """U ← H + product with H = factor·u; returns ⟨H, step⟩ + ⟨u, step⟩."""
    total = 0.0
    for j in range(len(u)):
        h = factor * u[j]
        new = h + product[j]
        u[j] = new
        total += (h + new) * step[j]
    return total


def advance(
    gram: _Array,
    reach: _Array,
    step: _Array,
    mu: _Array,
    travelled: _Array,
    kappa: _Index,
    u: _Array,
    shrink: _Array,
    norms: _Array,
    anchors: _Array,
    lam: _Array,
    summands: _Array,
    lost: _Flags,
) -> int:
    """Step 2 of Algorithm 1 for b pairs: U_i = X̃_i^T Q_i, ‖Q_i‖, λ from κ, and every group's shrink factor s_i.

    A group with C_i = 0 has Q_i = X̃_i R/μ. It stays out as long as μ‖Q_i‖ = ‖X̃_i R‖ ≤ λ, and since it was last
    looked at this norm has grown by at most γ_i times the way that R has travelled in the norm of T + δI, because
    G_i ⪯ γ_i²(T + δI). Groups that this bound excludes are not multiplied; the bound is checked against the λ that
    comes out, and a group that fails is multiplied after all. Nothing is approximated.

    Parameters
    ----------
    gram : (K, n, n)
    reach : (K,), γ_i
    step : (b, C·n), R/μ of each pair
    mu, travelled : (b,)
    kappa : (≥ b,)
    u : (K, ≥ b, C·n), in and out; meaningless where s_i = 0
    shrink, norms, anchors : (K, ≥ b), in and out
        s_i, ‖Q_i‖ (−1 where not looked at), and ‖X̃_i R‖ − γ_i·travelled when last looked at.
    lam : (≥ b,), in and out
        λ = μ·d_(κ+1).
    summands : (K, ≥ b), in and out
        The sizes of all that ‖Q_i‖² was added up from: times the unit roundoff, its error.
    lost : (≥ b,), in and out
        Set where that error is no longer small against ‖Q_i‖².

    Returns
    -------
    int
        Products with a G_i that were made, counted in pairs.
    """
    arrays = (gram, reach, step, mu, travelled, kappa, u, shrink, norms, anchors, lam, summands, lost)
    return int(_advance(*arrays, _NO_TRANSPOSE))


@numba.njit(nogil=True, cache=True)
def _advance(
    gram: _Array,
    reach: _Array,
    step: _Array,
    mu: _Array,
    travelled: _Array,
    kappa: _Index,
    u: _Array,
    shrink: _Array,
    norms: _Array,
    anchors: _Array,
    lam: _Array,
    summands: _Array,
    lost: _Flags,
    no_transpose: npt.NDArray[np.uint8],
) -> int:
    n_groups, n, _ = gram.shape
    width, length = step.shape
    classes = length // n
    one, zero = np.ones(1), np.zeros(1)
    rows, columns = np.array([n], dtype=np.int32), np.empty(1, dtype=np.int32)
    gathered, product = np.empty((width, length)), np.empty((width, length))
    needed, looked_at = np.empty((n_groups, width), dtype=np.bool_), np.zeros((n_groups, width), dtype=np.bool_)
    members = np.empty(width, dtype=np.intp)
    threshold = np.empty(width)
    products = 0
    for b in range(width):
        for i in range(n_groups):
            bound = (anchors[i, b] + reach[i] * travelled[b]) * _SLACK
            needed[i, b] = shrink[i, b] > 0.0 or not bound < _GUESS * lam[b]
    again = True
    while again:
        for i in range(n_groups):
            count = 0
            for b in range(width):
                if needed[i, b]:
                    gathered[count] = step[b]
                    members[count] = b
                    count += 1
            if count == 0:
                continue
            products += count
            columns[0] = count * classes
            _dgemm(
                no_transpose.ctypes,
                no_transpose.ctypes,
                rows.ctypes,
                columns.ctypes,
                rows.ctypes,
                one.ctypes,
                gram[i].ctypes,
                rows.ctypes,
                gathered.ctypes,
                rows.ctypes,
                zero.ctypes,
                product.ctypes,
                rows.ctypes,
            )
            for k in range(count):
                b = members[k]
                if shrink[i, b] > 0.0:
                    kept = (shrink[i, b] * norms[i, b]) ** 2
                    grown = _renew(u[i, b], shrink[i, b], product[k], step[b])
                    summands[i, b] = shrink[i, b] ** 2 * summands[i, b] + kept + abs(grown)
                    if summands[i, b] * _ROUNDING > _LARGEST_ERROR * (kept + grown):
                        lost[b] = True
                    norms[i, b] = np.sqrt(max(kept + grown, 0.0))
                    anchors[i, b] = np.inf
                else:
                    u[i, b] = product[k]
                    norms[i, b] = np.sqrt(max(_dot(product[k], step[b]), 0.0))
                    summands[i, b] = norms[i, b] ** 2
                    anchors[i, b] = mu[b] * norms[i, b] - reach[i] * travelled[b]
                looked_at[i, b] = True
        again = False
        for b in range(width):
            for i in range(n_groups):
                if not looked_at[i, b]:
                    norms[i, b] = -1.0
            threshold[b] = 0.0
            if kappa[b] < n_groups:
                threshold[b] = max(np.sort(norms[:, b])[n_groups - 1 - kappa[b]], 0.0)
            for i in range(n_groups):
                bound = (anchors[i, b] + reach[i] * travelled[b]) * _SLACK
                needed[i, b] = not looked_at[i, b] and not bound < mu[b] * threshold[b]
                again = again or needed[i, b]
    for b in range(width):
        lam[b] = mu[b] * threshold[b]
        for i in range(n_groups):
            if kappa[b] == n_groups:
                shrink[i, b] = 1.0
            else:
                shrink[i, b] = 1.0 - threshold[b] / norms[i, b] if norms[i, b] > threshold[b] else 0.0
    return products


@numba.njit(nogil=True, cache=True)
def accumulate(u: _Array, shrink: _Array, total: _Array) -> None:
    """Write Σ_i s_i U_i = X̃^T C of each pair into ``total`` (b, C·n)."""
    total[:] = 0.0
    for i in range(len(u)):
        for b in range(len(total)):
            factor, source, out = shrink[i, b], u[i, b], total[b]
            if factor > 0.0:
                for j in range(len(out)):
                    out[j] += factor * source[j]


@numba.njit(nogil=True, cache=True)
def exceeds_tolerance(
    blocks: _Array,
    starts: _Index,
    steps: _Array,
    shrinks: _Array,
    mu_ratio: float,
    start: float,
    tol: float,
    order: _Index,
) -> bool:
    """Whether max|C − D| ≥ tol, entry by entry; the exact stopping test of step 4.

    C − D = (C − Q) − (μ_old/μ)(C − Q)_old with Q = s_old Q_old + (the last step), so that each group's part is a
    combination of the steps taken, its weights products of shrink factors.

    Parameters
    ----------
    blocks : (p·n,), the transposes of all X_i, one after the other
    starts : (K + 1,)
    steps : (t, C, n), R/μ of every iteration of this pair
    shrinks : (t, K)
    mu_ratio : float
        μ_old/μ.
    start : float
        Every entry of the first C.
    tol : float
    order : (K,)
        The groups in the order in which to look; a group that exceeds is moved to the front, where it is looked at
        first next time: most refutations then read one group.
    """
    t, n_classes, n = steps.shape
    weights = np.empty(t)
    combined = np.empty((n_classes, n))
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
        combined[:] = 0.0
        for past in range(t):
            if weights[past] != 0.0:
                combined += weights[past] * steps[past]
        size = starts[group + 1] - starts[group]
        block = blocks[starts[group] * n : starts[group + 1] * n].reshape(n, size)
        values = np.empty(size)
        for c in range(n_classes):
            values[:] = start * weights[0]  # the start has the weight of the first step
            for s in range(0, n - 3, 4):
                a, b, d, e = combined[c, s], combined[c, s + 1], combined[c, s + 2], combined[c, s + 3]
                for j in range(size):
                    values[j] += a * block[s, j] + b * block[s + 1, j] + d * block[s + 2, j] + e * block[s + 3, j]
            for s in range(n - n % 4, n):
                for j in range(size):
                    values[j] += combined[c, s] * block[s, j]
            exceeding = False
            for j in range(size):
                if not abs(values[j]) < tol:  # NaN counts as exceeding
                    exceeding = True
            if exceeding:
                for earlier in range(k, 0, -1):
                    order[earlier] = order[earlier - 1]
                order[0] = group
                return True
    return False
