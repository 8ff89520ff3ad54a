"""The evidence for rules as a table with intervals, as Markdown and as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.intervals import bootstrap_macro_f1, holm, two_sided_p
from tgsr.reports.style import BLUE, GREY, VERMILLION, new_figure, save_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_summary", "summarise", "summarise_variants", "to_markdown"]

Draws = Mapping[str, tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.float64]]]

_GROUP = ["method", "grouping", "variant"]


def summarise(choices: pd.DataFrame, draws: Draws) -> pd.DataFrame:
    """Means over the pairs, and the paired difference to the fixed choice with its 95 % interval.

    Parameters
    ----------
    choices : DataFrame
        As of `studies.selection.run_case`, of any number of cases.
    draws : mapping
        Pair → labels of the target, and bootstrap draws of its subjects.

    Returns
    -------
    DataFrame
        A row for each method, grouping, variant and choice: macro_f1, accuracy, rho, above_median (pairs), difference,
        low, high, p and p_holm (over the choices without labels of that method, grouping and variant).
    """
    return pd.concat([_summarise_one(part, draws) for _, part in choices.groupby(_GROUP, sort=False)])


def _summarise_one(part: pd.DataFrame, draws: Draws) -> pd.DataFrame:
    f1 = part.pivot(index="pair", columns="choice", values="macro_f1")
    rows = []
    for choice in part["choice"].unique():
        own = part[part["choice"] == choice]
        row = dict(zip(_GROUP, own.iloc[0][_GROUP], strict=True))
        row |= {"choice": choice, "pairs": len(own), **own[["macro_f1", "accuracy", "rho"]].mean()}
        row["above_median"] = int((f1[choice] > f1["median"]).sum())
        row["above_fixed"] = int((f1[choice] > f1["fixed"]).sum())
        if choice not in ("median", "fixed"):
            row |= _difference(part, choice, draws)
        rows.append(row)
    table = pd.DataFrame(rows)
    tested = table["p"].notna() & (table["choice"] != "oracle")
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].tolist())
    return table


def _difference(part: pd.DataFrame, choice: str, draws: Draws) -> dict[str, float]:
    differences = []
    for pair, own in part.groupby("pair"):
        truth, drawn = draws[str(pair)]
        codes = {
            name: np.array([int(digit, 36) for digit in own.loc[own["choice"] == name, "predictions"].iloc[0]])
            for name in (choice, "fixed")
        }
        scores = {name: bootstrap_macro_f1(truth, predicted, drawn) for name, predicted in codes.items()}
        differences.append(scores[choice] - scores["fixed"])
    mean = np.mean(differences, axis=0)
    low, high = np.quantile(mean, [0.025, 0.975])
    point = part.pivot(index="pair", columns="choice", values="macro_f1")
    return {
        "difference": float((point[choice] - point["fixed"]).mean()),
        "low": float(low),
        "high": float(high),
        "p": two_sided_p(mean),
    }


def summarise_variants(choices: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Oracle, median and fixed choice of each variant of a method, and how its solver went, as means over the pairs."""
    shown = choices[choices["choice"].isin(["oracle", "median", "fixed"])]
    scores = shown.pivot_table(index=_GROUP, columns="choice", values="macro_f1", sort=False)
    metrics = [name for name in ("iterations", "converged", "regions_kept") if name in cells]
    return scores.join(cells.groupby(_GROUP, sort=False)[metrics].mean()).reset_index()


def to_markdown(choices: pd.DataFrame, summary: pd.DataFrame) -> str:
    """One table for each method, grouping and variant, best mean first."""
    blocks = []
    for key, part in _groups(summary):
        own = choices[(choices[_GROUP] == key).all(axis=1)]
        f1 = own.pivot(index="choice", columns="pair", values="macro_f1")
        head = ["choice", *f1.columns, "mean", "ρ", "− fixed [95 %]", "Holm p", "> median"]
        lines = [f"### {_title(key)}", "", _line(head), _line(["---"] * len(head))]
        for row in part.sort_values("macro_f1", ascending=False, kind="stable").to_dict("records"):
            lines.append(_markdown_row(row, f1.loc[row["choice"]].tolist()))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _groups(table: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    return [(part.iloc[0][_GROUP].tolist(), part) for _, part in table.groupby(_GROUP, sort=False)]


def _title(key: list[str]) -> str:
    return " · ".join(name for name in key if name)


def _markdown_row(row: dict[Any, Any], f1: list[float]) -> str:
    interval = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" if pd.notna(row["low"]) else ""
    return _line(
        [
            row["choice"],
            *(_three(value) for value in [*f1, row["macro_f1"]]),
            "" if pd.isna(row["rho"]) else f"{row['rho']:.2f}",
            interval,
            _three(row["p_holm"]),
            f"{row['above_median']} of {row['pairs']}",
        ]
    )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _three(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}".removeprefix("0")


def draw_summary(summary: pd.DataFrame, path: Path) -> None:
    """Differences to the fixed choice with their intervals, a panel for each method, grouping and variant."""
    save_figure(_figure(summary), path)


@styled
def _figure(summary: pd.DataFrame) -> Figure:
    parts = _groups(summary)
    longest = max(len(part) for _, part in parts)
    figure = new_figure(5 * len(parts), 0.2 * longest + 1)
    for axes, (key, part) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        ordered = part[part["low"].notna()].sort_values("difference", kind="stable")
        at = np.arange(len(ordered))
        colours = [VERMILLION if name == "oracle" else BLUE for name in ordered["choice"]]
        axes.hlines(at, ordered["low"], ordered["high"], colors=colours, linewidth=1)
        axes.scatter(ordered["difference"], at, c=colours, s=12, zorder=3)
        axes.axvline(0, color=GREY, linewidth=0.8)
        means = part.set_index("choice")["macro_f1"]
        axes.axvline(means["median"] - means["fixed"], color=GREY, linewidth=0.8, linestyle=":")
        axes.margins(y=0.01)
        axes.set_yticks(at, ordered["choice"])
        axes.set_xlabel("mean macro-F1 − that of the fixed choice\n(dotted: the grid's median)")
        axes.set_title(_title(key))
    return figure
