"""What must be said beside a choice: ties, the edge of the grid, a selection that leaves nothing out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import METRIC, PARAM, Choice, choose, rank_trials

__all__ = ["choice_remarks", "one_class_remark", "show_setting", "show_settings", "show_value", "symbol"]

_SYMBOLS = {"kappa": "κ", "xi": "ξ", "lam": "λ", "mu": "μ", "zeta": "ζ"}


def choice_remarks(table: pd.DataFrame, by: str, *, sampler: str = "grid", n_groups: int | None = None) -> list[str]:
    """Say how the best trial of a table was come by, one sentence each; empty where there is nothing to say.

    Parameters
    ----------
    table : DataFrame
        A row a trial, see `tgsr.evaluation.choice`.
    by : str
        A rule's name, or ``"oracle"``.
    sampler : str
        The study's: of ``"fixed"`` settings nothing but the solver is remarked upon, and edges are those of a
        ``"grid"``.
    n_groups : int, optional
        Groups that there are, of a method that keeps some of them.
    """
    if rank_trials(table, by).empty:
        return []
    best = choose(table, by)
    found = []
    if sampler == "fixed":
        found.append("The settings were fixed beforehand: no result was looked at.")
    else:
        found += _ties(best, table)
        if sampler == "grid" and best.n_ties < len(table):
            found += _edges(best, table, n_groups)
    kept = best.row.get(f"{METRIC}regions_kept")
    if n_groups is not None and kept == n_groups:
        found.append(f"The chosen trial keeps all {n_groups} groups: nothing is selected among them.")
    if best.row.get(f"{METRIC}iterations") == 1:
        found.append("The solver ended after one iteration: the chosen trial is hardly more than its starting point.")
    if best.row.get(f"{METRIC}converged") in (0, False):
        found.append("The chosen trial's solver stopped at the limit of iterations.")
    return found


def one_class_remark(predictions: str, class_names: Sequence[str]) -> str:
    """What must be said of predictions (base-36 digits) that are one class for all; empty where they are not."""
    found = set(predictions or "")
    return f"predicts {class_names[int(found.pop(), 36)]} for all {len(predictions)}" if len(found) == 1 else ""


def show_setting(name: str, value: object) -> str:
    """A setting as people read it: ``"κ = 12"``, ``"width = 0.25"``."""
    return f"{symbol(name)} = {show_value(value)}"


def show_value(value: object) -> str:
    """A setting's value as people read it: four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_settings(settings: Mapping[str, object]) -> str:
    """Settings as people read them: ``"κ = 12, ξ = 0.01"``."""
    return ", ".join(show_setting(name, value) for name, value in settings.items())


def symbol(name: str) -> str:
    """A setting's symbol, or its name."""
    return _SYMBOLS.get(name, name)


def _ties(best: Choice, table: pd.DataFrame) -> list[str]:
    if best.n_ties == 1:
        return []
    varied = [symbol(name) for name in best.settings if table[PARAM + name].nunique() > 1]
    first = f" (the smallest {varied[0]}, then {varied[1]})" if varied == ["κ", "ξ"] else ""
    if best.n_ties == len(table):
        return [
            f"All {len(table):,} trials tie at {best.value:.4f}: the rule tells nothing, the first was taken{first}."
        ]
    return [f"{best.n_ties:,} trials tie at {best.value:.4f}; the first was taken{first}."]


def _edges(best: Choice, table: pd.DataFrame, n_groups: int | None) -> list[str]:
    """Settings at the largest or smallest value tried, unless nothing can lie beyond."""
    found = []
    for name, value in best.settings.items():
        column = table[PARAM + name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if not numeric or column.nunique() < 3 or not np.isfinite(value):
            continue
        natural = (1, n_groups) if name == "kappa" else (0, None)
        for edge, limit in ((column.min(), natural[0]), (column.max(), natural[1])):
            if value == edge and value != limit:
                found.append(f"{show_setting(name, value)} is at the edge of the grid: a better one may lie beyond.")
    return found
