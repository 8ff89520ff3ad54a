"""What is searched: cells (κ, ξ) of the paper's grid or a part of it, or the range that contains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from tgsr.errors import ParameterError
from tgsr.protocols import KAPPAS, XIS, check_kappa, check_xi

__all__ = ["Cell", "Space", "spread"]

Cell = tuple[int, float]
T = TypeVar("T")


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
            So many of them, evenly spread over that order; None for all.
        """
        return spread([(kappa, xi) for xi in self.xis for kappa in self.kappas], n_cells)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions: κ as an integer, ξ on a logarithmic scale where it can be."""
        low, high = self.xis[0], self.xis[-1]
        return {
            "kappa": IntDistribution(self.kappas[0], self.kappas[-1]),
            "xi": FloatDistribution(low, high, log=low > 0),
        }


def spread(cells: Sequence[T], n_cells: int | None) -> list[T]:
    """So many of the cells, evenly spread over their order; None for all."""
    if n_cells is None or n_cells >= len(cells):
        return list(cells)
    return [cells[index] for index in np.linspace(0, len(cells) - 1, n_cells).round().astype(int)]
