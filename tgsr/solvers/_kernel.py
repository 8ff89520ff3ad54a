"""The compiled inner loop of the batched solver: iterations of all pairs (κ, ξ) of a batch until one is finished.

All pairs share the Gram matrices H_i of the groups. For each group, the columns of those pairs that need it are
gathered and multiplied at once by SciPy's own BLAS, so that the element-wise work that follows finds them in the
cache. Nothing here takes the interpreter's lock or changes what other threads read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

from tgsr.jit import compile_kernel
from tgsr.solvers._gram import GramArrays

__all__ = ["GROUP_COLUMNS", "SCALAR_COLUMNS", "Slots", "decide", "run"]

# called by the name of a symbol, not by address, so that numba can keep the compiled kernel on disk
llvmlite.binding.add_symbol("tgsr_dgemm", get_cython_function_address("scipy.linalg.cython_blas", "dgemm"))
_dgemm: Any = numba.types.ExternalFunction("tgsr_dgemm", numba.types.void(*[numba.types.voidptr] * 13))

_Array = npt.NDArray[np.float64]
_Index = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]

# λ moves slowly: groups that cannot reach this share of the last λ are left out at first
_GUESS = 0.99
# the bounds below are proven in real numbers; this covers their rounding
_SLACK = 1.0 + 1e-9
_ROUNDING = float(np.finfo(np.float64).eps)
# the share of rounding in ‖Q_i‖² past which it is computed anew
_LARGEST_ERROR = 1e-10
# iterations of all pairs between two returns to the interpreter: some 20 ms
_ROUNDS = 16

SCALAR_COLUMNS = ("xi", "mu", "old_mu", "lam", "travelled", "moved")
"""Scalars of a slot: ξ; μ and λ of the last iteration, and μ of the one before; the way of y so far, and in the last
iteration."""
_XI, _MU, _OLD_MU, _LAM, _TRAVELLED, _MOVED = range(len(SCALAR_COLUMNS))

GROUP_COLUMNS = ("shrink", "norm", "summands", "old_shrink", "old_norm", "old_summands", "cross", "anchor", "out")
"""Scalars of a group in a slot: s_i; ‖Q_i‖ (−1 where not looked at); the sizes of all that ‖Q_i‖² was added up from,
whose rounding is its error; the three of one iteration before; ⟨Q_i, Q_i,old⟩ (NaN where unknown); and
‖Ũ_i y‖ − γ_i·travelled when last looked at; and for how many iterations C_i has been 0."""
_SHRINK, _NORM, _SUMMANDS, _OLD_SHRINK, _OLD_NORM, _OLD_SUMMANDS, _CROSS, _ANCHOR, _OUT = range(len(GROUP_COLUMNS))


class Slots(NamedTuple):
    """The state of the pairs being solved: one entry or row a slot, of ``size`` slots."""

    kappa: _Index  # (size,)
    n_iter: _Index
    converged: _Flags
    scalars: _Array  # (size, len(SCALAR_COLUMNS))
    groups: _Array  # (size, K, len(GROUP_COLUMNS))
    right: _Array  # (size, C, m): Ũ^T X̃ L̃^T, from the slot's own labels
    y: _Array  # (size, C, m): with X̃R = Ũy
    fitted: _Array  # (size, C, m): Ũ^T C
    unshrunk: _Array  # (size, C, m): Ũ^T Q
    steps: _Array  # (size, capacity, C, m): y/μ of every iteration: C is rebuilt from them and from
    shrinks: _Array  # (size, capacity, K): s_i of every iteration
    order: _Index  # (size, K): the groups in the order in which the stopping test looks at them
    u: _Array  # (K, size, C·m): Ũ_i^T Q_i; meaningless where s_i = 0
    products: _Index  # (1,): products with an H_i made so far, counted in pairs


# `reassoc` lets the compiler add in vector lanes; the order of the sum stays the same from run to run
_kernel = compile_kernel(fastmath={"reassoc", "nsz", "contract"})


@_kernel
def _dot(a: _Array, b: _Array) -> float:
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@_kernel
def _add(out: _Array, factor: float, values: _Array) -> None:
    for j in range(len(out)):
        out[j] += factor * values[j]


@_kernel
def _copy(out: _Array, values: _Array) -> None:
    # a loop, because numba takes seconds to compile each assignment of a slice
    for j in range(len(out)):
        out[j] = values[j]


@_kernel
def _fill(out: _Array, value: float) -> None:
    for j in range(len(out)):
        out[j] = value


@_kernel
def _renew(u: _Array, factor: float, product: _Array, step: _Array) -> tuple[float, float]:
    """U ← H + product with H = factor·u; returns ⟨H, step⟩ and ⟨u, step⟩."""
    before, after = 0.0, 0.0
    for j in range(len(u)):
        h = factor * u[j]
        new = h + product[j]
        u[j] = new
        before += h * step[j]
        after += new * step[j]
    return before, after


@_kernel
def _largest(values: _Array, rank: int) -> float:
    """The entry with ``rank`` larger ones, by Hoare's selection; the order of ``values`` is changed."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot, i, j = values[rank], low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < rank:
            low = i
        if i > rank:
            high = j
    return float(values[rank])


