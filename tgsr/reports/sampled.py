"""How a sampled study went: its history, and how much each parameter matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tgsr.reports.style import BLUE, COLUMN, GREY, PAGE, VERMILLION, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_history", "draw_importances", "parameter_importances"]

_NAMES = {"kappa": "κ", "xi": "ξ"}


@styled
def draw_history(
    table: pd.DataFrame, value: str, label: str, title: str = "", chosen: pd.Series | None = None
) -> Figure:
    """Draw every trial's value in the order of trials, and the best so far.

    Parameters
    ----------
    table : DataFrame
        With the columns ``trial`` and ``value``.
    value : str
        The column that the study maximises.
    label : str
        What the axis calls it.
    title : str
    chosen : Series, optional
        The row to mark; by default the first with the largest value.
    """
    ordered = table.sort_values("trial")
    values = ordered[value].to_numpy(dtype=np.float64)
    figure = new_figure(PAGE, 2.5)
    axis = figure.subplots()
    axis.plot(ordered["trial"], values, "o", color=GREY, ms=2.5, mew=0, alpha=0.7, label="trials", rasterized=True)
    best = np.fmax.accumulate(values)
    axis.step(ordered["trial"], best, where="post", color=BLUE, label="best so far")
    if chosen is None and np.isfinite(values).any():
        chosen = ordered.iloc[int(np.nanargmax(values))]
    if chosen is not None:
        axis.plot(chosen["trial"], chosen[value], "o", color=VERMILLION, ms=5, label="chosen")
    axis.set(xlabel="trial", ylabel=label)
    axis.grid(visible=True, axis="y")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3)
    if title:
        axis.set_title(title)
    return figure


def parameter_importances(table: pd.DataFrame, value: str) -> dict[str, float]:
    """Share of each of κ and ξ in what decides a trial's value, as Optuna estimates it.

    Parameters
    ----------
    table : DataFrame
        With the columns ``kappa, xi`` and ``value``.
    value : str

    Returns
    -------
    dict
        Parameter → share; empty when there are too few trials, or all have the same value.
    """
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution

    rows = table[np.isfinite(table[value].to_numpy(dtype=np.float64))]
    varied = [name for name in ("kappa", "xi") if rows[name].nunique() > 1]
    if len(rows) < 4 or rows[value].nunique() < 2 or len(varied) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    positive = bool((rows["xi"] > 0).all())
    distributions = {
        "kappa": IntDistribution(int(rows["kappa"].min()), int(rows["kappa"].max())),
        "xi": FloatDistribution(float(rows["xi"].min()), float(rows["xi"].max()), log=positive),
    }
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(
            params={"kappa": int(kappa), "xi": float(xi)}, distributions=distributions, value=float(score)
        )
        for kappa, xi, score in zip(rows["kappa"], rows["xi"], rows[value], strict=True)
    )
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


@styled
def draw_importances(importances: dict[str, float], title: str = "") -> Figure:
    """Bars of the shares that `parameter_importances` gives."""
    figure = new_figure(COLUMN, 1.5)
    axis = figure.subplots()
    names = sorted(importances, key=importances.__getitem__)
    bars = axis.barh(
        [_NAMES.get(name, name) for name in names], [100 * importances[name] for name in names], color=BLUE
    )
    axis.bar_label(bars, fmt="%.0f %%", fontsize=7, padding=2)
    axis.set_xlim(0, 112)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("importance, share (%)")
    if title:
        axis.set_title(title)
    return figure
