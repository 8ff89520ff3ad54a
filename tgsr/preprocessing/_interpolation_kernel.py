"""The compiled part of temporal interpolation: weighted sums of frames.

A product of a small and a wide matrix, as BLAS would do it, but reading the frames in their own number type and with
sums whose order, and so whose last bits, do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.jit import compile_kernel

__all__ = ["weigh_frames"]

_BLOCK = 256  # pixels at a time: their sums for 16 frames stay in the processor's cache
_AT_ONCE = 4  # given frames added in one go, which halves the traffic with the sums


@compile_kernel()
def weigh_frames(weights: npt.NDArray[np.float64], frames: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give weights (n_wanted, n_given) times frames (n_given, n_pixels): shape (n_wanted, n_pixels)."""
    n_wanted, n_given = weights.shape
    n_pixels = frames.shape[1]
    n_rounds = (n_given + _AT_ONCE - 1) // _AT_ONCE
    padded = np.zeros((n_wanted, n_rounds * _AT_ONCE))
    padded[:, :n_given] = weights
    result = np.zeros((n_wanted, n_pixels))
    values = np.zeros((_AT_ONCE, _BLOCK))
    sums = np.zeros((n_wanted, _BLOCK))
    for start in range(0, n_pixels, _BLOCK):
        n = min(_BLOCK, n_pixels - start)
        sums[:] = 0.0
        for first in range(0, n_given, _AT_ONCE):
            for i in range(min(_AT_ONCE, n_given - first)):
                for x in range(n):
                    values[i, x] = frames[first + i, start + x]
            a, b, c, d = values[0], values[1], values[2], values[3]
            for wanted in range(n_wanted):
                wa, wb, wc, wd = padded[wanted, first : first + _AT_ONCE]
                row = sums[wanted]
                for x in range(_BLOCK):  # a constant count; what lies beyond n is not used
                    row[x] += wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x]
        for wanted in range(n_wanted):
            result[wanted, start : start + n] = sums[wanted, :n]
    return result
