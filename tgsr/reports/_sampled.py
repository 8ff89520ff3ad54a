"""How a sampled study went: its history, and how much each parameter matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.reports._axes import choices, is_log, numbers, symbol
from tgsr.reports._style import BLUE, COLUMN, GREY, PAGE, VERMILLION, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_history", "draw_importances", "parameter_importances"]


@styled
def draw_history(table: pd.DataFrame, chosen: Mapping[str, Any], label: str, title: str = "") -> Figure:
    """Draw every trial's ``selection_value`` in the order of trials, the best so far, and the chosen one."""
    ordered = table.sort_values("trial")
    values = ordered["selection_value"].to_numpy(dtype=np.float64)
    figure = new_figure(PAGE, 2.5)
    axis = figure.subplots()
    axis.plot(ordered["trial"], values, "o", color=GREY, ms=2.5, mew=0, alpha=0.7, label="trials", rasterized=True)
    axis.step(ordered["trial"], np.fmax.accumulate(values), where="post", color=BLUE, label="best so far")
    axis.plot(chosen["trial"], chosen["selection_value"], "o", color=VERMILLION, ms=5, label="chosen")
    axis.set(xlabel="trial", ylabel=label)
    axis.grid(visible=True, axis="y")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3)
    if title:
        axis.set_title(title)
    return figure


def parameter_importances(table: pd.DataFrame) -> dict[str, float]:
    """Share of each setting in what decides a trial's ``selection_value``, as Optuna estimates it (PED-ANOVA).

    Returns
    -------
    dict
        Setting → share; empty when there are too few trials, or all have the same value.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    names = [*numbers(table), *choices(table)]
    rows = table[np.isfinite(table["selection_value"]) & table[numbers(table)].notna().all(axis=1)]
    names = [name for name in names if rows[name].nunique(dropna=False) > 1]
    if len(rows) < 4 or rows["selection_value"].nunique() < 2 or len(names) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = rows.astype(dict.fromkeys(choices(table), str))
    distributions: dict[str, Any] = {}
    for name in names:
        known = rows[name].unique().tolist()
        log = isinstance(known[0], float) and is_log(name, rows[name].to_numpy()) and min(known) > 0
        distributions[name] = (
            CategoricalDistribution(known)
            if isinstance(known[0], str)
            else FloatDistribution(float(min(known)), float(max(known)), log=log)
        )
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(
            params={name: row[name] if isinstance(row[name], str) else float(row[name]) for name in names},
            distributions=distributions,
            value=float(row["selection_value"]),
        )
        for row in rows.to_dict("records")
    )
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


@styled
def draw_importances(importances: dict[str, float], title: str = "") -> Figure:
    """Bars of the shares that `parameter_importances` gives."""
    figure = new_figure(COLUMN, 1.5)
    axis = figure.subplots()
    names = sorted(importances, key=importances.__getitem__)
    bars = axis.barh(list(map(symbol, names)), [100 * importances[name] for name in names], color=BLUE)
    axis.bar_label(bars, fmt="%.0f %%", fontsize=7, padding=2)
    axis.set(xlim=(0, 112), xticks=range(0, 101, 20), xlabel="importance, share (%)")
    if title:
        axis.set_title(title)
    return figure
