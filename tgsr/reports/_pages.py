"""The report of one study, and that of all studies beside the published tables: each one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr import __version__
from tgsr.evaluation.choice import Best, rank_trials
from tgsr.evaluation.paper import published_result
from tgsr.evaluation.remarks import show_value, symbol
from tgsr.evaluation.selection import RULES
from tgsr.protocols import EXPERIMENTS
from tgsr.reports._classes import draw_confusions
from tgsr.reports._explorer import packed_plotly, packed_surfaces
from tgsr.reports._figures import CLASSES, CURVES, REGIONS, SURFACE, ReportFigure, choice_tables, study_figures
from tgsr.reports._records import StudyRecord
from tgsr.reports._table_formats import as_html
from tgsr.reports._tables import collect_results, paper_order, paper_tables

__all__ = ["render_paper", "render_study", "select_records"]

_GENERATED = (
    "Generated data: clips drawn by “tgsr demo-data”, no recorded person. These scores say nothing about "
    "micro-expressions, and the paper's numbers do not apply."
)
_KINDS = {"oracle": "oracle", "fixed": "fixed defaults"}


def render_study(record: StudyRecord, figures: Iterable[ReportFigure] | None = None) -> str:
    """Write the report of one study of any method, with the figures that `study_figures` has drawn, or draws now."""
    best = record.best
    sections: dict[str, list[ReportFigure]] = {}
    for figure in study_figures(record) if figures is None else figures:
        sections.setdefault(figure.section, []).append(figure)
    return _render(
        "study.html",
        sections,
        title=f"Study {record.label}",
        record=record,
        n_trials=f"{len(record.table):,}",
        warnings=_warnings(record),
        remarks=record.remarks,
        selection_text=_selection_text(record),
        headline={} if best is None else _show_trial(best.row, best.settings),
        standing="" if best is None else _standing(record, best),
        choices={name: _as_table(table.round(4)) for name, table in choice_tables(record).items()},
        top="" if best is None else _top(record, best),
        value_label="macro-F1 on the target" if record.oracle else f"the value of “{record.selection}”",
        run_facts={"pair": record.pair, "method": record.method, "selection": record.selection} | record.facts,
    )


def select_records(records: Sequence[StudyRecord]) -> list[StudyRecord]:
    """One study for each pair, method, groups, scaling and selection, of a whole grid if there is one, else the first.

    Studies without trials are left out. Pairs come in the paper's order, methods in its reverse: TGSR first.
    """
    kept: dict[tuple[str, str, str], StudyRecord] = {}
    for record in sorted(records, key=lambda record: record.coverage != ""):
        if len(record.table):
            kept.setdefault((record.pair, record.row, record.selection), record)
    return sorted(
        kept.values(),
        key=lambda one: (paper_order(one.pair), -paper_order(one.method)[0], one.row, not one.oracle),
    )


def render_paper(
    records: Sequence[StudyRecord], comparison: pd.DataFrame | None = None, frame: npt.NDArray[Any] | None = None
) -> str:
    """Write the report of all studies (the newest first): its tables are made of all, figures of `select_records`.

    ``comparison`` is a table as ``tgsr compare`` writes it; ``frame`` a cropped face to draw the regions on.
    """
    results = collect_results(records, comparison)
    groups: dict[str, list[str]] = {}
    for table in paper_tables(results):
        kind = _KINDS.get(table.selection, f"label-free ({table.selection})")
        groups.setdefault(kind, []).append(as_html(table))
    shown = select_records(records)
    drawn = [one for one in shown if one.group_norms is not None] or shown[: len(EXPERIMENTS)]
    dpi = 130 if len(drawn) <= len(EXPERIMENTS) else 95
    sections = {
        one.label: [
            replace(figure, of=one.slug, dpi=dpi)
            for figure in study_figures(one, frame)
            if figure.section in (REGIONS, CURVES, SURFACE)
        ]
        for one in drawn
    }
    return _render(
        "paper.html",
        sections | {CLASSES: _confusions(shown)},
        title="Cross-database micro-expression recognition: the paper's experiments",
        present=_present(results),
        warnings=[_GENERATED] if results["generated"].any() else [],
        summary=_as_table(pd.DataFrame(map(_summary, shown)).set_index("pair")) if shown else "",
        table_groups=groups,
        run_facts={record.label: record.facts for record in shown},
    )


def _render(template: str, sections: Mapping[str, Sequence[ReportFigure]], **context: Any) -> str:
    """Fill a template; surfaces are packed beside the figures that can show them interactively."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    surfaces = {one.anchor: one.surface for figures in sections.values() for one in figures if one.surface is not None}
    packed = {"surfaces": packed_surfaces(surfaces), "plotly": packed_plotly()} if surfaces else {"surfaces": ""}
    environment = Environment(
        loader=PackageLoader("tgsr.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(version=__version__, sections=sections, **packed, **context)


def _as_table(table: pd.DataFrame) -> str:
    """A small table as HTML, its index in bold at the left; text is escaped."""
    return table.to_html(border=0, na_rep="–", index_names=False)


def _show_trial(row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """A trial's scores and settings, as people read them."""
    scores = {"macro-F1": row.get("macro_f1"), "accuracy": row.get("accuracy")}
    if row["selection_value"] != row.get("macro_f1"):
        scores["selection value"] = row["selection_value"]
    shown = {
        name: f"{100 * value:.2f} %" if name == "accuracy" else f"{value:.4f}"
        for name, value in scores.items()
        if value is not None and np.isfinite(value)
    }
    return shown | {symbol(name): show_value(value) for name, value in settings.items()}


def _selection_text(record: StudyRecord) -> str:
    rule = RULES.get(record.selection)
    said = f"Selection “{record.selection}”" + (f": {rule.description}." if rule else ".")
    if record.oracle:
        return f"{said} The best trial is no estimate of what the method achieves in use."
    shown = "Scores on the target are shown for information; they chose nothing."
    return f"{said} {shown if record.scored else 'The target has no labels: there are no scores on it.'}"


def _standing(record: StudyRecord, best: Best) -> str:
    """Where the chosen trial stands among all, and against the paper's number."""
    if not record.scored:
        return ""
    scores = record.table["macro_f1"].dropna().to_numpy(dtype=np.float64)
    parts = []
    if len(scores) > 1:
        below = 100 * float((scores < best.row["macro_f1"]).mean())
        low, median, high = np.quantile(scores, [0.25, 0.5, 0.75])
        parts.append(
            f"All {len(scores):,} trials on the target: median macro-F1 {median:.4f}, quartiles {low:.4f} and "
            f"{high:.4f}, best {scores.max():.4f}; the chosen one is above {below:.1f} % of them."
        )
    paper = None if record.generated else published_result(record.pair, record.method)
    if paper is not None:
        groups = ", with the groups of the released records," if record.grouping else ""
        parts.append(
            f"The paper reports macro-F1 {paper.macro_f1:.4f} and accuracy {100 * paper.accuracy:.2f} % for "
            f"{record.method} here (an oracle{groups} on the recorded databases)."
        )
    return " ".join(parts)


def _warnings(record: StudyRecord) -> list[str]:
    found = [_GENERATED] if record.generated else []
    if record.status != "FINISHED":
        found.append(f"The study's state is {record.status}: this report shows the trials that were finished.")
    if record.coverage:
        found.append(f"This is not the method's whole grid: {record.coverage}. What was chosen is the best of these.")
    stopped = int((record.table["converged"] == 0).sum()) if "converged" in record.table else 0
    if stopped:
        found.append(f"{stopped:,} trials stopped at the limit of iterations.")
    if record.best is not None and record.grouping and record.group_norms is None:
        found.append("The chosen trial's groups are not stored with these results, so that Fig. 2 is missing.")
    if record.best is not None and record.scored and record.confusion is None:
        found.append("No confusion matrix is stored with these results; `tgsr report --data DIR` adds it.")
    return found


def _top(record: StudyRecord, best: Best) -> str:
    """The ten best trials as a table."""
    rows = []
    for row in rank_trials(record.table).head(10).to_dict("records"):
        shown = _show_trial({str(name): value for name, value in row.items()}, {one: row[one] for one in best.settings})
        counts = {"groups kept": row.get("regions_kept"), "iterations": row.get("iterations")}
        shown |= {name: str(int(count)) for name, count in counts.items() if pd.notna(count)}
        rows.append({"trial": str(int(row["trial"]))} | shown)
    return _as_table(pd.DataFrame(rows).set_index("trial"))


def _confusions(records: Sequence[StudyRecord]) -> list[ReportFigure]:
    known = [
        (f"{one.pair}, {one.row}\n{one.selection}", one.confusion, one.class_names)
        for one in records
        if one.confusion is not None
    ]
    if not known:
        return []
    caption = "Of each study's chosen trial on the target; rows are true classes, columns predicted ones."
    return [ReportFigure("confusions", CLASSES, "Confusion matrices", caption, draw_confusions(known), dpi=110)]


def _present(results: pd.DataFrame) -> str:
    missing = [one.name for one in EXPERIMENTS if one.name not in set(results["experiment"])]
    text = f"{len(EXPERIMENTS) - len(missing)} of 12 have results here"
    return f"{text}; missing: {', '.join(missing)}." if missing else f"{text}."


def _summary(record: StudyRecord) -> dict[str, str]:
    """A study's row in the table of all studies."""
    paper = None if record.generated else published_result(record.pair, record.method)
    scores = dict.fromkeys(("macro-F1", "accuracy (%)", "median"), "–")
    if record.best is not None and record.scored:
        row, median = record.best.row, record.table["macro_f1"].median()
        values = f"{row['macro_f1']:.4f}", f"{100 * row['accuracy']:.2f}", f"{median:.4f}"
        scores = dict(zip(scores, values, strict=True))
    return {
        "pair": record.pair,
        "method": record.row,
        "selection": record.selection,
        "trials": record.coverage or f"{len(record.table):,}",
        **scores,
        "paper": "–" if paper is None else f"{paper.macro_f1:.4f}",
        "about the choice": " ".join(record.remarks) or "–",
    }
