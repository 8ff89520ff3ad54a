"""Settings and scores as axes: which settings are numbers, which need a log scale, and what scores are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.best import setting_columns
from tgsr.evaluation.remarks import symbol
from tgsr.reports._style import COLUMN, METRICS, PAGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "as_shown",
    "axis_label",
    "choices",
    "is_log",
    "numbers",
    "same",
    "score_label",
    "score_panels",
    "scores_of",
    "set_axis",
    "varied",
]

_LABELS = {"kappa": "κ, groups kept", "xi": "ξ, weight of the domain term", "n_components": "number of components"}


def varied(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value."""
    return [name for name in setting_columns(table) if table[name].nunique(dropna=False) > 1]


def numbers(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are numbers."""
    return [name for name in varied(table) if _is_number(table[name])]


def choices(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are names, truth values or absent."""
    return [name for name in varied(table) if not _is_number(table[name])]


def scores_of(table: pd.DataFrame) -> list[str]:
    """What trials are drawn by: the scores on the target, or the rule's value where the target has no labels."""
    known = [name for name in METRICS if name in table and table[name].notna().any()]
    return known or ["selection_value"]


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table with accuracy in per cent."""
    return table.assign(accuracy=100 * table["accuracy"]) if "accuracy" in table else table


def score_label(metric: str) -> str:
    """What an axis calls a score."""
    return METRICS.get(metric, "selection value")


def same(table: pd.DataFrame, row: Mapping[str, Any], names: list[str]) -> pd.Series:
    """Which trials have a row's settings of these names; what is absent equals what is absent."""
    equal = pd.Series(data=True, index=table.index)
    for name in names:
        equal &= table[name].isna() if pd.isna(row[name]) else table[name] == row[name]
    return equal


def axis_label(name: str) -> str:
    """What an axis calls a setting."""
    return _LABELS.get(name, symbol(name))


def is_log(name: str, values: npt.NDArray[np.float64]) -> bool:
    """Whether an axis of these values needs a log scale: ξ over a decade, and real numbers over two."""
    positive = values[values > 0]
    whole = name != "xi" and bool((values == np.round(values)).all())
    decades = 1 if name == "xi" else 2
    return len(positive) > 0 and not whole and float(positive.max()) >= 10**decades * float(positive.min())


def set_axis(axis: Axes, which: str, name: str, column: pd.Series) -> None:
    """Give an axis (``which`` is ``"x"`` or ``"y"``) the scale and the label of a setting.

    A log axis has a linear part below the smallest positive value when 0 is among the values. Whole numbers have whole
    ticks.
    """
    from matplotlib.ticker import MaxNLocator

    values = column.dropna().to_numpy(dtype=np.float64)
    axis.set(**{f"{which}label": axis_label(name)})
    if is_log(name, values):
        linear_part: dict[str, Any] = {"value": "symlog", "linthresh": float(values[values > 0].min())}
        getattr(axis, f"set_{which}scale")(**linear_part if (values <= 0).any() else {"value": "log"})
    else:
        whole = bool((values == np.round(values)).all())
        ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1)
        getattr(axis, f"{which}axis").set_major_locator(ticks)


def score_panels(
    table: pd.DataFrame, height: float, title: str, *, sharey: bool = False
) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with an axis beside the other for each score of a table, and the name of the score."""
    metrics = scores_of(table)
    figure = new_figure(PAGE if len(metrics) > 1 else COLUMN, height, title)
    axes = figure.subplots(1, len(metrics), sharey=sharey, squeeze=False)[0]
    return figure, list(zip(axes, metrics, strict=True))


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() > 1
