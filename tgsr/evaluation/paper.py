"""The published Tables I and II: ten methods × twelve experiments, as data.

Each number is the best target macro-F1 over a method's grid, and the accuracy in the same cell: chosen with the
target's labels. Three accuracies cannot be, given the number of target samples.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PublishedResult", "published_result", "published_results"]


class PublishedResult(NamedTuple):
    """One cell of the published tables, as fractions (accuracy is printed in per cent).

    ``possible_accuracy`` is the nearest accuracy (to the printed two decimals of a per cent) that is a multiple of
    1/N_t, in the three cells whose accuracy is none; elsewhere NaN.
    """

    macro_f1: float
    accuracy: float
    possible_accuracy: float


@cache
def published_results() -> pd.DataFrame:
    """All 120 cells: columns ``experiment`` (such as ``"V-N"``) and ``method``, and those of `PublishedResult`."""
    import pandas as pd

    with files("tgsr.evaluation").joinpath("paper_results.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return pd.DataFrame(
        {
            "experiment": table["source"] + "-" + table["target"],
            "method": table["method"],
            "macro_f1": table["macro_f1"],
            "accuracy": (table["accuracy_percent"] / 100).round(6),
            "possible_accuracy": (table["possible_percent"] / 100).round(6),
        }
    )


def published_result(experiment: str, method: str) -> PublishedResult | None:
    """The published cell of an experiment's name and a method; None for what is not in the tables."""
    table = published_results()
    row = table[(table["experiment"] == experiment) & (table["method"] == method)]
    return None if row.empty else PublishedResult(*row.iloc[0, 2:].astype(float))
