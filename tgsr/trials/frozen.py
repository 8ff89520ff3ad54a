"""Finished trials as Optuna's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import METRIC, PARAM, RULE, column_of
from tgsr.trials.spec import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

__all__ = ["frozen_trials"]


def frozen_trials(spec: StudySpec, table: pd.DataFrame, by: str) -> list[FrozenTrial]:
    """A study's finished trials as Optuna's, in their order; those without a value are left out."""
    from optuna.trial import create_trial

    distributions, column = spec.distributions(), column_of(by)
    if not len(table) or column not in table:
        return []
    shown = [name for name in table if name in ("number", "run_id") or str(name).startswith((METRIC, RULE))]
    names = [name for name in distributions if PARAM + name in table]
    trials = []
    for row in table.to_dict("records"):
        value = row[column]
        if not np.isfinite(value):
            continue
        params = {
            name: _param(row[PARAM + name], distributions[name]) for name in names if not pd.isna(row[PARAM + name])
        }
        trials.append(
            create_trial(
                params=params,
                distributions={name: distributions[name] for name in params},
                value=float(value),
                user_attrs={str(name): row[name] for name in shown if not pd.isna(row[name])},
            )
        )
    return trials


def _param(value: Any, distribution: BaseDistribution) -> Any:
    """A table's value as the distribution knows it: a column of integers with gaps is one of floats."""
    choices = getattr(distribution, "choices", ())
    return next((choice for choice in choices if choice == value), value.item() if hasattr(value, "item") else value)
