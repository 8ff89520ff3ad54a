"""How a sampled study went: its history, and how much each parameter matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import PARAM, choose, column_of
from tgsr.reports._columns import column_label, is_log, named, numeric
from tgsr.reports._style import BLUE, GREY, PAGE, VERMILLION, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

__all__ = ["draw_history", "parameter_importances"]


@styled
def draw_history(table: pd.DataFrame, by: str, title: str = "") -> Figure:
    """Draw what a choice reads of every trial in the order of trials, the best so far, and the chosen one."""
    ordered, chosen = table.sort_values("number"), choose(table, by)
    values = ordered[column_of(by)].to_numpy(dtype=np.float64)
    figure = new_figure(PAGE, 2.5, title)
    axis = figure.subplots()
    axis.plot(ordered["number"], values, "o", color=GREY, ms=2.5, mew=0, alpha=0.7, label="trials", rasterized=True)
    axis.step(ordered["number"], np.fmax.accumulate(values), where="post", color=BLUE, label="best so far")
    axis.plot([chosen.row["number"]], [chosen.value], "o", color=VERMILLION, ms=5, label="chosen")
    axis.set(xlabel="trial", ylabel=column_label(column_of(by)), axisbelow=True)
    axis.grid(visible=True, axis="y")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def parameter_importances(table: pd.DataFrame, by: str) -> dict[str, float]:
    """Share of each setting in what decides a trial's value, as Optuna estimates it (PED-ANOVA).

    Returns
    -------
    dict
        Setting → share; empty when there are too few trials, or all have the same value.
    """
    import optuna

    column, over, names = column_of(by), numeric(table), named(table)
    rows = table[np.isfinite(table[column]) & table[[PARAM + name for name in over]].notna().all(axis=1)]
    params = rows[[PARAM + name for name in (*over, *names)]].set_axis([*over, *names], axis=1)
    params = params.astype({**dict.fromkeys(over, float), **dict.fromkeys(names, str)})
    params = params.loc[:, params.nunique() > 1]
    if len(rows) < 4 or rows[column].nunique() < 2 or params.shape[1] < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {str(name): _distribution(str(name), params[name]) for name in params}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for given, value in zip(params.to_dict("records"), rows[column], strict=True):
        settings = {str(name): one for name, one in given.items()}
        study.add_trial(optuna.trial.create_trial(params=settings, distributions=distributions, value=value))
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


def _distribution(name: str, values: pd.Series) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not pd.api.types.is_numeric_dtype(values):
        return CategoricalDistribution(values.unique().tolist())
    low, high = float(values.min()), float(values.max())
    return FloatDistribution(low, high, log=low > 0 and is_log(name, values.to_numpy()))
