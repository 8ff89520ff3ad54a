"""Tables I and II: ten methods by twelve experiments, ours beside the paper's, as HTML, Markdown, LaTeX and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tgsr.errors import DataError
from tgsr.evaluation.paper import published_result
from tgsr.protocols import EXPERIMENTS, get_experiment
from tgsr.reports.style import METRICS

__all__ = ["COMPARISON_COLUMNS", "METHODS", "MISSING", "Cell", "PaperTable", "paper_tables"]

METHODS: tuple[str, ...] = ("SVM", "IW-SVM", "TCA", "GFK", "SA", "STM", "TKL", "TSRG", "DRLS", "TGSR")
"""In the order of the paper's tables."""
MISSING = "–"
COMPARISON_COLUMNS = ("experiment", "method", "selection", "macro_f1", "accuracy")
_TYPES = {"TYPE-I": "I", "TYPE-II": "II"}


@dataclass(frozen=True)
class Cell:
    """One method in one experiment.

    Attributes
    ----------
    ours, paper : float or None
        Macro-F1 as a fraction, accuracy in per cent; None where data are missing.
    our_best, paper_best : bool
        Whether it is the largest of its column, among ours and among the paper's.
    impossible : bool
        The paper's number is none that the target's number of samples allows.
    """

    ours: float | None = None
    paper: float | None = None
    our_best: bool = False
    paper_best: bool = False
    impossible: bool = False

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper


@dataclass(frozen=True)
class PaperTable:
    """One metric of one type of experiments under one selection.

    Attributes
    ----------
    number : str
        ``"I"`` (between the cameras of SMIC) or ``"II"`` (SMIC and CASME II).
    metric : str
        ``"macro_f1"`` or ``"accuracy"``.
    selection : str
        How hyper-parameters were chosen; ``"oracle"`` means by the target's labels.
    methods, experiments : sequence of str
        Rows and columns.
    cells : dict
        (method, experiment) → `Cell`.
    """

    number: str
    metric: str
    selection: str
    methods: Sequence[str]
    experiments: Sequence[str]
    cells: dict[tuple[str, str], Cell]

    @property
    def oracle(self) -> bool:
        """Whether target labels chose."""
        return self.selection == "oracle"

    @property
    def name(self) -> str:
        """A name for files, such as ``"table-2-accuracy-oracle"``."""
        return f"table-{len(self.number)}-{self.metric.replace('_', '-')}-{self.selection}"

    @property
    def title(self) -> str:
        """The heading."""
        kind = {"I": "TYPE-I, between the cameras of SMIC", "II": "TYPE-II, SMIC and CASME II"}[self.number]
        return f"Table {self.number}, {METRICS[self.metric]}, {self.selection}: {kind}"

    @property
    def note(self) -> str:
        """What a reader must know: who chose, and what the marks mean."""
        chosen = (
            "ORACLE: hyper-parameters chosen by the target's labels, in ours as in the paper's; not available in use."
            if self.oracle
            else f"Label-free: hyper-parameters by “{self.selection}”, no target label used. The paper's are oracles."
        )
        marks = f"Δ: ours − paper's. Bold: best of its column. {MISSING}: no data."
        if any(cell.impossible for cell in self.cells.values()):
            marks += " †: printed in the paper, but impossible with this number of samples."
        return f"{chosen} {marks}"

    def show(self, value: float | None, *, signed: bool = False) -> str:
        """A number as the paper prints it: four digits of macro-F1, two of accuracy in per cent."""
        if value is None:
            return MISSING
        digits = 4 if self.metric == "macro_f1" else 2
        rounded = round(value, digits) + 0.0
        text = f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"
        return text.replace("-", "−")

    def cell(self, method: str, experiment: str) -> Cell:
        """The cell, an empty one where there are no data."""
        return self.cells.get((method, experiment), Cell())


def paper_tables(comparison: pd.DataFrame) -> list[PaperTable]:
    """Arrange a comparison as the paper's tables, apart for each selection; the paper's numbers are in the package.

    Parameters
    ----------
    comparison : DataFrame
        Columns ``experiment, method, selection, macro_f1, accuracy``; scores are fractions. May be empty.

    Returns
    -------
    list of PaperTable
        The oracle's first; for each selection tables I and II, macro-F1 before accuracy.

    Raises
    ------
    DataError
        If a column is missing, or a cell is there twice.
    """
    missing = [name for name in COMPARISON_COLUMNS if name not in comparison]
    if missing:
        raise DataError(
            f"a comparison table needs the columns {', '.join(COMPARISON_COLUMNS)}; missing: {', '.join(missing)}"
        )
    rows = comparison.assign(experiment=[get_experiment(name).name for name in comparison["experiment"]])
    twice = rows.duplicated(["experiment", "method", "selection"])
    if twice.any():
        row = rows[twice].iloc[0]
        raise DataError(f"{row['method']} in {row['experiment']} ({row['selection']}) is there twice")
    extra = [name for name in dict.fromkeys(rows["method"]) if name not in METHODS]
    methods = [*METHODS, *extra]
    selections = sorted(rows["selection"].unique(), key=lambda name: (name != "oracle", name)) or ["oracle"]
    return [
        _arrange(rows[rows["selection"] == selection], methods, selection, kind, metric)
        for selection in selections
        for kind in _TYPES
        for metric in METRICS
    ]


def _arrange(rows: pd.DataFrame, methods: Sequence[str], selection: str, kind: str, metric: str) -> PaperTable:
    experiments = [experiment for experiment in EXPERIMENTS if experiment.type == kind]
    cells = {}
    for experiment in experiments:
        own = rows[rows["experiment"] == experiment.name]
        ours = {
            str(method): _as_printed(float(value), metric)
            for method, value in zip(own["method"], own[metric].astype(float), strict=True)
            if np.isfinite(value)
        }
        published = {method: published_result(experiment, method) for method in methods}
        paper = {method: _as_printed(getattr(cell, metric), metric) for method, cell in published.items() if cell}
        for method in methods:
            there = published[method]
            cells[method, experiment.name] = Cell(
                ours=ours.get(method),
                paper=paper.get(method),
                our_best=method in ours and ours[method] == max(ours.values()),
                paper_best=method in paper and paper[method] == max(paper.values()),
                impossible=metric == "accuracy" and there is not None and there.impossible,
            )
    return PaperTable(_TYPES[kind], metric, selection, methods, [experiment.name for experiment in experiments], cells)


def _as_printed(value: float, metric: str) -> float:
    """The digits that the paper prints (accuracy in per cent), so that ties are ties."""
    return round(100 * value, 2) if metric == "accuracy" else round(value, 4)
