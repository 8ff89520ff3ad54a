"""What must be said beside a choice: ties, the edge of the grid, a selection of everything, one class only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import METRIC, PARAM, Choice, names_of

__all__ = [
    "REMEDY",
    "choice_remarks",
    "one_class_remark",
    "regression_remark",
    "show_settings",
    "solver_remark",
    "symbol",
]

REMEDY = "scale the features (--preprocess unit), or take a smaller C or a larger max_iter, where the method has them"
"""Of what did not converge."""

_CROWDED = 0.75
"""Samples a feature from which TGSR without a selection falls behind."""
_SYMBOLS = {"kappa": "κ", "xi": "ξ", "lam": "λ", "mu": "μ", "zeta": "ζ"}


def choice_remarks(
    table: pd.DataFrame, choice: Choice, *, sampler: str = "grid", n_groups: int | None = None
) -> list[str]:
    """Say how a choice was come by, one sentence each; empty where there is nothing to say.

    Parameters
    ----------
    table : DataFrame
        See `tgsr.evaluation.choice`.
    choice : Choice
        The best trial of this table by some rule.
    sampler : str
        Of a ``"fixed"`` study nothing but the solver is remarked upon; edges are those of a ``"grid"``.
    n_groups : int, optional
        Groups that there are, of a method that keeps some of them.
    """
    found, metrics = [], choice.metrics
    if sampler == "fixed":
        found.append("One trial, settings fixed beforehand: nothing was searched.")
    else:
        found += _ties(table, choice)
        if sampler == "grid" and choice.n_ties < len(table):
            found += _edges(table, choice, n_groups)
    if n_groups is not None and metrics.get("regions_kept") == n_groups:
        found.append(f"The chosen trial keeps all {n_groups} groups: nothing is selected among them.")
    if metrics.get("iterations") == 1:
        found.append("The solver ended after one iteration: the chosen trial is hardly more than its starting point.")
    if metrics.get("converged") == 0:
        found.append("The chosen trial's solver did not converge.")
    return found


def one_class_remark(predictions: str | float | None, class_names: Sequence[str]) -> str:
    """What must be said of predictions (base-36 digits) that are one class for all; empty otherwise."""
    if not isinstance(predictions, str) or len(set(predictions)) != 1:
        return ""
    return f"predicts {class_names[int(predictions[0], 36)]} for all {len(predictions)}"


def regression_remark(settings: Mapping[str, Any], n_source: int, n_features: float, n_groups: int) -> str:
    """What must be said of settings of TGSR that select nothing where there are about as many samples as features.

    With all groups kept λ is 0, and with far fewer samples than features the start of the iteration regularises. From
    three quarters on nothing does: measured in tgsr/estimators/README.md. Empty where there is nothing to say.
    """
    if settings.get("kappa") != n_groups or n_source < _CROWDED * n_features:
        return ""
    return (
        f"All {n_groups} groups are kept, and {n_source:,} samples determine {n_features:,.0f} features: nothing "
        "regularises the regression, and fewer groups may be far better."
    )


def solver_remark(table: pd.DataFrame, choice: Choice | None = None) -> str:
    """How many trials of a table (`tgsr.evaluation.choice`) did not converge, the chosen one too; empty for none."""
    stopped = int((table[METRIC + "converged"] == 0).sum()) if METRIC + "converged" in table else 0
    too = choice is not None and len(table) > 1 and choice.metrics.get("converged") == 0
    return f"{stopped:,} of {len(table):,} trials did not converge{', this one too' * too}" if stopped else ""


def symbol(name: str) -> str:
    """A setting's symbol, or its name."""
    return _SYMBOLS.get(name, name)


def show_settings(settings: Mapping[str, Any]) -> str:
    """Settings as people read them, numbers with four digits: ``"κ = 12, ξ = 0.01"``."""
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in settings.items()}
    return ", ".join(f"{symbol(name)} = {value}" for name, value in shown.items())


def _ties(table: pd.DataFrame, choice: Choice) -> list[str]:
    if choice.n_ties == 1:
        return []
    varied = [symbol(name) for name in names_of(table, PARAM) if table[PARAM + name].nunique() > 1]
    first = f" (the smallest {varied[0]}, then {varied[1]})" if varied == ["κ", "ξ"] else ""
    if choice.n_ties == len(table):
        said = f"{choice.by} tells nothing, the first was taken{first}."
        return [f"All {len(table):,} trials tie at {choice.value:.4g}: {said}"]
    return [f"{choice.n_ties:,} trials tie at {choice.value:.4g}; the first was taken{first}."]


def _edges(table: pd.DataFrame, choice: Choice, n_groups: int | None) -> list[str]:
    """Settings at the largest or smallest value tried, unless nothing can lie beyond."""
    found = []
    for name, value in choice.settings.items():
        column = table[PARAM + name]
        if not pd.api.types.is_numeric_dtype(column) or column.nunique() < 3 or not np.isfinite(value):
            continue
        natural = (1, n_groups) if name == "kappa" else (0, None)
        for edge, limit in ((column.min(), natural[0]), (column.max(), natural[1])):
            if value == edge and value != limit:
                shown = show_settings({name: value})
                found.append(f"{shown} is at the edge of the grid: a better one may lie beyond.")
    return found
