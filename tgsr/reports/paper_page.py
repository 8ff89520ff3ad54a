"""The report of the paper as a whole: every experiment beside the published tables, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.protocols import EXPERIMENTS
from tgsr.reports.classes import draw_confusions
from tgsr.reports.figures import CURVES, REGIONS, SURFACE, ReportFigure, study_figures
from tgsr.reports.pages import GENERATED, published_tgsr, render
from tgsr.reports.records import StudyRecord
from tgsr.reports.table_formats import as_html
from tgsr.reports.tables import COMPARISON_COLUMNS, MARKS, PaperTable, paper_tables

__all__ = ["WITH_REGIONS", "merge_comparison", "name_by_groups", "render_paper"]

_SHOWN = (REGIONS, CURVES, SURFACE)


WITH_REGIONS = "TGSR (regions)"
"""TGSR with facial regions has a row of its own: the paper's numbers belong to the groups of the released records."""


def name_by_groups(comparison: pd.DataFrame, grouping: str) -> pd.DataFrame:
    """Call a comparison's TGSR ``TGSR (regions)`` if it was run with facial regions (``grouping="region"``)."""
    if grouping != "region":
        return comparison
    return comparison.assign(method=comparison["method"].replace("TGSR", WITH_REGIONS))


def merge_comparison(comparison: pd.DataFrame | None, records: Sequence[StudyRecord]) -> pd.DataFrame:
    """Add the studies' best trials to a comparison as rows of TGSR, where it has none for that selection.

    The paper's numbers belong to the groups of the released records; rows of true regions are called
    ``TGSR (regions)`` (see `name_by_groups`).
    """
    rows = []
    known = set()
    columns = [*COMPARISON_COLUMNS, *MARKS]
    if comparison is not None:
        comparison = comparison.reindex(columns=columns)
        known = set(zip(comparison["experiment"], comparison["method"], comparison["selection"], strict=True))
    for record in records:
        best = record.best
        method = "TGSR" if record.grouping == "released" else WITH_REGIONS
        key = (record.experiment, method, record.selection)
        if best is None or key in known or record.experiment not in {experiment.name for experiment in EXPERIMENTS}:
            continue
        known.add(key)
        scores = {"macro_f1": float(best["macro_f1"]), "accuracy": float(best["accuracy"])}
        marks = {"generated": record.generated, "partial": record.shortfall}
        rows.append(dict(zip(COMPARISON_COLUMNS, key, strict=False)) | scores | marks)
    there = [] if comparison is None else comparison.to_dict("records")
    return pd.DataFrame([*there, *rows], columns=columns)


def render_paper(
    records: Sequence[StudyRecord],
    comparison: pd.DataFrame | None = None,
    warnings: Sequence[str] = (),
    frame: npt.NDArray[Any] | None = None,
) -> str:
    """Write the report of all experiments.

    Parameters
    ----------
    records : sequence of StudyRecord
        At most one for each experiment, selection and grouping is of use; the first is taken.
    comparison : DataFrame, optional
        As ``tgsr compare`` writes it.
    warnings : sequence of str
        Printed at the top.
    frame : array, optional
        A cropped face to draw the regions on.

    Returns
    -------
    str
        An HTML page that needs no other file.
    """
    records = _in_order(records)
    merged = merge_comparison(comparison, records)
    tables = paper_tables(merged)
    if merged["generated"].eq(True).any():
        warnings = [GENERATED, *warnings]
    groups: dict[str, list[str]] = {}
    for table in tables:
        groups.setdefault(_kind(table), []).append(as_html(table))
    sections = {}
    for record in records:
        figures = [
            _smaller(figure, record, len(records))
            for figure in study_figures(record, frame)
            if figure.section in _SHOWN
        ]
        sections[f"{record.label}{'' if record.oracle else ' (label-free)'}"] = figures
    sections["Classes"] = _confusions(records)
    surfaces = {figure.surface for figures in sections.values() for figure in figures if figure.surface}
    return render(
        "paper.html",
        {record.title: record.table for record in records if record.title in surfaces},
        title="Cross-database micro-expression recognition: the paper's experiments",
        present=_present(records, comparison),
        warnings=list(warnings),
        summary=[_summary(record) for record in records],
        table_groups=groups,
        sections=sections,
        run_facts={record.label: record.facts for record in records},
    )


def _in_order(records: Sequence[StudyRecord]) -> list[StudyRecord]:
    """By the paper's numbering, oracles first; the first of each kind, with titles that differ."""
    order = {experiment.name: experiment.number for experiment in EXPERIMENTS}
    kept: dict[tuple[str, str, str], StudyRecord] = {}
    for record in records:
        kept.setdefault((record.experiment, record.selection, record.grouping), record)
    ranked = sorted(
        kept.values(), key=lambda record: (order.get(record.experiment, 99), not record.oracle, record.grouping)
    )
    return [replace(record, title=f"{record.experiment} {record.selection} {record.grouping}") for record in ranked]


def _kind(table: PaperTable) -> str:
    return "oracle" if table.oracle else f"label-free ({table.selection})"


def _smaller(figure: ReportFigure, record: StudyRecord, n_records: int) -> ReportFigure:
    return replace(figure, of=record.slug, dpi=130 if n_records <= len(EXPERIMENTS) else 95)


def _confusions(records: Sequence[StudyRecord]) -> list[ReportFigure]:
    known = [
        (record.label.replace(" ", "\n", 1), record.confusion) for record in records if record.confusion is not None
    ]
    if not known:
        return []
    caption = "Of each study's chosen trial on the target; rows are true classes, columns predicted ones."
    return [ReportFigure("confusions", "Classes", "Confusion matrices", caption, draw_confusions(known))]


def _present(records: Sequence[StudyRecord], comparison: pd.DataFrame | None) -> str:
    there = {record.experiment for record in records}
    if comparison is not None:
        there |= set(comparison["experiment"])
    missing = [experiment.name for experiment in EXPERIMENTS if experiment.name not in there]
    text = f"{len(EXPERIMENTS) - len(missing)} of 12 have results here"
    return f"{text}; missing: {', '.join(missing)}." if missing else f"{text}."


def _summary(record: StudyRecord) -> dict[str, str]:
    row = {"experiment": record.experiment, "selection": record.selection, "groups": record.grouping}
    row["trials"] = record.shortfall or f"{len(record.table):,}"
    best = record.best
    shown = ("macro-F1", "accuracy (%)", "κ", "ξ", "grid median")
    if best is None:
        row |= dict.fromkeys(shown, "–")
    else:
        median = float(np.nanmedian(record.table["macro_f1"].to_numpy(dtype=np.float64)))
        values = (
            f"{best['macro_f1']:.4f} {100 * best['accuracy']:.2f} {int(best['kappa'])} {best['xi']:.4g} {median:.4f}"
        )
        row |= dict(zip(shown, values.split(), strict=True))
    published = published_tgsr(record)
    return row | {"paper": "–" if published is None else f"{published.macro_f1:.4f}"}
