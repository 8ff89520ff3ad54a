"""Settings as axes: which are numbers, which need a log scale, and where they have ticks that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.best import setting_columns
from tgsr.evaluation.remarks import SYMBOLS
from tgsr.reports._style import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axis_label", "choices", "is_log", "numbers", "same", "scores_of", "set_axis", "symbol"]

_LABELS = {"kappa": "κ, groups kept", "xi": "ξ, weight of the domain term", "n_components": "number of components"}
_LOG_RANGE = 100
"""A real setting that spans this factor was searched by its magnitude."""


def numbers(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are numbers."""
    return [name for name in _varied(table) if _is_number(table[name])]


def choices(table: pd.DataFrame) -> list[str]:
    """The settings with more than one value that are names, truth values or absent."""
    return [name for name in _varied(table) if not _is_number(table[name])]


def scores_of(table: pd.DataFrame) -> list[str]:
    """What trials are drawn by: the scores on the target, or the rule's value where the target has no labels."""
    known = [name for name in METRICS if name in table and table[name].notna().any()]
    return known or ["selection_value"]


def same(table: pd.DataFrame, row: Mapping[str, Any], names: list[str]) -> pd.Series:
    """Which trials have a row's settings of these names; what is absent equals what is absent."""
    equal = pd.Series(data=True, index=table.index)
    for name in names:
        equal &= table[name].isna() if pd.isna(row[name]) else table[name] == row[name]
    return equal


def symbol(name: str) -> str:
    """A setting's symbol, or its name."""
    return SYMBOLS.get(name, name)


def axis_label(name: str) -> str:
    """What an axis calls a setting."""
    return _LABELS.get(name, symbol(name))


def is_log(name: str, values: npt.NDArray[np.float64]) -> bool:
    """Whether an axis of these values needs a log scale: ξ does, and real numbers over two decades."""
    positive = values[values > 0]
    if not len(positive):
        return False
    whole = bool((values == np.round(values)).all())
    return name == "xi" or (not whole and float(positive.max()) >= _LOG_RANGE * float(positive.min()))


def set_axis(axis: Axes, which: str, name: str, column: pd.Series) -> None:
    """Give an axis (``which`` is ``"x"`` or ``"y"``) the scale, the ticks and the label of a setting.

    A log axis has a linear part below the smallest positive value when 0 is among the values. Decades are its ticks;
    where it spans less than one, round numbers are. Whole numbers have whole ticks.
    """
    from matplotlib.ticker import MaxNLocator

    values = column.dropna().to_numpy(dtype=np.float64)
    axis.set(**{f"{which}label": axis_label(name)})
    if is_log(name, values):
        positive = values[values > 0]
        least, most, with_zero = float(positive.min()), float(positive.max()), bool((values <= 0).any())
        scale: dict[str, Any] = {"value": "symlog", "linthresh": least} if with_zero else {"value": "log"}
        getattr(axis, f"set_{which}scale")(**scale)
        if most < 10 * least:
            ticks = [0.0] * with_zero + _round_numbers(least, most)
            getattr(axis, f"set_{which}ticks")(ticks, [f"{tick:.6g}" for tick in ticks])
            getattr(axis, f"set_{which}ticks")([], minor=True)
    elif (values == np.round(values)).all():
        getattr(axis, f"{which}axis").set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _varied(table: pd.DataFrame) -> list[str]:
    return [name for name in setting_columns(table) if table[name].nunique(dropna=False) > 1]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() > 1


def _round_numbers(least: float, most: float) -> list[float]:
    """Some numbers of few digits in a part of a decade, ends included; the number itself if the ends are one."""
    from matplotlib.ticker import MaxNLocator

    if least == most:
        return [least]
    if most >= 3 * least:
        decade = 10 ** np.floor(np.log10(least))
        candidates = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0]) * decade
    else:
        candidates = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(least, most)
    return [float(tick) for tick in candidates if least * (1 - 1e-9) <= tick <= most * (1 + 1e-9)]
