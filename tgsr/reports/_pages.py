"""The page of one study, and that of all studies beside the published tables: each one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr import __version__
from tgsr.evaluation.choice import METRIC, ORACLE, PARAM, SCORE, column_of, rank_trials
from tgsr.evaluation.metrics import METRICS, describe_metric
from tgsr.evaluation.paper import published_result
from tgsr.evaluation.remarks import (
    REMEDY,
    choice_remarks,
    one_class_remark,
    show_settings,
    solver_remark,
)
from tgsr.evaluation.rules import RULES, get_rule
from tgsr.protocols import EXPERIMENTS
from tgsr.reports._columns import SHOWN, column_label, in_units, named, own_metrics, scores_of
from tgsr.reports._explorer import packed_plotly, packed_surfaces
from tgsr.reports._figures import CURVES, REGIONS, SURFACE, ReportFigure, StudyView, study_figures
from tgsr.reports._table_formats import as_html
from tgsr.reports._tables import AVERAGE, FIXED, collect_results, paper_order, paper_tables, part_of_grid
from tgsr.tracking.records import StudyRecord

__all__ = ["render_paper", "render_study", "select_records"]

_ORACLE = "oracle (chosen by target labels)"
_F1 = METRICS[SCORE]


def render_study(record: StudyRecord, by: str | None = None, figures: Iterable[ReportFigure] | None = None) -> str:
    """Write the page of one study of any method: of what a rule (or ``"oracle"``) chooses, by default the study's own.

    ``figures`` are what `study_figures` has drawn; by default they are drawn now.
    """
    view, table = StudyView.of(record, by), record.table
    sections: dict[str, list[ReportFigure]] = {}
    for figure in study_figures(record, by) if figures is None else figures:
        sections.setdefault(figure.section, []).append(figure)
    return _render(
        "study.html",
        sections,
        title=f"Study {record.label}",
        view=view,
        # a page imports no code that a stored name names
        description=get_rule(view.by).description if view.by in RULES else "",
        one_class=_remark(record, view.choice.row) if view.choice else "",
        unsolved=solver_remark(table),
        remedy=REMEDY,
        headline=_headline(view),
        remarks=_remarks(view),
        scores=table[METRIC + SCORE].dropna() if record.is_scored else None,
        paper=None if record.is_generated else published_result(record.pair, record.method),
        choices=_as_table(_choices(view)),
        named={name: _as_table(named_table) for name, named_table in _tables_of_names(view).items()},
        top=_as_table(_top(view)),
    )


def select_records(records: Sequence[StudyRecord]) -> list[StudyRecord]:
    """One study for each pair, method with its variant, and sampler: of a whole grid if there is one, else the first.

    Studies without trials are left out. Pairs come in the paper's order, methods in its reverse: TGSR first.
    """
    kept: dict[tuple[str, str, str], StudyRecord] = {}
    for record in sorted(records, key=lambda record: record.coverage != ""):
        if len(record.table):
            kept.setdefault((record.pair, record.spec.variant, record.spec.sampler), record)

    def place(record: StudyRecord) -> tuple[Any, ...]:
        variant = record.spec.variant
        return paper_order(record.pair), -paper_order(record.method)[0], variant, record.spec.sampler != "grid"

    return sorted(kept.values(), key=place)


def render_paper(records: Sequence[StudyRecord], frame: npt.NDArray[Any] | None = None) -> str:
    """Write the page of all studies (the newest first): its tables are made of all, figures of `select_records`.

    ``frame`` is a cropped face to draw the regions on.
    """
    results, shown = collect_results(records), select_records(records)
    groups: dict[str, list[str]] = {}
    for table in paper_tables(results):
        known = {ORACLE: _ORACLE, FIXED: "fixed settings", AVERAGE: "consensus (label-free)"}
        heading = known.get(table.choice, f"label-free ({table.choice})")
        groups.setdefault(heading, []).append(as_html(table))
    searched = [one for one in shown if one.spec.sampler != FIXED]
    drawn = [one for one in searched if one.spec.grouping] or searched[: len(EXPERIMENTS)]
    dpi = 130 if len(drawn) <= len(EXPERIMENTS) else 95
    sections = {
        one.label: [
            replace(figure, of=one.run_id[:8], dpi=dpi)
            for figure in study_figures(one, frame=frame)
            if figure.section in (REGIONS, CURVES, SURFACE)
        ]
        for one in drawn
    }
    return _render(
        "paper.html",
        sections,
        title="Cross-database micro-expression recognition: the paper's experiments",
        missing=[one.name for one in EXPERIMENTS if one.name not in set(results["experiment"])],
        n_studies=len(records),
        is_generated=results["generated"].any(),
        summary=_as_table(pd.DataFrame(map(_summary, shown))),
        table_groups=groups,
        shown=shown,
    )


def _render(template: str, sections: Mapping[str, Sequence[ReportFigure]], **context: Any) -> str:
    """Fill a template; surfaces are packed beside the figures that can show them interactively."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    surfaces = {one.anchor: one.surface for figures in sections.values() for one in figures if one.surface is not None}
    packed = {"surfaces": packed_surfaces(surfaces), "plotly": packed_plotly()} if surfaces else {"surfaces": ""}
    environment = Environment(
        loader=PackageLoader("tgsr.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    common = {"version": __version__, "now": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "sections": sections}
    return environment.get_template(template).render(**common, **packed, **context)


def _as_table(table: pd.DataFrame) -> str:
    """A small table as HTML, its first column in bold at the left; text is escaped, remarks only shown if there are."""
    if table.empty:
        return ""
    if "remark" in table and not table["remark"].astype(bool).any():
        table = table.drop(columns="remark")
    return table.set_index(str(table.columns[0])).to_html(border=0, na_rep="–", index_names=False)


def _show(row: Mapping[Any, Any], names: Iterable[str]) -> dict[str, str]:
    """Metrics by their labels, as people read them; the method's own with four digits; what is absent is left out."""
    shown = {}
    for name in names:
        metric, value = describe_metric(name), row.get(METRIC + name)
        if value is not None and np.isfinite(value):
            shown[metric.axis] = metric.show(value) if name in METRICS else f"{value:.4g}"
    return shown


def _remark(record: StudyRecord, row: Mapping[Any, Any]) -> str:
    return one_class_remark(row["predictions"], record.classes[0])


def _headline(view: StudyView) -> dict[str, str]:
    """The chosen trial's scores, what chose it, its settings, and the method's own metrics."""
    if view.choice is None:
        return {}
    shown, average = _show(view.choice.row, SHOWN), view.consensus.get(f"{SCORE}.{AVERAGE}")
    if not view.is_oracle:
        shown[column_label(column_of(view.by))] = f"{view.choice.value:.4g}"
    if average is not None:
        shown["macro-F1 of the consensus"] = _F1.show(average)
    settings = [show_settings({name: value}).split(" = ", 1) for name, value in view.choice.settings.items()]
    return shown | dict(settings) | _show(view.choice.row, own_metrics(view.record.table))


def _remarks(view: StudyView) -> list[str]:
    spec = view.record.spec
    if view.choice is None:
        return []
    n_groups = spec.shape.n_groups if spec.grouping else None
    found = choice_remarks(view.record.table, view.choice, sampler=spec.sampler, n_groups=n_groups)
    crowded = view.record.regression_remark(view.choice.settings)
    return [*found, *([crowded] if crowded else [])]


def _choices(view: StudyView) -> pd.DataFrame:
    """What each rule chooses, the page's own choice marked; below them the consensus, and the median of all trials."""
    record, rows = view.record, []
    if view.choice is None:
        return pd.DataFrame()
    for by in [*([ORACLE] if record.is_scored else []), *record.rules]:
        found, name = record.choose(by), _ORACLE if by == ORACLE else by
        shown = {"choice": f"▸ {name}" if by == view.by else name, "settings": show_settings(found.settings) or "none"}
        shown |= {"value": f"{found.value:.4g}", "ties": f"{found.n_ties:,}"}
        rows.append(shown | _show(found.row, SHOWN) | {"remark": _remark(record, found.row)})
    if facts := view.consensus:
        name = f"consensus: the best {len(facts['trials'])} by {facts['by']}, averaged"
        scores = {METRIC + key: facts.get(f"{key}.{AVERAGE}") for key in SHOWN}
        rows.append({"choice": name, **_show(scores, SHOWN), "remark": _remark(record, facts)})
    if record.is_scored and len(record.table) > 1:
        medians = {METRIC + key: record.table[METRIC + key].median() for key in SHOWN}
        rows.append({"choice": "median of all trials", **_show(medians, SHOWN), "remark": ""})
    return pd.DataFrame(rows)


def _tables_of_names(view: StudyView) -> dict[str, pd.DataFrame]:
    """What the values of settings that are no numbers give: setting → trials, best and quartiles by value."""
    table, found = view.record.table, {}
    for name in named(table) if view.choice else []:
        column = scores_of(table, view.by)[0]
        values = table[PARAM + name].map(lambda value: "none" if pd.isna(value) else str(value), na_action=None)
        summary = in_units(table, column).groupby(values, sort=False).describe()[["count", "max", "25%", "50%", "75%"]]
        summary.columns = pd.Index(["trials", "best", "lower quartile", "median", "upper quartile"])
        found[f"{name}: {column_label(column)}"] = summary.astype({"trials": int}).round(4).reset_index(names=name)
    return found


def _top(view: StudyView) -> pd.DataFrame:
    """The ten best trials, with the method's own metrics."""
    record, column, rows = view.record, column_of(view.by), []
    names = (*SHOWN, "regions_kept", "iterations", *own_metrics(record.table))
    for row in rank_trials(record.table, view.by).head(10).to_dict("records"):
        shown = {"trial": str(row["number"]), "settings": show_settings(json.loads(row["settings"]))}
        shown |= {} if view.is_oracle else {column_label(column): f"{row[column]:.4g}"}
        rows.append(shown | _show(row, names) | {"remark": _remark(record, row)})
    return pd.DataFrame(rows)


def _summary(record: StudyRecord) -> dict[str, str]:
    """A study's row in the table of all studies."""
    view = StudyView.of(record)
    row = {
        "pair": record.pair,
        "method": record.spec.variant,
        "sampler": record.spec.sampler,
        "trials": part_of_grid(record) or f"{len(record.table):,}",
        "chosen by": FIXED if record.spec.sampler == FIXED else _ORACLE if view.is_oracle else view.by,
    }
    said = _remarks(view)
    if view.choice is not None and record.is_scored:
        row |= _show(view.choice.row, SHOWN)
        row["consensus"] = _F1.show(view.consensus.get(f"{SCORE}.{AVERAGE}"))
        row["oracle (target labels)"] = _F1.show(record.choose(ORACLE).value)
        row["median"] = _F1.show(record.table[METRIC + SCORE].median())
    if view.choice is not None and (remark := _remark(record, view.choice.row)):
        said = [f"It {remark}.", *said]
    paper = None if record.is_generated else published_result(record.pair, record.method)
    return row | {
        "paper": "–" if paper is None else _F1.show(paper.macro_f1),
        "about the choice": " ".join(said) or "–",
    }
