"""Which trial is best: the one place that decides it, for every method, table and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tgsr.errors import TrackingError

__all__ = ["Best", "best_trial", "rank_trials", "setting_columns"]

_FACTS = frozenset(
    [
        "trial",
        "run_id",
        "cell",
        "selection_value",
        "macro_f1",
        "accuracy",
        "recall",
        "objective",
        "iterations",
        "converged",
        "complete",
        "regions_kept",
        "predictions",
        "fit_seconds",
        "log10_xi",
    ]
)
_SCORES = ("precision_", "recall_", "confusion_")


@dataclass(frozen=True, eq=False)
class Best:
    """The best trial of a table.

    Attributes
    ----------
    row : dict
        Its row.
    settings : dict
        What it tried.
    value : float
        What it is best by.
    n_ties : int
        Trials with that value, itself included.
    """

    row: dict[str, Any]
    settings: dict[str, Any]
    value: float
    n_ties: int


def setting_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table of trials that say what was tried, in their order."""
    return [name for name in table.columns if name not in _FACTS and not str(name).startswith(_SCORES)]


def rank_trials(table: pd.DataFrame, by: str = "selection_value") -> pd.DataFrame:
    """Sort trials, the best first: by value, of equal ones the smallest number; without a value they are left out.

    A trial's number is its place in the grid. For TGSR that means the smallest κ, then the smallest ξ: the first hit in
    the order of the released records.
    """
    valued = table[np.isfinite(table[by].to_numpy(dtype=np.float64))]
    ranked: pd.DataFrame = valued.sort_values([by, "trial"], ascending=[False, True], ignore_index=True)
    return ranked


def best_trial(table: pd.DataFrame, by: str = "selection_value") -> Best:
    """Find the best trial, see `rank_trials`.

    Parameters
    ----------
    table : DataFrame
        With the columns ``trial``, ``by``, and one for each setting.
    by : str
        ``"selection_value"`` is the rule's choice; ``"macro_f1"`` what an oracle would choose among the same trials.

    Raises
    ------
    TrackingError
        If no trial has a value.
    """
    ranked = rank_trials(table, by) if len(table) and by in table else table.iloc[:0]
    if ranked.empty:
        raise TrackingError("the study has no finished trial with a value; run it first")
    row = {str(name): _plain(value) for name, value in ranked.iloc[0].to_dict().items()}
    value = float(row[by])
    return Best(row, _settings(row, setting_columns(table)), value, int((ranked[by] == value).sum()))


def _settings(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What was tried; a setting that another part of the grid has is NaN or missing here."""
    return {name: row[name] for name in names if not (isinstance(row[name], float) and np.isnan(row[name]))}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
