"""Finished trials as Optuna's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import METRIC, RULE, column_of
from tgsr.trials.spec import StudySpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["frozen_trials"]


def frozen_trials(spec: StudySpec, table: pd.DataFrame, by: str) -> list[FrozenTrial]:
    """A study's finished trials as Optuna's, in their order; those without a value are left out."""
    from optuna.trial import create_trial

    distributions, column = spec.distributions(), column_of(by)
    if not len(table) or column not in table:
        return []
    shown = [str(name) for name in table if str(name).startswith(("number", "run_id", "cell", METRIC, RULE))]
    trials = []
    for row in table.to_dict("records"):
        value = row[column]
        if not np.isfinite(value):
            continue
        settings = json.loads(row["settings"])
        params = {name: settings[name] for name in distributions if name in settings}
        trials.append(
            create_trial(
                params=params,
                distributions={name: distributions[name] for name in params},
                value=float(value),
                user_attrs={name: row[name] for name in shown if not pd.isna(row[name])},
            )
        )
    return trials
