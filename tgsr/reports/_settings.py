"""Scores over settings, curves over one (the paper's Fig. 3 and 4 for κ and ξ), surfaces over two; and over trials.

A ``table`` is that of `tgsr.evaluation.choice`; ``by`` is the rule (or ``"oracle"``) whose choice is marked, and whose
values are drawn beside the scores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import ORACLE, PARAM, choose, column_of
from tgsr.evaluation.remarks import show_settings, symbol
from tgsr.reports._columns import axis_label, column_label, in_units, is_log, named, numeric, scores_of
from tgsr.reports.style import BLUE, COLUMN, GREY, ORANGE, PAGE, VERMILLION, new_figure, save_figure, styled
from tgsr.trials.spec import StudySpec, frozen_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_history",
    "draw_over",
    "draw_surface",
    "is_grid",
    "parameter_importances",
    "save_surface",
    "summarise_rest",
    "surface_part",
]

_FEW = 5
"""Fewer scores than this have no quartiles worth drawing."""


@styled
def draw_over(table: pd.DataFrame, by: str, along: str, title: str = "") -> Figure:
    """Draw the scores over one setting, the others as chosen; median and quartiles over all other values of these."""
    column, columns, chosen = PARAM + along, scores_of(table, by), choose(table, by)
    others = [name for name in (*numeric(table), *named(table)) if name != along]
    cut_label = "the others as chosen" if others else "all trials"
    if len(others) == 1:
        cut_label = f"at the chosen {show_settings({others[0]: chosen.settings[others[0]]})}"
    table = table[np.isfinite(table[[*columns, column]].to_numpy(dtype=np.float64)).all(axis=1)]
    cut = _same(table, chosen.row, others)
    own = table[cut].sort_values(column)
    figure, panels = _panels(columns, 2.75, title)
    for axis, score in panels:
        _draw_rest(axis, table[~cut], along, score, symbol(others[0]) if len(others) == 1 else "settings")
        if len(own) > 1:
            axis.plot(own[column], in_units(own, score), color=BLUE, label=cut_label, zorder=3)
        mark: dict[str, Any] = {"color": VERMILLION, "ms": 5, "zorder": 4, "clip_on": False}
        label = f"chosen: {show_settings({along: chosen.settings[along]})}"
        axis.plot([chosen.settings[along]], in_units(pd.DataFrame([chosen.row]), score), "o", label=label, **mark)
        _set_axis(axis, "x", along, table[column])
        axis.set(ylabel=column_label(score), axisbelow=True)
        axis.grid(visible=True, axis="y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(panels) > 1 else 1)
    return figure


@styled
def draw_surface(table: pd.DataFrame, by: str, title: str = "") -> Figure:
    """Draw scores over the two settings that are numbers: macro-F1 beside what chose; scattered trials are points.

    Raises
    ------
    ParameterError
        If there are not two such settings.
    """
    chosen = choose(table, by)
    part, over = surface_part(table, chosen.row)
    vertical, horizontal = (PARAM + name for name in over)
    columns = scores_of(part, by)
    figure, panels = _panels(list(dict.fromkeys([columns[0], columns[-1]])), 3.1, title)
    for axis, score in panels:
        values = in_units(part, score)
        if is_grid(part, over):
            cells = part.assign(value=values).pivot_table(index=vertical, columns=horizontal, values="value")
            drawn: Any = axis.pcolormesh(cells.columns, cells.index, cells, shading="nearest", rasterized=True)
        else:
            axis.margins(0.06)
            look: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white", "zorder": 2}
            drawn = axis.scatter(part[horizontal], part[vertical], c=values, **look)
        figure.colorbar(drawn, ax=axis, label=column_label(score), pad=0.02, aspect=30)
        _set_axis(axis, "y", over[0], part[vertical])
        _set_axis(axis, "x", over[1], part[horizontal])
        for colour, width in (("white", 2.4), ("black", 1)):
            ring: dict[str, Any] = {"mfc": "none", "mec": colour, "mew": width, "ms": 8, "clip_on": False}
            axis.plot([chosen.settings[over[1]]], [chosen.settings[over[0]]], "o", **ring)
        value = in_units(pd.DataFrame([chosen.row]), score).item()
        axis.set_title(f"○ {value:.4g} at {show_settings({name: chosen.settings[name] for name in over})}")
        axis.label_outer()
    return figure


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


def save_surface(table: pd.DataFrame, path: str | os.PathLike[str], title: str, by: str = ORACLE) -> bool:
    """Draw a grid's scores into a PNG or PDF: a surface over two settings, a curve over the first of another number.

    Returns whether there was anything to draw over: a setting that is a number, of which several values were tried.
    """
    over = numeric(table)
    if over:
        figure = draw_surface(table, by, title) if len(over) == 2 else draw_over(table, by, over[0], title)
        save_figure(figure, path, dpi=160)
    return bool(over)


def surface_part(table: pd.DataFrame, row: Mapping[str, Any]) -> tuple[pd.DataFrame, tuple[str, str]]:
    """The trials that one surface can show, and its settings (y, x): names are those of the chosen row.

    Raises
    ------
    ParameterError
        If there are not two settings that are numbers.
    """
    over = numeric(table)
    if len(over) != 2:
        raise ParameterError(f"a surface is drawn over two settings that are numbers, and here are {len(over)}")
    there = table[[PARAM + name for name in over]].notna().all(axis=1)
    return table[_same(table, row, named(table)) & there], (over[0], over[1])


def is_grid(table: pd.DataFrame, over: tuple[str, str]) -> bool:
    """Whether the trials fill most of a grid of at least 2 × 2 cells, so that a surface can be drawn."""
    rows, columns = (table[PARAM + name].nunique() for name in over)
    return min(rows, columns) > 1 and 2 * len(table) >= rows * columns


def summarise_rest(table: pd.DataFrame, along: str, score: str) -> pd.DataFrame:
    """Quartiles of a column along one setting: index the positions, columns ``low, middle, high, n`` (rows)."""
    grouped = in_units(table, score).groupby(table[PARAM + along])
    quartiles = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    return quartiles.set_axis(["low", "middle", "high"], axis=1).assign(n=grouped.size())


def _same(table: pd.DataFrame, row: Mapping[str, Any], names: list[str]) -> pd.Series:
    """Which trials have a row's settings of these names; what is absent equals what is absent."""
    equal = pd.Series(data=True, index=table.index)
    for column in (PARAM + name for name in names):
        equal &= table[column].isna() if pd.isna(row[column]) else table[column] == row[column]
    return equal


