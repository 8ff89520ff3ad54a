"""The table of trials, and which of them is best: the one place that decides it, for every method, table and page.

A table has a row a trial. Its columns say what they are: ``number`` (place in the grid, or in the order of sampling),
``settings`` (what was tried, as JSON), ``params.<name>`` (the same, one by one), ``metrics.<name>`` (scores, and what
the method tells of its fit), ``rules.<name>`` (values of the rules that need no target label), ``predictions``. Tables
read from MLflow also have ``run_id`` and ``cell``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tgsr.errors import ParameterError, TrackingError

__all__ = [
    "METRIC",
    "ORACLE",
    "PARAM",
    "RULE",
    "SCORE",
    "Choice",
    "choose",
    "column_of",
    "names_of",
    "rank_trials",
]

PARAM, METRIC, RULE = "params.", "metrics.", "rules."
"""How the names of columns begin."""
ORACLE = "oracle"
"""The choice by the target's own labels, as in the paper's tables; no rule, and not available in use."""
SCORE = "macro_f1"
"""The metric by which an oracle chooses."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The best trial of a table by a rule.

    Attributes
    ----------
    by : str
        The rule's name, or ``"oracle"``.
    row : dict
        The trial's row, by column.
    settings : dict
        What it tried.
    value : float
        What it is best by.
    n_ties : int
        Trials with that value, itself included.
    """

    by: str
    row: dict[str, Any]
    settings: dict[str, Any]
    value: float
    n_ties: int

    @property
    def metrics(self) -> dict[str, float]:
        """The trial's metrics by name."""
        found = {name.removeprefix(METRIC): value for name, value in self.row.items() if name.startswith(METRIC)}
        return {name: float(value) for name, value in found.items() if not pd.isna(value)}


def names_of(table: pd.DataFrame, kind: str) -> list[str]:
    """Names of the columns of a kind (`PARAM`, `METRIC` or `RULE`), without what they begin with."""
    return [str(name).removeprefix(kind) for name in table.columns if str(name).startswith(kind)]


def column_of(by: str) -> str:
    """The column that a choice reads: a rule's values, or for ``"oracle"`` the score on the target."""
    return METRIC + SCORE if by == ORACLE else RULE + by


def rank_trials(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sort trials, the best first: by value, of equal ones the smallest number; without a value they are left out.

    A trial's number is its place in the grid. For TGSR that means the smallest κ, then the smallest ξ: the first hit in
    the order of the released records.
    """
    column = column_of(by)
    if column not in table:
        return table.iloc[:0]
    valued = table[np.isfinite(table[column].to_numpy(dtype=np.float64))]
    ranked: pd.DataFrame = valued.sort_values([column, "number"], ascending=[False, True], ignore_index=True)
    return ranked


def choose(table: pd.DataFrame, by: str) -> Choice:
    """Find the best trial by a rule, see `rank_trials`; nothing is fitted.

    Parameters
    ----------
    table : DataFrame
        See this module.
    by : str
        A rule's name, or ``"oracle"``.

    Raises
    ------
    TrackingError
        If there is no trial.
    ParameterError
        If no trial has a value of this rule: it was not computed, or the target has no labels for an oracle.
    """
    if not len(table):
        raise TrackingError("the study has no finished trial; run it first")
    ranked = rank_trials(table, by)
    if ranked.empty and by == ORACLE:
        raise ParameterError("an oracle chooses by the target's labels, and this target has none; choose by a rule")
    if ranked.empty:
        known = ", ".join(names_of(table, RULE)) or "none"
        raise ParameterError(
            f"no trial has a value of the rule {by!r} (there are: {known}); if it is a rule, run the study with "
            f"--rules {by}: only what it needs is fitted"
        )
    row = {
        str(name): value.item() if isinstance(value, np.generic) else value for name, value in ranked.iloc[0].items()
    }
    value, column = float(row[column_of(by)]), ranked[column_of(by)]
    return Choice(by, row, json.loads(row["settings"]), value, int((column == value).sum()))
