"""Tables I and II: methods by pairs of databases, ours beside the paper's, whatever studies ours come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import ORACLE, SCORE, choose
from tgsr.evaluation.metrics import METRICS
from tgsr.evaluation.paper import published_results
from tgsr.evaluation.remarks import one_class_remark
from tgsr.evaluation.rules import DEFAULT
from tgsr.protocols import EXPERIMENTS
from tgsr.reports._columns import SHOWN
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord

__all__ = ["MISSING", "PaperTable", "collect_results", "paper_order", "paper_tables", "part_of_grid"]

_METHODS = published_results()["method"].unique().tolist()
_ORDER = [*(experiment.name for experiment in EXPERIMENTS), *_METHODS]
MISSING = "–"
FIXED, AVERAGE = "fixed", "consensus"
"""Choices besides the oracle and rules: settings fixed beforehand, and the average of the best trials."""
_MARKS = {"generated": False, "partial": "", "remark": "", "study": ""}
"""Columns of what a result must be marked by: generated data; how much of the grid; one class for all; its study."""
_COLUMNS = ["experiment", "method", "choice", *SHOWN, "params", "trials", *_MARKS]
_KINDS = {
    "I": "Table I, {}, {}: TYPE-I, between the cameras of SMIC",
    "II": "Table II, {}, {}: TYPE-II, SMIC and CASME II",
    "": "Other pairs, {}, {}",
}
_PAIRS = {number: [one.name for one in EXPERIMENTS if one.type == f"TYPE-{number}"] for number in ("I", "II")}
_CHOSEN = {
    ORACLE: "ORACLE: hyper-parameters chosen by target labels, in ours as in the paper's; not available in use.",
    FIXED: "Fixed: hyper-parameters set beforehand, nothing chosen from data. The paper's are oracles.",
    AVERAGE: "Label-free: the best trials averaged into one model, no target label used. The paper's are oracles.",
    "": "Label-free: hyper-parameters by “{}”, no target label used. The paper's are oracles.",
}


def paper_order(name: str) -> tuple[int, str]:
    """A key that sorts pairs, or methods, as the paper does; variants follow their method, others come last."""
    return next((rank for rank, known in enumerate(_ORDER) if known == name.partition(" (")[0]), len(_ORDER)), name


@dataclass(frozen=True, eq=False)
class PaperTable:
    """One metric of one kind of pairs under one choice.

    Attributes
    ----------
    number : str
        ``"I"`` (between the cameras of SMIC), ``"II"`` (SMIC and CASME II), or ``""`` (any other pair).
    metric : str
        ``"macro_f1"`` or ``"accuracy"``.
    choice : str
        How hyper-parameters were chosen: ``"oracle"`` (by target labels), a rule, ``"consensus"`` or ``"fixed"``.
    cells : DataFrame
        A row a result: ``method, experiment, ours, paper, difference`` (macro-F1 as a fraction, accuracy in per cent;
        NaN where there is none), ``best, paper_best`` (largest of its column; of one alone nothing is best, nor what
        is one class for all), ``paper_impossible`` (the printed number is none that the number of samples allows),
        ``generated, partial, remark, study``.
    """

    number: str
    metric: str
    choice: str
    cells: pd.DataFrame

    @property
    def name(self) -> str:
        """A name for files, such as ``"table-2-accuracy-oracle"``."""
        kind = f"table-{len(self.number)}" if self.number else "pairs"
        return f"{kind}-{self.metric.replace('_', '-')}-{self.choice}"

    @property
    def title(self) -> str:
        """The heading."""
        generated = "; generated data" if self.cells["generated"].all() else ""
        return _KINDS[self.number].format(METRICS[self.metric].axis, self.choice) + generated

    @property
    def methods(self) -> list[str]:
        """Rows, in the paper's order; variants follow their method."""
        return sorted(self.cells["method"].unique(), key=paper_order)

    @property
    def experiments(self) -> list[str]:
        """Columns, in the paper's order."""
        return sorted(self.cells["experiment"].unique(), key=paper_order)

    @property
    def note(self) -> str:
        """What a reader must know: who chose, what the marks mean, what of the paper's table has no result here."""
        parts = [_CHOSEN.get(self.choice, _CHOSEN[""]).format(self.choice)]
        parts.append("Δ: ours − paper's. Bold: best of its column.")
        if self.cells["paper_impossible"].any():
            parts.append("†: printed in the paper, but impossible with this number of samples.")
        for mark, column, words in (
            ("‡", "partial", "the best of a part of the grid"),
            ("¶", "remark", "one class for every target sample"),
        ):
            marked = self.cells[self.cells[column] != ""]
            if len(marked):
                which = "; ".join(marked["method"] + " " + marked["experiment"] + ": " + marked[column])
                parts.append(f"{mark}: {words} ({which}).")
        if self.cells["generated"].any():
            parts.append(
                "§: on data generated by “tgsr demo-data”, no recorded person; the paper's numbers do not apply."
            )
        known = {"pairs": _PAIRS[self.number], "methods": _METHODS} if self.number else {}
        there = {*self.experiments, *self.methods}
        absent = {what: [name for name in names if name not in there] for what, names in known.items()}
        if missing := [f"{what} {', '.join(names)}" for what, names in absent.items() if names]:
            parts.append(f"Without results here: {'; '.join(missing)}.")
        return " ".join(parts)

    def show(self, value: float, *, signed: bool = False) -> str:
        """A number as the paper prints it: four digits of macro-F1, two of accuracy in per cent."""
        if not np.isfinite(value):
            return MISSING
        digits = METRICS[self.metric].digits
        rounded = round(value, digits) + 0.0
        text = f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"
        return text.replace("-", "−")