@_kernel
def _residual(
    squares: _Array,
    tau: _Array,
    right: _Array,
    scalars: _Array,
    mu: float,
    y: _Array,
    fitted: _Array,
    unshrunk: _Array,
    step: _Array,
) -> None:
    """Step 1: y of R = (μ/2·I + X̃^T X̃)^{-1}(μL̃^T − X̃^T(P + μC)), and what follows from it alone.

    X̃X̃^T is Ũ(Σ² + ξττ^T)Ũ^T with τ = Ũ^T δ: diagonal but for one direction, whose unknown σ comes first. In this form
    what is divided by is a sum of positive terms.
    """
    xi, old_mu, half = scalars[_XI], scalars[_MU], 0.5 * mu
    bottom, moved = half / xi if xi > 0.0 else 1.0, 0.0
    for j in range(len(squares)):
        bottom += tau[j] * tau[j] * half / (half + squares[j])
    for c in range(len(right)):
        top = 0.0
        for j in range(len(squares)):
            penalty = old_mu * (fitted[c, j] - unshrunk[c, j]) + mu * fitted[c, j]  # Ũ^T(P + μC)
            unshrunk[c, j] = penalty
            top -= tau[j] * (half * penalty + mu * right[c, j]) / (half + squares[j])
        sigma = top / bottom if xi > 0.0 else 0.0
        for j in range(len(squares)):
            new = (mu * right[c, j] - squares[j] * unshrunk[c, j] + half * tau[j] * sigma) / (half + squares[j])
            moved += (new - y[c, j]) ** 2
            y[c, j] = new
            step[c, j] = new / mu
            unshrunk[c, j] = fitted[c, j] + new / mu  # as Σ_i H_i = I
    scalars[_MOVED] = np.sqrt(moved) * _SLACK
    scalars[_TRAVELLED] += scalars[_MOVED]
    scalars[_OLD_MU], scalars[_MU] = old_mu, mu


@_kernel
def _combine(steps: _Array, weights: _Array, combined: _Array) -> None:
    """Σ_t weight_t·step_t over the history of a slot."""
    for c in range(len(combined)):
        _fill(combined[c], 0.0)
        for past in range(len(weights)):
            if weights[past] != 0.0:
                _add(combined[c], weights[past], steps[past, c])


@_kernel
def _entries(block: _Array, coordinates: _Array, values: _Array) -> None:
    """Add Ũ_i·coordinates (m,) to values (d,)."""
    for s in range(0, len(block), 4):  # m is a multiple of 4
        a, b, c, d = coordinates[s], coordinates[s + 1], coordinates[s + 2], coordinates[s + 3]
        first, second, third, fourth = block[s], block[s + 1], block[s + 2], block[s + 3]
        for j in range(len(values)):
            values[j] += a * first[j] + b * second[j] + c * third[j] + d * fourth[j]


@_kernel
def _recompute(block: _Array, steps: _Array, shrinks: _Array, start: float, u: _Array) -> float:
    """‖Q_i‖² and Ũ_i^T Q_i from Q_i's own entries, where rounding has spoilt their sums.

    ``steps`` (t, C, m) are all that were taken, ``shrinks`` (t − 1,) the group's factors but for the coming one.
    """
    t, classes, m = steps.shape
    weights, combined, values = np.empty(t), np.empty((classes, m)), np.empty(block.shape[1])
    weights[t - 1] = 1.0
    for past in range(t - 2, -1, -1):
        weights[past] = weights[past + 1] * shrinks[past]
    _combine(steps, weights, combined)
    square = 0.0
    for c in range(classes):
        _fill(values, start * weights[0])
        _entries(block, combined[c], values)
        square += _dot(values, values)
        for j in range(m):
            u[c * m + j] = _dot(block[j], values)
    return square


