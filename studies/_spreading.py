"""A part of a grid, evenly spread over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["spread"]

T = TypeVar("T")
_POINTS_A_CELL = 4


def spread(cells: Sequence[T], n_cells: int | None, n_columns: int = 1) -> list[T]:
    """So many of the cells, evenly spread, in their order; None for all. More of them contain the fewer.

    Parameters
    ----------
    cells : sequence
        The rows of a table one after the other.
    n_cells : int or None
    n_columns : int
        Cells in a row; they are spread over rows and columns.
    """
    if n_cells is None or n_cells >= len(cells):
        return list(cells)
    n_rows = len(cells) // n_columns
    # Halton's points: the first of them are evenly spread over the square and over each side, however many they are
    points = np.arange(1, _POINTS_A_CELL * len(cells) + 1)
    rows = (_mirrored(points, 2) * n_rows).astype(np.int64)
    columns = (_mirrored(points, 3) * n_columns).astype(np.int64)
    hit, first = np.unique(rows * n_columns + columns, return_index=True)
    order = np.concatenate([hit[np.argsort(first)], np.setdiff1d(np.arange(len(cells)), hit)])
    return [cells[index] for index in np.sort(order[:n_cells])]


def _mirrored(numbers: npt.NDArray[np.int64], base: int) -> npt.NDArray[np.float64]:
    """The numbers' digits in a base, mirrored at the point: 0 to 1."""
    mirrored, place = np.zeros(len(numbers)), 1.0
    while numbers.any():
        place /= base
        mirrored += place * (numbers % base)
        numbers = numbers // base
    return mirrored