def part_of_grid(record: StudyRecord) -> str:
    """How much was tried where it is not the whole grid: ``"100 of 23,035 cells"``, ``"30 sampled trials"``."""
    return f"{len(record.table):,} sampled trials" if record.spec.is_sampled else record.coverage


def collect_results(records: Sequence[StudyRecord], rules: Sequence[str] | None = None) -> pd.DataFrame:
    """Gather what studies achieve: one result for each pair, method (with its variant) and choice.

    The oracle's is the best of any study that searched; others are of the newest. Results of a whole grid go before
    those of a part, of recorded data before those of generated. Targets without labels have no results.

    Parameters
    ----------
    records : sequence of StudyRecord
        The newest first.
    rules : sequence of str, optional
        Rules that choose; by default each study's own, which is ``"circular"`` unless it says otherwise.

    Returns
    -------
    DataFrame
        Columns ``experiment, method, choice, macro_f1, accuracy, params`` (JSON), ``trials, generated, partial, remark,
        study``.
    """
    found = [row for record in records if record.is_scored for row in _results(record, rules)]
    # the sort is stable: of equal ones the newest stays first
    found.sort(
        key=lambda row: (row["generated"], row["partial"] != "", -row[SCORE] if row["choice"] == ORACLE else 0.0)
    )
    table = pd.DataFrame(found, columns=_COLUMNS).astype({"generated": bool, SCORE: float, "accuracy": float})
    return table.drop_duplicates(["experiment", "method", "choice"], ignore_index=True)


def paper_tables(results: pd.DataFrame) -> list[PaperTable]:
    """Arrange results as the paper's tables, one for each choice; the paper's numbers are in the package.

    Parameters
    ----------
    results : DataFrame
        As `collect_results` gives them. What has no result has no row and no column.

    Returns
    -------
    list of PaperTable
        The oracle's first, then label-free rules, the consensus, and fixed settings; for each Tables I, II and that of
        other pairs, macro-F1 before accuracy.
    """
    rank = {ORACLE: 0, DEFAULT: 1, AVERAGE: 3, FIXED: 4}
    kinds = results["experiment"].map(_kind)
    choices = sorted(results["choice"].unique(), key=lambda name: (rank.get(name, 2), name))
    return [
        PaperTable(kind, metric, choice, _arrange(part, metric))
        for choice in choices
        for kind in _KINDS
        if len(part := results[(results["choice"] == choice) & (kinds == kind)])
        for metric in SHOWN
    ]


def _results(record: StudyRecord, rules: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    common = {"experiment": record.pair, "method": record.spec.variant, "trials": len(record.table)}
    common |= {"generated": record.is_generated, "partial": part_of_grid(record), "study": record.run_id}

    def row(choice: str, scores: list[float], params: dict[str, Any], predictions: Any) -> dict[str, Any]:
        remark = one_class_remark(predictions, record.classes[0])
        shown = {"choice": choice, "params": json.dumps(params, sort_keys=True), "remark": remark}
        return common | shown | dict(zip(SHOWN, scores, strict=True))

    is_fixed = record.spec.sampler == FIXED
    own = record.default_choice
    wanted = rules or [own if own != ORACLE else DEFAULT]
    # of fixed settings there is one trial
    for name in [FIXED] if is_fixed else [ORACLE, *(rule for rule in wanted if rule in record.rules)]:
        found = choose(record.table, ORACLE if is_fixed else name)
        yield row(name, [found.metrics[key] for key in SHOWN], found.settings, found.row["predictions"])
    facts = {} if is_fixed else json.loads(record.artifact(CONSENSUS) or b"{}")
    if f"{SCORE}.{AVERAGE}" in facts:
        scores = [facts[f"{key}.{AVERAGE}"] for key in SHOWN]
        yield row(AVERAGE, scores, {"trials": len(facts["trials"]), "by": facts["by"]}, facts["predictions"])


def _kind(pair: str) -> str:
    return next((number for number, pairs in _PAIRS.items() if pair in pairs), "")


def _arrange(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    published = published_results()
    paper = rows[["experiment", "method"]].merge(published, how="left")
    largest = _as_printed(published.groupby("experiment")[metric].max(), metric)
    cells = rows[["method", "experiment", *_MARKS]]
    cells.insert(2, "ours", _as_printed(rows[metric], metric))
    cells.insert(3, "paper", _as_printed(paper[metric], metric))
    cells.insert(4, "difference", (cells["ours"] - cells["paper"]).where(~cells["generated"]))
    # what is on generated data competes only with its like, what is one class for all with nothing
    competing = cells["ours"].where(cells["remark"] == "")
    rivals = competing.groupby([cells["experiment"], cells["generated"]])
    cells["best"] = (competing == rivals.transform("max")) & (rivals.transform("count") > 1)
    cells["paper_best"] = cells["paper"] == cells["experiment"].map(largest)
    cells["paper_impossible"] = paper["possible_accuracy"].notna() & (metric == "accuracy")
    return cells


def _as_printed(values: pd.Series, metric: str) -> pd.Series:
    """The digits that the paper prints (accuracy in per cent), so that ties are ties."""
    return (100 * values).round(2) if METRICS[metric].percent else values.round(4)
