"""The compiled part of LBP-TOP: codes of a run of pixels, counted at once in the cell that each falls in.

A whole clip takes one pass, and its codes never leave the processor's cache. The order of the floating-point operations
is that of the plain formula, so that the counts are those of a slow implementation to the last one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tgsr.jit import compile_kernel

__all__ = ["count_cells"]


@compile_kernel()
def count_cells(  # pragma: no cover - compiled
    clip: npt.NDArray[np.float64],
    margins: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    exact: npt.NDArray[np.bool_],
    bins: npt.NDArray[np.int64],
    n_bins: int,
    row_edges: npt.NDArray[np.int64],
    column_edges: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Count LBP codes by cell of the interior, plane and bin.

    Of a clip (T, height, width), C-contiguous, the ``margins`` (3,) of T, Y and X are left out at both ends. For each
    plane and neighbour, ``offsets`` (3, n_neighbours, 4) are the distances in the flat clip from the centre to the four
    surrounding pixels, ``weights`` their bilinear weights, and ``exact`` (3, n_neighbours) says whether it is the first
    of them itself, read as it is. ``bins`` (2**n_neighbours,) has the bin of each code; the edges of the cells are on
    the interior. Returns counts of shape (n_cell_rows, n_cell_columns, 3, n_bins).
    """
    n_times, height, width = clip.shape
    flat = clip.reshape(-1)
    n_rows, n_columns = len(row_edges) - 1, len(column_edges) - 1
    counts = np.zeros((n_rows, n_columns, 3, n_bins), np.int64)
    codes = np.zeros(height * width, np.int32)
    for row in range(n_rows):
        n_lines = row_edges[row + 1] - row_edges[row]
        # one run of pixels over all lines of the cells: long loops pay for the margins that they cross
        n = n_lines * width - 2 * margins[2]
        for t in range(margins[0], n_times - margins[0]):
            start = (t * height + margins[1] + row_edges[row]) * width + margins[2]
            centre = flat[start : start + n]
            for plane in range(3):
                codes[:n] = 0
                for k in range(exact.shape[1]):
                    bit = np.int32(1 << k)
                    o = start + offsets[plane, k, 0]
                    a = flat[o : o + n]
                    if exact[plane, k]:
                        for x in range(n):
                            codes[x] |= bit if a[x] >= centre[x] else np.int32(0)
                        continue
                    wa, wb, wc, wd = weights[plane, k]
                    o = start + offsets[plane, k, 1]
                    b = flat[o : o + n]
                    o = start + offsets[plane, k, 2]
                    c = flat[o : o + n]
                    o = start + offsets[plane, k, 3]
                    d = flat[o : o + n]
                    for x in range(n):
                        value = wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x]
                        codes[x] |= bit if np.rint(value * 1e4) / 1e4 >= centre[x] else np.int32(0)
                for line in range(n_lines):
                    for column in range(n_columns):
                        cell = counts[row, column, plane]
                        for x in range(line * width + column_edges[column], line * width + column_edges[column + 1]):
                            cell[bins[codes[x]]] += 1
    return counts