@_kernel
def _look(group: _Array, size: float, u: _Array, product: _Array, step: _Array) -> bool:
    """Bring a group up to date, given H_i·step: Ũ_i^T Q_i and ‖Q_i‖ of Q_i = C_i + Ũ_i·step.

    Returns whether ‖Q_i‖² is small against what it was added up from, so that it must be computed anew.
    """
    factor = group[_SHRINK]
    if factor > 0.0:
        old_square = group[_OLD_NORM] ** 2
        kept = factor**2 * old_square
        before, after = _renew(u, factor, product, step)
        square = kept + before + after
        group[_SUMMANDS] = factor**2 * group[_OLD_SUMMANDS] + kept + abs(before) + abs(after)
        group[_CROSS] = factor * old_square + before / factor
        group[_ANCHOR] = np.inf
    else:
        _copy(u, product)
        square = _dot(product, step)
        # the terms of this sum have the size of γ_i²‖step‖², and may cancel
        group[_SUMMANDS] = max(square, size**2 * _dot(step, step))
        group[_CROSS] = np.nan
    group[_NORM] = np.sqrt(max(square, 0.0))
    return not group[_SUMMANDS] * _ROUNDING <= _LARGEST_ERROR * square


@_kernel
def _is_excluded(group: _Array, reach: float, travelled: float, lam: float) -> bool:
    """Whether C_i = 0 stays: ‖Ũ_i y‖ has grown by at most γ_i times the way of y since it was last looked at."""
    return bool((group[_ANCHOR] + reach * travelled) * _SLACK < lam)


