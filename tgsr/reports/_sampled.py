"""How a sampled study went: its history, and how much each parameter matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import choose, column_of
from tgsr.reports._columns import column_label
from tgsr.reports.style import BLUE, GREY, PAGE, VERMILLION, new_figure, styled
from tgsr.trials.frozen import frozen_trials
from tgsr.trials.spec import StudySpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def parameter_importances(spec: StudySpec, table: pd.DataFrame, by: str) -> dict[str, float]:
    """Share of each setting in what decides a trial's value, as Optuna estimates it (PED-ANOVA).

    It is empty when there are too few trials, or all have the same value; and of a method that is named
    ``package.module:Class``, as reading results imports no code that a stored file names.
    """
    import optuna

    trials = [] if ":" in spec.method else frozen_trials(spec, table, by)
    if len(trials) < 4 or len({trial.value for trial in trials}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(trials)
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}
