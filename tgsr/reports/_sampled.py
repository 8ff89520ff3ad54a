"""How a sampled study went: its history, and how much each parameter matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.reports._settings import choices, is_log, numbers
from tgsr.reports._style import BLUE, GREY, PAGE, VERMILLION, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

__all__ = ["draw_history", "parameter_importances"]


@styled
def draw_history(table: pd.DataFrame, chosen: Mapping[str, Any], label: str, title: str = "") -> Figure:
    """Draw every trial's ``selection_value`` in the order of trials, the best so far, and the chosen one."""
    ordered = table.sort_values("trial")
    values = ordered["selection_value"].to_numpy(dtype=np.float64)
    figure = new_figure(PAGE, 2.5, title)
    axis = figure.subplots()
    axis.plot(ordered["trial"], values, "o", color=GREY, ms=2.5, mew=0, alpha=0.7, label="trials", rasterized=True)
    axis.step(ordered["trial"], np.fmax.accumulate(values), where="post", color=BLUE, label="best so far")
    axis.plot(chosen["trial"], chosen["selection_value"], "o", color=VERMILLION, ms=5, label="chosen")
    axis.set(xlabel="trial", ylabel=label, axisbelow=True)
    axis.grid(visible=True, axis="y")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def parameter_importances(table: pd.DataFrame) -> dict[str, float]:
    """Share of each setting in what decides a trial's ``selection_value``, as Optuna estimates it (PED-ANOVA).

    Returns
    -------
    dict
        Setting → share; empty when there are too few trials, or all have the same value.
    """
    import optuna

    over, named = numbers(table), choices(table)
    rows = table[np.isfinite(table["selection_value"]) & table[over].notna().all(axis=1)]
    rows = rows.astype({**dict.fromkeys(over, float), **dict.fromkeys(named, str)})
    names = [name for name in (*over, *named) if rows[name].nunique() > 1]
    if len(rows) < 4 or rows["selection_value"].nunique() < 2 or len(names) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(name, rows[name]) for name in names}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for params, value in zip(rows[names].to_dict("records"), rows["selection_value"], strict=True):
        trial = optuna.trial.create_trial(
            params={str(name): given for name, given in params.items()}, distributions=distributions, value=value
        )
        study.add_trial(trial)
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


def _distribution(name: str, values: pd.Series) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not pd.api.types.is_numeric_dtype(values):
        return CategoricalDistribution(values.unique().tolist())
    low, high = float(values.min()), float(values.max())
    return FloatDistribution(low, high, log=low > 0 and is_log(name, values.to_numpy()))
