"""Columns of the table of trials as people see them: which are shown, what they are called, and their units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.choice import METRIC, PARAM, SCORE, column_of, names_of
from tgsr.evaluation.metrics import METRICS, describe_metric
from tgsr.evaluation.remarks import symbol

__all__ = ["SHOWN", "axis_label", "column_label", "in_units", "is_log", "named", "numeric", "own_metrics", "scores_of"]

SHOWN = (SCORE, "accuracy")
"""The scores that tables and figures show, as the paper does."""
_AXES = {"kappa": "κ, groups kept", "xi": "ξ, weight of the domain term", "n_components": "number of components"}


def numeric(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are numbers."""
    columns = table.select_dtypes("number")
    return [name for name in names_of(columns, PARAM) if columns[PARAM + name].nunique() > 1]


def named(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are names, truth values or absent."""
    others = table.drop(columns=[PARAM + name for name in numeric(table)])
    return [name for name in names_of(others, PARAM) if others[PARAM + name].nunique(dropna=False) > 1]


def scores_of(table: pd.DataFrame, by: str) -> list[str]:
    """The columns that trials are drawn by: the scores where there are any, and what a choice reads."""
    columns = dict.fromkeys((*(METRIC + key for key in SHOWN), column_of(by)))
    return [name for name in columns if name in table and table[name].notna().any()]


def own_metrics(table: pd.DataFrame) -> list[str]:
    """Metrics of the method's own: all but those that every method has, and the scores of single classes."""
    others = (*METRICS, "complete")  # whether just κ groups are kept: their number is shown
    of_classes = ("precision_", "recall_")
    return [name for name in names_of(table, METRIC) if name not in others and not name.startswith(of_classes)]


def column_label(column: str) -> str:
    """What axes and tables call a column of scores or of a rule's values."""
    kind, _, name = column.partition(".")
    return describe_metric(name).axis if f"{kind}." == METRIC else f"value of {name}"


def in_units(table: pd.DataFrame, column: str) -> pd.Series:
    """A column in the units in which it is shown: accuracy in per cent."""
    return table[column].astype(float) * (100 if describe_metric(column.removeprefix(METRIC)).percent else 1)


def axis_label(name: str) -> str:
    """What an axis calls a setting."""
    return _AXES.get(name, symbol(name))


def is_log(name: str, values: npt.NDArray[np.float64]) -> bool:
    """Whether an axis of these values needs a log scale: ξ over a decade, and real numbers over two."""
    positive = values[values > 0]
    whole = name != "xi" and bool((values == np.round(values)).all())
    decades = 1 if name == "xi" else 2
    return len(positive) > 0 and not whole and float(positive.max()) >= 10**decades * float(positive.min())
