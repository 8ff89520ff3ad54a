"""The report of all studies: every pair and method beside the published tables, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import pandas as pd

from tgsr.protocols import EXPERIMENTS
from tgsr.reports._classes import draw_confusions
from tgsr.reports._figures import CURVES, REGIONS, SURFACE, ReportFigure, study_figures
from tgsr.reports._pages import GENERATED, as_table, render
from tgsr.reports._records import StudyRecord
from tgsr.reports._table_formats import as_html
from tgsr.reports._tables import METHODS, collect_results, paper_tables, published

__all__ = ["render_paper", "select_records"]

_SHOWN = (REGIONS, CURVES, SURFACE)
_KINDS = {"oracle": "oracle", "fixed": "fixed defaults"}


def select_records(records: Sequence[StudyRecord]) -> list[StudyRecord]:
    """One study for each pair, method, groups, scaling and selection, of a whole grid if there is one, else the first.

    Studies without trials are left out. They come in the order of the paper's tables, oracles first.
    """
    kept: dict[tuple[str, str, str], StudyRecord] = {}
    for record in sorted(records, key=lambda record: record.coverage != ""):
        if len(record.table):
            kept.setdefault((record.pair, record.row, record.selection), record)
    pairs = {experiment.name: experiment.number for experiment in EXPERIMENTS}
    methods = {name: rank for rank, name in enumerate(METHODS)}
    return sorted(
        kept.values(),
        key=lambda one: (pairs.get(one.pair, 99), one.pair, -methods.get(one.method, 99), one.row, not one.oracle),
    )


def render_paper(
    records: Sequence[StudyRecord],
    comparison: pd.DataFrame | None = None,
    warnings: Sequence[str] = (),
    frame: npt.NDArray[Any] | None = None,
) -> str:
    """Write the report of all studies.

    Parameters
    ----------
    records : sequence of StudyRecord
        The newest first; the tables are made of all of them, figures of `select_records`.
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
    results = collect_results(records, comparison)
    groups: dict[str, list[str]] = {}
    for table in paper_tables(results):
        kind = _KINDS.get(table.selection, f"label-free ({table.selection})")
        groups.setdefault(kind, []).append(as_html(table))
    shown = select_records(records)
    drawn = [one for one in shown if one.group_norms is not None] or shown[: len(EXPERIMENTS)]
    sections = {one.label: _figures(one, frame, len(drawn)) for one in drawn}
    sections["Classes"] = _confusions(shown)
    surfaces = {figure.anchor: figure.surface for figures in sections.values() for figure in figures if figure.surface}
    return render(
        "paper.html",
        surfaces,
        title="Cross-database micro-expression recognition: the paper's experiments",
        present=_present(results),
        warnings=[GENERATED, *warnings] if results["generated"].any() else list(warnings),
        summary=as_table(pd.DataFrame(map(_summary, shown)).set_index("pair")) if shown else "",
        table_groups=groups,
        sections=sections,
        run_facts={record.label: record.facts for record in shown},
    )


def _figures(record: StudyRecord, frame: npt.NDArray[Any] | None, n_records: int) -> list[ReportFigure]:
    dpi = 130 if n_records <= len(EXPERIMENTS) else 95
    figures = (figure for figure in study_figures(record, frame) if figure.section in _SHOWN)
    return [replace(figure, of=record.slug, dpi=dpi) for figure in figures]


def _confusions(records: Sequence[StudyRecord]) -> list[ReportFigure]:
    known = [
        (f"{one.pair}, {one.row}\n{one.selection}", one.confusion, one.class_names)
        for one in records
        if one.confusion is not None
    ]
    if not known:
        return []
    caption = "Of each study's chosen trial on the target; rows are true classes, columns predicted ones."
    return [ReportFigure("confusions", "Classes", "Confusion matrices", caption, draw_confusions(known), dpi=110)]


def _present(results: pd.DataFrame) -> str:
    missing = [one.name for one in EXPERIMENTS if one.name not in set(results["experiment"])]
    text = f"{len(EXPERIMENTS) - len(missing)} of 12 have results here"
    return f"{text}; missing: {', '.join(missing)}." if missing else f"{text}."


def _summary(record: StudyRecord) -> dict[str, str]:
    best, scores = record.best, record.table.get("macro_f1")
    row = {"pair": record.pair, "method": record.row, "selection": record.selection}
    row |= {"trials": record.coverage or f"{len(record.table):,}", "macro-F1": "–", "accuracy (%)": "–", "median": "–"}
    if best is not None and scores is not None and record.scored:
        row |= {"macro-F1": f"{best.row['macro_f1']:.4f}", "accuracy (%)": f"{100 * best.row['accuracy']:.2f}"}
        row["median"] = f"{scores.median():.4f}"
    paper = None if record.generated else published(record.pair, record.method)
    remarks = " ".join(record.remarks) or "–"
    return row | {"paper": "–" if paper is None else f"{paper.macro_f1:.4f}", "about the choice": remarks}
