"""Tables I and II: methods by pairs of databases, ours beside the paper's, whatever studies ours come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tgsr.errors import DataError, ProtocolError
from tgsr.evaluation.best import best_trial
from tgsr.evaluation.paper import PublishedResult, published_result, published_results
from tgsr.protocols import EXPERIMENTS, get_experiment
from tgsr.reports._records import StudyRecord
from tgsr.reports._style import METRICS

__all__ = ["MISSING", "NEEDED_COLUMNS", "PaperTable", "collect_results", "paper_tables", "published"]

METHODS: tuple[str, ...] = tuple(dict.fromkeys(method for _, method in published_results()))
"""In the order of the paper's tables."""
MISSING = "–"
NEEDED_COLUMNS = ("experiment", "method", "selection", "macro_f1", "accuracy")
_MARKS = {"generated": False, "partial": "", "study": ""}
"""Columns that results may have: data are generated; how much of the grid was tried; where they come from."""
_COLUMNS = [*NEEDED_COLUMNS, *_MARKS]
_KINDS = {
    "I": "Table I, {}, {}: TYPE-I, between the cameras of SMIC",
    "II": "Table II, {}, {}: TYPE-II, SMIC and CASME II",
    "": "Other pairs, {}, {}",
}
_PAIRS = {number: [one.name for one in EXPERIMENTS if one.type == f"TYPE-{number}"] for number in ("I", "II")}


def published(pair: str, method: str) -> PublishedResult | None:
    """The paper's result of a method on a pair; None where it has none."""
    try:
        return published_result(get_experiment(pair), method)
    except ProtocolError:
        return None


@dataclass(frozen=True, eq=False)
class PaperTable:
    """One metric of one kind of pairs under one selection.

    Attributes
    ----------
    number : str
        ``"I"`` (between the cameras of SMIC), ``"II"`` (SMIC and CASME II), or ``""`` (any other pair).
    metric : str
        ``"macro_f1"`` or ``"accuracy"``.
    selection : str
        How hyper-parameters were chosen; ``"oracle"`` means by the target's labels.
    cells : DataFrame
        A row a result: ``method, experiment, ours, paper, difference`` (macro-F1 as a fraction, accuracy in per cent;
        NaN where there is none), ``best, paper_best`` (largest of its column; of one alone nothing is best),
        ``paper_impossible`` (the printed number is none that the number of samples allows), ``generated, partial,
        study``.
    """

    number: str
    metric: str
    selection: str
    cells: pd.DataFrame

    @property
    def oracle(self) -> bool:
        """Whether target labels chose."""
        return self.selection == "oracle"

    @property
    def name(self) -> str:
        """A name for files, such as ``"table-2-accuracy-oracle"``."""
        kind = f"table-{len(self.number)}" if self.number else "pairs"
        return f"{kind}-{self.metric.replace('_', '-')}-{self.selection}"

    @property
    def title(self) -> str:
        """The heading."""
        generated = "; generated data" if self.cells["generated"].all() else ""
        return _KINDS[self.number].format(METRICS[self.metric], self.selection) + generated

    @property
    def methods(self) -> list[str]:
        """Rows, in the paper's order; variants follow their method."""
        order = {name: rank for rank, name in enumerate(METHODS)}
        names = list(dict.fromkeys(self.cells["method"]))
        return sorted(names, key=lambda name: (order.get(name.partition(" (")[0], len(order)), name))

    @property
    def experiments(self) -> list[str]:
        """Columns, in the paper's order."""
        order = {experiment.name: experiment.number for experiment in EXPERIMENTS}
        return sorted(dict.fromkeys(self.cells["experiment"]), key=lambda name: (order.get(name, 99), name))

    @property
    def missing(self) -> str:
        """What of the paper's table has no result here; empty where all is there, or the pairs are others."""
        if not self.number:
            return ""
        pairs = [name for name in _PAIRS[self.number] if name not in self.experiments]
        methods = [name for name in METHODS if name not in self.methods]
        parts = [f"{what} {', '.join(names)}" for what, names in (("pairs", pairs), ("methods", methods)) if names]
        return f"Without results here: {'; '.join(parts)}." if parts else ""

    @property
    def note(self) -> str:
        """What a reader must know: who chose, what the marks mean, what is missing."""
        parts = [_CHOSEN.get(self.selection, _CHOSEN[""]).format(self.selection)]
        parts.append("Δ: ours − paper's. Bold: best of its column.")
        if self.cells["paper_impossible"].any():
            parts.append("†: printed in the paper, but impossible with this number of samples.")
        marked = self.cells[self.cells["partial"] != ""]
        if len(marked):
            partial = "; ".join(marked["method"] + " " + marked["experiment"] + ": " + marked["partial"])
            parts.append(f"‡: the best of a part of the grid ({partial}).")
        if self.cells["generated"].any():
            parts.append(
                "§: on data generated by “tgsr demo-data”, no recorded person; the paper's numbers do not apply."
            )
        return " ".join([*parts, self.missing]).strip()

    def show(self, value: float, *, signed: bool = False) -> str:
        """A number as the paper prints it: four digits of macro-F1, two of accuracy in per cent."""
        if not np.isfinite(value):
            return MISSING
        digits = 4 if self.metric == "macro_f1" else 2
        rounded = round(value, digits) + 0.0
        text = f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"
        return text.replace("-", "−")


_CHOSEN = {
    "oracle": "ORACLE: hyper-parameters by the target's labels, in ours as in the paper's; not available in use.",
    "fixed": "Fixed defaults: hyper-parameters set beforehand, nothing chosen from data. The paper's are oracles.",
    "": "Label-free: hyper-parameters by “{}”, no target label used. The paper's are oracles.",
}


