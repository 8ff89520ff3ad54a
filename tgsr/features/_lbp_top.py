"""LBP-TOP: local binary patterns on three orthogonal planes of a clip, counted by facial region.

Zhao and Pietikäinen, PAMI 2007, in the convention of Hong, Xu and Zhao, "LBP-TOP: a tensor unfolding revisit",
ACCV workshops 2016, which the released features follow:

- neighbour k lies at the angle 2πk/P, row offset −R·sin, column offset +R·cos; XY has rows Y and columns X, XT rows T
  and columns X, YT rows T and columns Y;
- a neighbour that falls on a pixel is read as it is; any other is interpolated bilinearly and rounded to 1e-4;
- bit k is set where the neighbour is ≥ the centre;
- codes are computed once, for the centres that have all neighbours in all planes: 16 × 112 × 112 gives 10 × 106 × 106.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError, ParameterError
from tgsr.preprocessing.interpolation import check_clip
from tgsr.protocols import check_choice, check_integer
from tgsr.regions import N_PLANES, SCALES, block_edges, region_boxes

if TYPE_CHECKING:
    from tgsr.features.extraction import ExtractionSettings

__all__ = ["INTERPOLATIONS", "MAPPINGS", "code_bins", "lbp_top", "region_histograms"]

MAPPINGS: tuple[str, ...] = ("uniform", "riu2", "none")
INTERPOLATIONS: tuple[str, ...] = ("bilinear", "nearest")
_ON_PIXEL = 1e-6

Ints = npt.NDArray[np.int64]


def lbp_top(
    clip: npt.ArrayLike,
    *,
    radii: int | tuple[int, int, int] = 3,
    neighbours: int = 8,
    mapping: str = "uniform",
    grid: Sequence[int] = SCALES,
    interpolation: str = "bilinear",
) -> npt.NDArray[np.float64]:
    """Compute the LBP-TOP histograms of a clip's regions.

    Parameters
    ----------
    clip : array of shape (T, height, width)
        Grey values; T is time. The paper's clips are 16 × 112 × 112.
    radii : int or (int, int, int)
        Radius in pixels along X and Y and in frames along T; one number for all three.
    neighbours : int
        Neighbours on each circle, 2 to 16.
    mapping : {"uniform", "riu2", "none"}
        Bins of a code. "uniform": codes with at most two transitions ascend in the first P(P − 1) + 2 bins, the rest
        share the last one. "riu2": uniform codes by their number of ones, the rest last. "none": every code its own.
    grid : sequence of int
        Blocks a side in each grid of regions.
    interpolation : {"bilinear", "nearest"}
        How a neighbour between pixels is read.

    Returns
    -------
    ndarray of float64, shape (n_regions, 3 · n_bins)
        85 × 177 by default: regions by scale and row by row, planes XY, XT, YT; each plane's histogram sums to 1.

    Raises
    ------
    DataError
        If the clip is not three-dimensional, not of numbers, holds NaN or infinity, or is too small for the radii.
    ParameterError
        If a parameter is out of its range, or the interior is too small for the grid.
    """
    from tgsr.features._lbp_kernel import count_cells  # numba takes 0.4 s to import

    given = (radii,) * 3 if isinstance(radii, (int, np.integer)) else tuple(radii)
    if len(given) != 3:
        raise ParameterError(f"radii must be a positive integer, or three for X, Y and T, got {radii!r}")
    x, y, t = (check_integer("a radius", radius, 1) for radius in given)
    bins, n_bins = code_bins(neighbours, mapping)
    volume = np.ascontiguousarray(check_clip(clip), dtype=np.float64)
    smallest = (2 * t + 1, 2 * y + 1, 2 * x + 1)
    if any(have < need for have, need in zip(volume.shape, smallest, strict=True)):
        raise DataError(f"a clip of shape {volume.shape} is too small for the radii; it must be at least {smallest}")
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    _, height, width = volume.shape
    row_edges, column_edges, members = _cells(height - 2 * y, width - 2 * x, tuple(map(int, grid)))
    offsets, weights, exact = _neighbourhood((x, y, t), neighbours, interpolation, (height, width))
    margins = np.array([t, y, x], dtype=np.int64)
    cells = count_cells(volume, margins, offsets, weights, exact, bins, n_bins, row_edges, column_edges)
    counts = np.stack([cells[top:bottom, left:right].sum(axis=(0, 1)) for top, left, bottom, right in members])
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True)).reshape(len(counts), -1)


def region_histograms(clip: npt.NDArray[np.float64], settings: ExtractionSettings) -> npt.NDArray[np.float64]:
    """`lbp_top` with the parameters that the settings hold: the extractor ``lbp-top``."""
    names = ("radii", "neighbours", "mapping", "grid", "interpolation")
    return lbp_top(clip, **{name: getattr(settings, name) for name in names})


@lru_cache(maxsize=16, typed=True)
def code_bins(neighbours: int, mapping: str = "uniform") -> tuple[Ints, int]:
    """Give the bin of each of the 2^P codes, and the number of bins; the errors are those of `lbp_top`."""
    neighbours = check_integer("neighbours", neighbours, 2, 16)
    check_choice("mapping", mapping, MAPPINGS)
    codes = np.arange(1 << neighbours, dtype=np.int64)
    rotated = (codes >> 1) | ((codes & 1) << (neighbours - 1))
    ones = np.bitwise_count(codes).astype(np.int64)
    uniform = np.bitwise_count(codes ^ rotated) <= 2
    if mapping == "uniform":
        bins, n_bins = np.where(uniform, np.cumsum(uniform) - 1, uniform.sum()), int(uniform.sum()) + 1
    elif mapping == "riu2":
        bins, n_bins = np.where(uniform, ones, neighbours + 1), int(neighbours) + 2
    else:
        bins, n_bins = codes, len(codes)
    bins = bins.astype(np.int64)
    bins.setflags(write=False)
    return bins, n_bins


@lru_cache(maxsize=16)
def _neighbourhood(
    radius: tuple[int, int, int], neighbours: int, interpolation: str, frame: tuple[int, int]
) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Where each plane's neighbours are in the flat clip: offsets, weights and exactness as the kernel takes them."""
    height, width = frame
    steps = {"X": 1, "Y": width, "T": width * height}
    reach = dict(zip("XYT", radius, strict=True))
    offsets = np.zeros((N_PLANES, neighbours, 4), dtype=np.int64)
    weights = np.zeros((N_PLANES, neighbours, 4))
    exact = np.zeros((N_PLANES, neighbours), dtype=np.bool_)
    for plane, (rows, columns) in enumerate((("Y", "X"), ("T", "X"), ("T", "Y"))):
        for k in range(neighbours):
            angle = 2 * np.pi * k / neighbours
            down, right = -reach[rows] * np.sin(angle), reach[columns] * np.cos(angle)
            if interpolation == "nearest":
                down, right = np.floor(down + 0.5), np.floor(right + 0.5)
            exact[plane, k] = max(abs(down - round(down)), abs(right - round(right))) < _ON_PIXEL
            top, left = (round(down), round(right)) if exact[plane, k] else (int(np.floor(down)), int(np.floor(right)))
            below, beyond = down - top, right - left
            offsets[plane, k] = top * steps[rows] + left * steps[columns]
            offsets[plane, k] += np.array([0, steps[columns], steps[rows], steps[rows] + steps[columns]])
            weights[plane, k] = (1 - below) * (1 - beyond), (1 - below) * beyond, below * (1 - beyond), below * beyond
    return offsets, weights, exact


@lru_cache(maxsize=16)
def _cells(height: int, width: int, grid: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
    """Cells that all grids' blocks are unions of: edges of rows and of columns, and each region's range of cells.

    27-pixel blocks do not nest in 13-pixel ones, so the cells lie between the edges of all grids together.
    """
    if not grid or min(grid) < 1:
        raise ParameterError(f"grid must list numbers of blocks of at least 1, got {grid}")
    for n_blocks in grid:
        if min(np.diff(block_edges(height, n_blocks)).min(), np.diff(block_edges(width, n_blocks)).min()) < 1:
            raise ParameterError(f"{n_blocks} × {n_blocks} blocks do not fit the interior of {height} × {width} pixels")
    rows, columns = (np.unique(np.concatenate([block_edges(side, n) for n in grid])) for side in (height, width))
    boxes = region_boxes(height, width, grid)
    members = np.searchsorted(rows, boxes), np.searchsorted(columns, boxes)
    top, left, bottom, right = members[0][:, 0], members[1][:, 1], members[0][:, 2], members[1][:, 3]
    return rows.astype(np.int64), columns.astype(np.int64), np.stack([top, left, bottom, right], axis=1)
