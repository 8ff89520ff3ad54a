"""The 85 facial regions, the feature layouts built on them, and a schematic face to draw them on.

Canonical layout of a sample: ``[region][plane][bin]`` with regions by scale (1×1, 2×2, 4×4, 8×8), row by row.
Released layout (the authors' files): ``[scale][plane][block][bin]`` with blocks column by column.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "N_BINS",
    "N_PLANES",
    "PLANES",
    "SCALES",
    "block_edges",
    "region_boxes",
    "released_groups",
    "released_histograms",
    "released_to_canonical",
    "schematic_face",
]

SCALES: tuple[int, ...] = (1, 2, 4, 8)
"""Blocks a side in each of the four grids."""

PLANES: tuple[str, ...] = ("XY", "XT", "YT")
N_PLANES = 3
N_BINS = 59
"""Uniform-pattern bins a plane: 58 uniform codes and one for the rest."""

_GROUP = N_PLANES * N_BINS


def block_edges(length: int, n_blocks: int) -> npt.NDArray[np.intp]:
    """Edges of ``n_blocks`` blocks of round(length / n_blocks) pixels; the last block takes the rest.

    Returns
    -------
    ndarray of shape (n_blocks + 1,)
        106 pixels give 53,53 · 27,27,27,25 · 13×7,15.
    """
    side = int(np.floor(length / n_blocks + 0.5))
    edges = np.arange(n_blocks + 1, dtype=np.intp) * side
    edges[-1] = length
    return edges


def region_boxes(height: int, width: int, scales: Sequence[int] = SCALES) -> npt.NDArray[np.intp]:
    """Boxes of the regions on a height × width area, in canonical order.

    Returns
    -------
    ndarray of shape (n_regions, 4)
        ``top, left, bottom, right`` in pixels, bottom and right exclusive.
    """
    boxes = []
    for n_blocks in scales:
        rows, columns = block_edges(height, n_blocks), block_edges(width, n_blocks)
        boxes += [(rows[i], columns[j], rows[i + 1], columns[j + 1]) for i in range(n_blocks) for j in range(n_blocks)]
    return np.array(boxes, dtype=np.intp)


def released_histograms() -> npt.NDArray[np.intp]:
    """Which histogram stands at each place of the released layout.

    Returns
    -------
    ndarray of shape (255, 2)
        Canonical region index and plane index, in the order of the released vector.
    """
    order = []
    first_region = 0
    for n_blocks in SCALES:
        for plane in range(N_PLANES):
            for column in range(n_blocks):
                order += [(first_region + row * n_blocks + column, plane) for row in range(n_blocks)]
        first_region += n_blocks * n_blocks
    return np.array(order, dtype=np.intp)


def _canonical_positions() -> npt.NDArray[np.intp]:
    """Canonical feature index of every entry of the released vector, shape (15045,)."""
    histograms = released_histograms()
    starts = (histograms[:, 0] * N_PLANES + histograms[:, 1]) * N_BINS
    return np.asarray((starts[:, None] + np.arange(N_BINS)).ravel(), dtype=np.intp)


def released_to_canonical(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Reorder released feature vectors (n, 15045) to the canonical layout (n, 85, 177); values are unchanged."""
    canonical = np.empty_like(features, order="C")
    canonical[:, _canonical_positions()] = features
    return canonical.reshape(len(features), canonical.shape[1] // _GROUP, _GROUP)


def released_groups() -> npt.NDArray[np.intp]:
    """Group of every feature of the **canonical** layout under the grouping of the released records.

    The records were computed with groups of 177 consecutive entries of the released layout, which (except for the
    first) are three neighbouring (block, plane) histograms, not one facial region.

    Returns
    -------
    ndarray of shape (15045,)
        Group numbers 0…84.
    """
    groups = np.empty(len(_canonical_positions()), dtype=np.intp)
    groups[_canonical_positions()] = np.arange(len(groups)) // _GROUP
    return groups


@functools.cache
def schematic_face(side: int) -> npt.NDArray[np.uint8]:
    """Draw a face of no person in grey, shape (side, side): eyes, nose and mouth where a cropped face has them."""
    import cv2

    image, line = np.full((side, side), 245, dtype=np.uint8), 110
    width, fine = max(1, side // 106), 6  # OpenCV's coordinates have so many fractional bits
    unit = side * 2**fine

    def arc(x: float, y: float, right: float, down: float, first: float = 0, last: float = 360) -> None:
        centre, axes = (round(x * unit), round(y * unit)), (round(right * unit), round(down * unit))
        cv2.ellipse(image, centre, axes, 0, first, last, line, width, cv2.LINE_AA, fine)

    arc(0.5, 0.5, 0.42, 0.48)
    for eye in (0.33, 0.67):
        arc(eye, 0.39, 0.08, 0.035)
        arc(eye, 0.39, 0.025, 0.025)
        arc(eye, 0.33, 0.11, 0.045, 200, 340)
    nose = np.array([[0.5, 0.43], [0.45, 0.6], [0.54, 0.61]]) * unit
    cv2.polylines(image, [nose.astype(np.int32)], False, line, width, cv2.LINE_AA, fine)
    arc(0.5, 0.76, 0.14, 0.045)
    return image