def collect_results(records: Sequence[StudyRecord], comparison: pd.DataFrame | None = None) -> pd.DataFrame:
    """Give every study's part in the tables, whatever its origin.

    The oracle's is the best by macro-F1 among the trials of any study of the same pair, method, groups and scaling,
    one of a whole grid if there is one; a label-free rule's is its own choice. Studies of recorded data come before
    those of generated, and of equal ones the first. Targets without labels have no results.

    Parameters
    ----------
    records : sequence of StudyRecord
        The newest first.
    comparison : DataFrame, optional
        As ``tgsr compare`` writes it; it fills what the studies lack.

    Returns
    -------
    DataFrame
        Columns ``experiment, method, selection, macro_f1, accuracy, generated, partial, study``.

    Raises
    ------
    DataError
        If the comparison lacks a column.
    """
    rows = [] if comparison is None else _checked(comparison).to_dict("records")
    found = [row for record in records if record.scored for row in _results(record)]
    # recorded data before generated, a whole grid before a part of one, and for the oracle the largest score first
    found.sort(key=_rank)
    table = pd.DataFrame([*found, *rows], columns=_COLUMNS)
    return table.drop_duplicates(["experiment", "method", "selection"], ignore_index=True)


def paper_tables(results: pd.DataFrame) -> list[PaperTable]:
    """Arrange results as the paper's tables, one for each selection; the paper's numbers are in the package.

    Parameters
    ----------
    results : DataFrame
        As `collect_results` gives them. What has no result has no row and no column.

    Returns
    -------
    list of PaperTable
        The oracle's first, then fixed defaults, then label-free rules; for each Tables I, II and that of other pairs,
        macro-F1 before accuracy.

    Raises
    ------
    DataError
        If a column is missing, or a cell is there twice.
    """
    rows = _checked(results)
    twice = rows[rows.duplicated(["experiment", "method", "selection"])]
    if len(twice):
        row = twice.iloc[0]
        raise DataError(f"{row['method']} in {row['experiment']} ({row['selection']}) is there twice")
    rank = {"oracle": 0, "fixed": 1}
    kinds = rows["experiment"].map(_kind)
    selections = sorted(rows["selection"].unique(), key=lambda name: (rank.get(name, 2), name))
    return [
        PaperTable(kind, metric, selection, _arrange(part, metric))
        for selection in selections
        for kind in _KINDS
        if len(part := rows[(rows["selection"] == selection) & (kinds == kind)])
        for metric in METRICS
    ]


def _results(record: StudyRecord) -> Iterator[dict[str, Any]]:
    oracle = {} if record.selection == "fixed" else {"oracle": "macro_f1"}
    for selection, by in ({record.selection: "selection_value"} | oracle).items():
        best = best_trial(record.table, by).row
        yield {
            "experiment": record.pair,
            "method": record.row,
            "selection": selection,
            "macro_f1": best["macro_f1"],
            "accuracy": best["accuracy"],
            "generated": record.generated,
            "partial": record.coverage,
            "study": record.run_id or record.title,
        }


def _rank(row: dict[str, Any]) -> tuple[bool, bool, float]:
    return row["generated"], row["partial"] != "", -row["macro_f1"] if row["selection"] == "oracle" else 0.0


def _checked(results: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in NEEDED_COLUMNS if name not in results]
    if missing:
        raise DataError(f"a table of results needs the columns {', '.join(NEEDED_COLUMNS)}; missing: {missing}")
    rows = results.reindex(columns=_COLUMNS).astype(dict.fromkeys(_MARKS, object))
    for name, absent in _MARKS.items():
        rows[name] = rows[name].where(rows[name].notna(), absent)
    return rows.astype({"generated": bool, "macro_f1": float, "accuracy": float})


def _kind(pair: str) -> str:
    return next((number for number, pairs in _PAIRS.items() if pair in pairs), "")


def _arrange(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    cells = rows[["method", "experiment", *_MARKS]].reset_index(drop=True)
    cells.insert(2, "ours", _as_printed(rows[metric].to_numpy(), metric))
    there = [published(pair, method) for pair, method in zip(cells["experiment"], cells["method"], strict=True)]
    paper = np.array([np.nan if cell is None else getattr(cell, metric) for cell in there], dtype=np.float64)
    cells.insert(3, "paper", _as_printed(paper, metric))
    cells.insert(4, "difference", (cells["ours"] - cells["paper"]).where(~cells["generated"]))
    # what is on generated data competes only with its like
    rivals = cells.groupby(["experiment", "generated"])["ours"]
    cells["best"] = (cells["ours"] == rivals.transform("max")) & (rivals.transform("count") > 1)
    tops = {pair: _published_top(pair, metric) for pair in cells["experiment"].unique()}
    cells["paper_best"] = cells["paper"] == cells["experiment"].map(tops)
    cells["paper_impossible"] = [metric == "accuracy" and cell is not None and cell.impossible for cell in there]
    return cells


def _published_top(pair: str, metric: str) -> float:
    known = [getattr(cell, metric) for method in METHODS if (cell := published(pair, method)) is not None]
    return float(_as_printed(np.array([max(known, default=np.nan)]), metric)[0])


def _as_printed(values: Any, metric: str) -> Any:
    """The digits that the paper prints (accuracy in per cent), so that ties are ties."""
    return np.round(100 * values, 2) if metric == "accuracy" else np.round(values, 4)