@compile_kernel()
def _multiply(matrix: _Array, columns: _Array, product: _Array, n_columns: int) -> None:
    """Multiply the first columns (…, C·m), m entries each, by a symmetric matrix (m, m).

    Some of OpenBLAS's kernels treat the last columns apart when their number is no multiple of 4, with other roundings:
    what follows in ``columns`` makes it one.
    """
    one, zero, no_transpose = np.empty(1), np.empty(1), np.empty(1, dtype=np.uint8)
    rows, width = np.empty(1, dtype=np.int32), np.empty(1, dtype=np.int32)
    one[0], zero[0], no_transpose[0] = 1.0, 0.0, ord("N")
    rows[0], width[0] = len(matrix), -(-n_columns // 4) * 4
    _dgemm(
        no_transpose.ctypes,
        no_transpose.ctypes,
        rows.ctypes,
        width.ctypes,
        rows.ctypes,
        one.ctypes,
        matrix.ctypes,
        rows.ctypes,
        columns.ctypes,
        rows.ctypes,
        zero.ctypes,
        product.ctypes,
        rows.ctypes,
    )


@_kernel
def _threshold(groups: _Array, kappa: int, scratch: _Array) -> float:
    """λ/μ = d_(κ+1), 0 if all groups are kept."""
    if kappa == len(groups):
        return 0.0
    for i in range(len(groups)):
        scratch[i] = groups[i, _NORM]
    return max(_largest(scratch, kappa), 0.0)


@_kernel
def _need(groups: _Array, reach: _Array, travelled: float, lam: float, needed: _Flags, looked_at: _Flags) -> bool:
    """Mark the groups that were not looked at and are not excluded by λ; returns whether there are any."""
    found = False
    for i in range(len(groups)):
        looked_at[i] = looked_at[i] or needed[i]
        needed[i] = not looked_at[i] and not _is_excluded(groups[i], reach[i], travelled, lam)
        found = found or needed[i]
    return found


@_kernel
def _begin(groups: _Array, reach: _Array, scalars: _Array, needed: _Flags) -> None:
    """Make the last norms the old ones; mark the groups kept, and those that a little less than the last λ lets in."""
    for i in range(len(groups)):
        group = groups[i]
        group[_OLD_NORM], group[_OLD_SUMMANDS], group[_NORM] = group[_NORM], group[_SUMMANDS], -1.0
        kept = group[_SHRINK] > 0.0
        needed[i] = kept or not _is_excluded(group, reach[i], scalars[_TRAVELLED], _GUESS * scalars[_LAM])


@_kernel
def _shrink(groups: _Array, u: _Array, b: int, keep_all: bool, threshold: float, shrinks: _Array, out: _Array) -> None:
    """Step 2: C_i = s_i Q_i with s_i = max(0, 1 − (λ/μ)/‖Q_i‖), and Ũ^T C = Σ_i s_i Ũ_i^T Q_i."""
    _fill(out, 0.0)
    for i in range(len(groups)):
        group = groups[i]
        factor = 1.0
        if not keep_all:
            factor = 1.0 - threshold / group[_NORM] if group[_NORM] > threshold else 0.0
        group[_OLD_SHRINK], group[_SHRINK], shrinks[i] = group[_SHRINK], factor, factor
        group[_OUT] = group[_OUT] + 1.0 if factor == 0.0 else 0.0
        if factor > 0.0:
            _add(out, factor, u[i, b])


@_kernel
def _exceeds(block: _Array, steps: _Array, shrinks: _Array, mu_ratio: float, start: float, tol: float) -> bool:
    """Whether max|C_i − D_i| ≥ tol, entry by entry.

    C − D = (C − Q) − (μ_old/μ)(C − Q)_old with Q = s_old Q_old + (the last step): a combination of the steps taken,
    its weights products of shrink factors. ``steps`` (t, C, m), ``shrinks`` (t,).
    """
    t, classes, m = steps.shape
    weights, combined, values = np.empty(t), np.empty((classes, m)), np.empty(block.shape[1])
    now, product = shrinks[t - 1], 0.0
    if t > 1:
        before = shrinks[t - 2]
        product = mu_ratio * (1.0 - before) - (1.0 - now) * before
    weights[t - 1] = now - 1.0
    for past in range(t - 2, -1, -1):
        weights[past] = product
        product *= shrinks[past - 1] if past > 0 else 1.0
    _combine(steps, weights, combined)
    for c in range(classes):
        _fill(values, start * weights[0])  # the start has the weight of the first step
        _entries(block, combined[c], values)
        for j in range(len(values)):
            if not abs(values[j]) < tol:  # NaN counts as exceeding
                return True
    return False


@_kernel
def _judge(group: _Array, scalars: _Array, reach: float, n_entries: int, tol: float) -> int:
    """What norms tell of max|C_i − D_i| < tol: 1 true, −1 false, 0 that the entries must be read.

    C_i − D_i is (P_i − P_i,old)/μ with P_i = −μ(1 − s_i)Q_i; its largest entry is at most its norm, and at least that
    over the root of their number.
    """
    if group[_OUT] >= 3.0:  # then Q_i and Q_i,old are Ũ_i y/μ of their iterations, and it is Ũ_i(y_old − y)/μ
        return 1 if reach * scalars[_MOVED] * _SLACK < tol * scalars[_MU] else 0
    now, before = 1.0 - group[_SHRINK], (1.0 - group[_OLD_SHRINK]) * scalars[_OLD_MU] / scalars[_MU]
    square = (now * group[_NORM]) ** 2 + (before * group[_OLD_NORM]) ** 2 - 2.0 * now * before * group[_CROSS]
    error = 8.0 * _ROUNDING * (now + before) ** 2 * (group[_SUMMANDS] + group[_OLD_SUMMANDS])
    if square - error > tol * tol * n_entries * _SLACK:
        return -1
    return 1 if square + error < tol * tol else 0  # 0 also where it is unknown, NaN


@compile_kernel()
def _has_converged(system: GramArrays, slots: Slots, b: int, start: float, tol: float) -> bool:
    """Step 4, exactly: max|C − D| < tol. The entries are read of those groups only that norms do not decide.

    A group that exceeds is looked at first the next time: most refutations then read one group.
    """
    groups, scalars, order, t = slots.groups[b], slots.scalars[b], slots.order[b], slots.n_iter[b]
    n_groups, classes, m = len(groups), slots.y.shape[1], slots.y.shape[2]
    doubtful = np.empty(n_groups, dtype=np.bool_)
    for i in range(n_groups):
        n_entries = classes * (system.starts[i + 1] - system.starts[i])
        verdict = _judge(groups[i], scalars, system.reach[i], n_entries, tol)
        if verdict < 0:
            return False
        doubtful[i] = verdict == 0
    mu_ratio = scalars[_OLD_MU] / scalars[_MU]
    for k in range(n_groups):
        i = order[k]
        if not doubtful[i]:
            continue
        block = system.blocks[system.starts[i] * m : system.starts[i + 1] * m].reshape(m, -1)
        if _exceeds(block, slots.steps[b, :t], slots.shrinks[b, :t, i], mu_ratio, start, tol):
            for earlier in range(k, 0, -1):
                order[earlier] = order[earlier - 1]
            order[0] = i
            return False
    return True


@compile_kernel()
def _look_at_group(
    system: GramArrays,
    slots: Slots,
    i: int,
    needed: _Flags,
    members: _Index,
    gathered: _Array,
    product: _Array,
    start: float,
) -> None:
    """Multiply group i for all slots that need it, and bring it up to date in them."""
    m, length, count = len(system.squares), gathered.shape[1], 0
    for b in range(len(needed)):
        if needed[b]:
            members[count] = b
            _copy(gathered[count], slots.steps[b, slots.n_iter[b]].reshape(length))
            count += 1
    if count == 0:
        return
    slots.products[0] += count
    _multiply(system.gram[i], gathered, product, count * slots.y.shape[1])
    for k in range(count):
        b = members[k]
        group, scalars, u, t = slots.groups[b, i], slots.scalars[b], slots.u[i, b], slots.n_iter[b]
        if _look(group, system.loose[i], u, product[k], gathered[k]):
            block = system.blocks[system.starts[i] * m : system.starts[i + 1] * m].reshape(m, -1)
            square = _recompute(block, slots.steps[b, : t + 1], slots.shrinks[b, :t, i], start, u)
            group[_NORM], group[_SUMMANDS], group[_CROSS] = np.sqrt(square), square, np.nan
        if group[_SHRINK] == 0.0:
            group[_ANCHOR] = scalars[_MU] * group[_NORM] - system.reach[i] * scalars[_TRAVELLED]


@compile_kernel()
def _advance(system: GramArrays, slots: Slots, width: int, start: float) -> _Array:
    """Step 2's norms for all slots, and λ/μ of each.

    A group with C_i = 0 stays out as long as μ‖Q_i‖ = ‖Ũ_i y‖ ≤ λ. Groups that a bound excludes are not multiplied;
    the bound is checked against the λ that comes out, and a group that fails is multiplied after all: nothing is
    approximated.
    """
    n_groups, length = slots.u.shape[0], slots.u.shape[2]
    gathered, product = np.zeros((width + 3, length)), np.empty((width + 3, length))  # 3: see `_multiply`
    needed, looked_at = np.empty((width, n_groups), dtype=np.bool_), np.zeros((width, n_groups), dtype=np.bool_)
    thresholds, scratch, members = np.empty(width), np.empty(n_groups), np.empty(width, dtype=np.intp)
    for b in range(width):
        _begin(slots.groups[b], system.reach, slots.scalars[b], needed[b])
    again = True
    while again:
        for i in range(n_groups):
            _look_at_group(system, slots, i, needed[:, i], members, gathered, product, start)
        again = False
        for b in range(width):
            scalars = slots.scalars[b]
            thresholds[b] = _threshold(slots.groups[b], slots.kappa[b], scratch)
            lam = scalars[_MU] * thresholds[b]
            missed = _need(slots.groups[b], system.reach, scalars[_TRAVELLED], lam, needed[b], looked_at[b])
            again = again or missed
    return thresholds


@compile_kernel()
def run(
    system: GramArrays,
    slots: Slots,
    width: int,
    start: float,
    first_mu: float,
    rho: float,
    mu_max: float,
    tol: float,
    max_iter: int,
) -> None:
    """Iterate Algorithm 1 for the first ``width`` slots until one of them has converged or filled its history.

    Or a few times, so that the interpreter can look at signals and at `tgsr.stopping`. ``slots`` are read and written;
    for the settings see `SolverSettings`.
    """
    n_groups, length, capacity = slots.u.shape[0], slots.u.shape[2], slots.steps.shape[1]
    finished, rounds = False, 0
    while not finished and rounds < _ROUNDS:
        rounds += 1
        for b in range(width):
            t, scalars = slots.n_iter[b], slots.scalars[b]
            mu = first_mu if t == 0 else min(rho * scalars[_MU], mu_max)
            y, fitted, unshrunk, step = slots.y[b], slots.fitted[b], slots.unshrunk[b], slots.steps[b, t]
            _residual(system.squares, system.shift, slots.right[b], scalars, mu, y, fitted, unshrunk, step)
        thresholds = _advance(system, slots, width, start)
        for b in range(width):
            t, keep_all, out = slots.n_iter[b], slots.kappa[b] == n_groups, slots.fitted[b].reshape(length)
            _shrink(slots.groups[b], slots.u, b, keep_all, thresholds[b], slots.shrinks[b, t], out)
            slots.scalars[b, _LAM] = slots.scalars[b, _MU] * thresholds[b]
            slots.n_iter[b] = t + 1
            slots.converged[b] = _has_converged(system, slots, b, start, tol)
            finished = finished or slots.converged[b] or t + 1 >= min(max_iter, capacity)


@_kernel
def decide(cross: _Array, groups: _Index, coordinates: _Array, decisions: _Array) -> None:
    """Add Σ_i (X_i^T)^T Ũ_i A_i over some groups to decisions (n, C).

    Three classes are too few columns for BLAS: reading ``cross`` (K, n, m) once, of these groups only, is faster.
    """
    for k in range(len(groups)):
        block = cross[groups[k]]
        for sample in range(len(block)):
            for c in range(coordinates.shape[1]):
                decisions[sample, c] += _dot(block[sample], coordinates[k, c])
