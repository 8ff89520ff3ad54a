"""The published Tables I and II: ten methods × twelve experiments, as data.

Each number is the best target macro-F1 over a method's grid, and the accuracy in the same cell: chosen with the
target's labels. Three accuracies cannot be, given the number of target samples; these cells are marked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tgsr.protocols import Experiment

__all__ = ["PublishedResult", "published_result", "published_results"]


@dataclass(frozen=True)
class PublishedResult:
    """One cell of the published tables.

    Attributes
    ----------
    experiment : int
        1 to 12.
    method : str
    macro_f1, accuracy : float
        Fractions, as printed (accuracy is printed in per cent).
    possible_accuracy : float or None
        In the three cells whose accuracy is no multiple of 1/N_t: the nearest accuracy (to the printed two decimals
        of a per cent) that is.
    """

    experiment: int
    method: str
    macro_f1: float
    accuracy: float
    possible_accuracy: float | None = None

    @property
    def impossible(self) -> bool:
        """Whether the printed accuracy cannot be."""
        return self.possible_accuracy is not None

    def equals(self, macro_f1: float, accuracy: float) -> bool:
        """Whether a result agrees to the printed digit; impossible cells are compared with the nearest possible."""
        expected = self.accuracy if self.possible_accuracy is None else self.possible_accuracy
        return round(macro_f1, 4) == self.macro_f1 and round(100 * accuracy, 2) == round(100 * expected, 2)


@cache
def published_results() -> dict[tuple[int, str], PublishedResult]:
    """All 120 cells, by experiment number and method."""
    text = files("tgsr.evaluation").joinpath("paper_results.csv").read_text(encoding="utf-8")
    cells = (
        PublishedResult(
            experiment=int(row["experiment"]),
            method=row["method"],
            macro_f1=float(row["macro_f1"]),
            accuracy=round(float(row["accuracy_percent"]) / 100, 6),
            possible_accuracy=round(float(row["possible_percent"]) / 100, 6) if row["possible_percent"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    )
    return {(cell.experiment, cell.method): cell for cell in cells}


def published_result(experiment: Experiment, method: str) -> PublishedResult | None:
    """The published cell of an experiment and a method; None for a method that is not in the tables."""
    return published_results().get((experiment.number, method))
