"""The compiled inner loops of the batched solver.

All pairs (κ, ξ) of a batch share the Gram matrices G_i of the regions; each owns three (n_classes) neighbouring
columns of the work arrays. SciPy's own BLAS does the products, called once a region so that the element-wise work
finds its block in the cache.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

__all__ = ["accumulate", "first_exceeding", "step_regions"]

_POINTER = ctypes.c_void_p
_dgemm = ctypes.CFUNCTYPE(None, *[_POINTER] * 13)(get_cython_function_address("scipy.linalg.cython_blas", "dgemm"))

# scalars that BLAS takes by address
_N = np.frombuffer(b"N", dtype=np.uint8).copy()
_ONE = np.ones(1)


@numba.njit(nogil=True, cache=False)
def step_regions(
    gram: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    shrink: npt.NDArray[np.float64],
    u: npt.NDArray[np.float64],
    inner: npt.NDArray[np.float64],
    width: int,
    n_symbol: npt.NDArray[np.uint8],
    one: npt.NDArray[np.float64],
) -> None:
    """Advance every region: U_i ← s_i U_i + G_i R/μ, and ⟨H_i + U_i, R/μ⟩ column by column.

    Parameters
    ----------
    gram : (K, n, n)
    step : (n, ≥ width), R/μ of every column
    shrink : (K, ≥ width), the last iteration's shrink factors s_i, one for each column
    u : (K, n, W), of which the first ``width`` columns are in use; on return X̃_i^T Q_i
    inner : (K, W), written: ⟨H_i, R/μ⟩ + ⟨U_i, R/μ⟩ with H_i = X̃_i^T C_i, summed over rows only
    """
    n_regions, n, columns = u.shape
    sizes = np.empty(4, dtype=np.int32)
    sizes[0], sizes[1], sizes[2], sizes[3] = width, n, columns, step.shape[1]
    total = np.empty(width)
    for i in range(n_regions):
        block = u[i]
        factor = shrink[i]
        total[:] = 0.0
        for r in range(n):
            for j in range(width):
                h = block[r, j] * factor[j]
                block[r, j] = h
                total[j] += h * step[r, j]
        # row-major U = H + G·R is column-major U^T = H^T + R^T·G^T, and G is symmetric
        _dgemm(
            n_symbol.ctypes,
            n_symbol.ctypes,
            sizes[0:].ctypes,
            sizes[1:].ctypes,
            sizes[1:].ctypes,
            one.ctypes,
            step.ctypes,
            sizes[3:].ctypes,
            gram[i].ctypes,
            sizes[1:].ctypes,
            one.ctypes,
            block.ctypes,
            sizes[2:].ctypes,
        )
        for r in range(n):
            for j in range(width):
                total[j] += block[r, j] * step[r, j]
        for j in range(width):
            inner[i, j] = total[j]


@numba.njit(nogil=True, cache=True)
def accumulate(
    u: npt.NDArray[np.float64], shrink: npt.NDArray[np.float64], total: npt.NDArray[np.float64], width: int
) -> None:
    """Write Σ_i s_i U_i = X̃^T C into ``total`` (n, W)."""
    n_regions, n, _ = u.shape
    total[:, :width] = 0.0
    for i in range(n_regions):
        factor = shrink[i]
        for r in range(n):
            for j in range(width):
                total[r, j] += factor[j] * u[i, r, j]


@numba.njit(nogil=True, cache=True)
def first_exceeding(
    columns: npt.NDArray[np.float64],
    starts: npt.NDArray[np.intp],
    groups: npt.NDArray[np.intp],
    coefficients: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.float64],
    tol: float,
) -> int:
    """First of ``groups`` with an entry |X_i a_i + w_i| ≥ tol; −1 if there is none.

    Parameters
    ----------
    columns : (n, p), the transpose of all X_i
    starts : (K + 1,)
    groups : (count,), group numbers i in the order in which to look
    coefficients : (count, C, n), a_i
    offsets : (count,), w_i
    tol : float
    """
    count, n_classes, n = coefficients.shape
    for k in range(count):
        begin, end = starts[groups[k]], starts[groups[k] + 1]
        values = np.empty((n_classes, end - begin))
        values[:] = offsets[k]
        for s in range(n):
            column = columns[s, begin:end]
            for c in range(n_classes):
                factor, row = coefficients[k, c, s], values[c]
                for j in range(len(column)):
                    row[j] += column[j] * factor
        for c in range(n_classes):
            for j in range(end - begin):
                if not abs(values[c, j]) < tol:  # NaN counts as exceeding
                    return int(groups[k])
    return -1


def step_all(
    gram: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    shrink: npt.NDArray[np.float64],
    u: npt.NDArray[np.float64],
    inner: npt.NDArray[np.float64],
    width: int,
) -> None:
    """`step_regions` with the scalars that BLAS wants."""
    kernel: Any = step_regions
    kernel(gram, step, shrink, u, inner, width, _N, _ONE)
