"""The compiled part of temporal interpolation: weighted sums of frames.

A product of a small and a wide matrix, as BLAS would do it, but reading the frames in their own number type and with
sums whose order, and so whose last bits, do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["weigh_frames"]

_BLOCK = 128  # pixels at a time: their sums for 16 frames stay in the first-level cache


@njit(nogil=True, cache=True)
def weigh_frames(weights: npt.NDArray[np.float64], frames: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give weights (n_wanted, n_given) times frames (n_given, n_pixels): shape (n_wanted, n_pixels)."""
    n_wanted, n_given = weights.shape
    n_pixels = frames.shape[1]
    result = np.zeros((n_wanted, n_pixels))
    values = np.zeros(_BLOCK)
    sums = np.zeros((n_wanted, _BLOCK))
    for start in range(0, n_pixels, _BLOCK):
        n = min(_BLOCK, n_pixels - start)
        sums[:] = 0.0
        for given in range(n_given):
            for x in range(n):
                values[x] = frames[given, start + x]
            for wanted in range(n_wanted):
                weight = weights[wanted, given]
                row = sums[wanted]
                for x in range(_BLOCK):  # a constant count; what lies beyond n is not used
                    row[x] += weight * values[x]
        for wanted in range(n_wanted):
            result[wanted, start : start + n] = sums[wanted, :n]
    return result
