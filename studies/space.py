"""What is searched: cells (κ, ξ) of the paper's grid or a part of it, or the range that contains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from tgsr.errors import ParameterError
from tgsr.protocols import KAPPAS, XIS, check_kappa, check_xi

__all__ = ["Cell", "Space", "spread"]

Cell = tuple[int, float]
T = TypeVar("T")
_POINTS_A_CELL = 4


@dataclass(frozen=True)
class Space:
    """The values of κ and ξ in a study.

    Attributes
    ----------
    kappas : tuple of int
    xis : tuple of float
        Both ascending. A grid study takes every pair, a sampled one any κ and ξ between the ends.
    """

    kappas: tuple[int, ...] = tuple(KAPPAS)
    xis: tuple[float, ...] = tuple(XIS.tolist())

    def __post_init__(self) -> None:
        if not self.kappas or not self.xis:
            raise ParameterError("the space is empty; give at least one κ and one ξ")
        object.__setattr__(self, "kappas", tuple(sorted({check_kappa(kappa) for kappa in self.kappas})))
        object.__setattr__(self, "xis", tuple(sorted({check_xi(xi) for xi in self.xis})))

    def cells(self, n_cells: int | None = None) -> list[Cell]:
        """Cells of the grid, all κ of a ξ together (the solver shares work between them).

        Parameters
        ----------
        n_cells : int, optional
            So many of them, evenly spread over κ and ξ; None for all. More of them contain the fewer.
        """
        return spread([(kappa, xi) for xi in self.xis for kappa in self.kappas], n_cells, len(self.kappas))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions: κ as an integer, ξ on a logarithmic scale where it can be."""
        low, high = self.xis[0], self.xis[-1]
        return {
            "kappa": IntDistribution(self.kappas[0], self.kappas[-1]),
            "xi": FloatDistribution(low, high, log=low > 0),
        }


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