def _panels(columns: list[str], height: float, title: str) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with an axis beside the other for each column."""
    figure = new_figure(PAGE if len(columns) > 1 else COLUMN, height, title)
    return figure, list(zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True))


def _set_axis(axis: Axes, which: str, name: str, column: pd.Series) -> None:
    """Give an axis (``which`` is ``"x"`` or ``"y"``) the scale and the label of a setting.

    A log axis has a linear part below the smallest positive value when 0 is among the values. Whole numbers have whole
    ticks.
    """
    from matplotlib.ticker import MaxNLocator

    values = column.dropna().to_numpy(dtype=np.float64)
    axis.set(**{f"{which}label": axis_label(name)})
    if is_log(name, values):
        linear_part: dict[str, Any] = {"value": "symlog", "linthresh": float(values[values > 0].min())}
        getattr(axis, f"set_{which}scale")(**linear_part if (values <= 0).any() else {"value": "log"})
    else:
        whole = bool((values == np.round(values)).all())
        ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1)
        getattr(axis, f"{which}axis").set_major_locator(ticks)


def _draw_rest(axis: Axes, rest: pd.DataFrame, along: str, score: str, others: str) -> None:
    """Draw the trials off the cut: median and quartiles, or of too few for quartiles all."""
    if rest.empty:
        return
    summary = summarise_rest(rest, along, score)
    if len(summary) < 2 or summary["n"].median() < _FEW:
        look: dict[str, Any] = {"color": GREY, "ms": 2.5, "mew": 0, "alpha": 0.7}
        axis.plot(rest[PARAM + along], in_units(rest, score), "o", label="the other trials", **look)
        return
    area: dict[str, Any] = {"color": ORANGE, "alpha": 0.25, "lw": 0, "label": f"quartiles over the other {others}"}
    axis.fill_between(summary.index, summary["low"], summary["high"], **area)
    axis.plot(summary.index, summary["middle"], color=ORANGE, ls="--", label=f"median over the other {others}")
