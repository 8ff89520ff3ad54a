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
from tgsr.evaluation.remarks import choice_remarks, one_class_remark, show_settings
from tgsr.evaluation.rules import RULES, get_rule
from tgsr.protocols import EXPERIMENTS
from tgsr.reports._classes import draw_confusions
from tgsr.reports._columns import column_label, in_units, named, own_metrics, scores_of
from tgsr.reports._explorer import packed_plotly, packed_surfaces
from tgsr.reports._figures import CLASSES, CURVES, REGIONS, SURFACE, ReportFigure, StudyView, study_figures
from tgsr.reports._table_formats import as_html
from tgsr.reports._tables import AVERAGE, FIXED, collect_results, paper_order, paper_tables, part_of_grid
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.summary import choices_table

__all__ = ["render_paper", "render_study", "select_records"]

_GENERATED = (
    "Generated data: clips drawn by “tgsr demo-data”, no recorded person. These scores say nothing about "
    "micro-expressions, and the paper's numbers do not apply."
)
_ORACLE = "oracle (chosen by target labels)"
_SCORES = (SCORE, "accuracy")


def render_study(record: StudyRecord, by: str | None = None, figures: Iterable[ReportFigure] | None = None) -> str:
    """Write the page of one study of any method.

    Parameters
    ----------
    record : StudyRecord
    by : str, optional
        The rule (or ``"oracle"``) whose choice is shown; by default the study's own.
    figures : iterable of ReportFigure, optional
        What `study_figures` has drawn; by default they are drawn now.
    """
    view = StudyView.of(record, by)
    sections: dict[str, list[ReportFigure]] = {REGIONS: []}
    for figure in study_figures(record, by) if figures is None else figures:
        sections.setdefault(figure.section, []).append(figure)
    chosen = view.choice is not None
    return _render(
        "study.html",
        sections,
        title=f"Study {record.label}",
        view=view,
        made=_made(record),
        warnings=_warnings(view),
        remarks=_remarks(view),
        choice_text=_choice_text(view),
        headline=_headline(view),
        standing=_standing(view),
        choices=_as_table(_choices(view)) if chosen else "",
        kept_section=REGIONS,
        consensus=_as_table(_consensus(view)) if chosen and view.consensus else "",
        named={name: _as_table(table) for name, table in _tables_of_names(view).items()},
        top=_as_table(_top(view)) if chosen else "",
        run_facts={"pair": record.pair, "method": record.method} | record.facts,
    )


def select_records(records: Sequence[StudyRecord]) -> list[StudyRecord]:
    """One study for each pair, method with its variant, and sampler: of a whole grid if there is one, else the first.

    Studies without trials are left out. Pairs come in the paper's order, methods in its reverse: TGSR first.
    """
    kept: dict[tuple[str, str, str], StudyRecord] = {}
    for record in sorted(records, key=lambda record: record.coverage != ""):
        if len(record.table):
            kept.setdefault((record.pair, record.spec.variant, record.spec.sampler), record)
    return sorted(
        kept.values(),
        key=lambda one: (
            paper_order(one.pair),
            -paper_order(one.method)[0],
            one.spec.variant,
            one.spec.sampler != "grid",
        ),
    )


def render_paper(records: Sequence[StudyRecord], frame: npt.NDArray[Any] | None = None) -> str:
    """Write the page of all studies (the newest first): its tables are made of all, figures of `select_records`.

    ``frame`` is a cropped face to draw the regions on.
    """
    results, shown = collect_results(records), select_records(records)
    groups: dict[str, list[str]] = {}
    for table in paper_tables(results):
        groups.setdefault(_heading_of(table.choice), []).append(as_html(table))
    searched = [one for one in shown if one.spec.sampler != FIXED]
    drawn = [one for one in searched if one.spec.grouping] or searched[: len(EXPERIMENTS)]
    dpi = 130 if len(drawn) <= len(EXPERIMENTS) else 95
    sections: dict[str, list[ReportFigure]] = {
        one.label: [
            replace(figure, of=one.run_id[:8], dpi=dpi)
            for figure in study_figures(one, frame=frame)
            if figure.section in (REGIONS, CURVES, SURFACE)
        ]
        for one in drawn
    }
    missing = [one.name for one in EXPERIMENTS if one.name not in set(results["experiment"])]
    present = f"{len(EXPERIMENTS) - len(missing)} of 12 have results here"
    return _render(
        "paper.html",
        sections | {CLASSES: _confusions(shown)},
        title="Cross-database micro-expression recognition: the paper's experiments",
        present=f"{present}; missing: {', '.join(missing)}." if missing else f"{present}.",
        made=f"Made on {_now()} from {len(records)} studies.",
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


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _made(record: StudyRecord) -> str:
    """When the page was made, and of how many trials: facts that stay true, whatever becomes of the study."""
    n_cells = len(record.spec.cells())
    of = f" of the {n_cells:,} cells of its grid" if record.spec.sampler == "grid" else ""
    return f"{len(record.table):,} trials{of}, as they were on {_now()}, when this page was made."


def _show(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Metrics by their labels, as people read them; the method's own with four digits; what is absent is left out."""
    shown = {}
    for name in names:
        metric, value = describe_metric(name), values.get(METRIC + name)
        if value is not None and np.isfinite(value):
            shown[metric.axis] = metric.show(value) if name in METRICS else f"{value:.4g}"
    return shown


def _headline(view: StudyView) -> dict[str, str]:
    """The chosen trial's scores, what chose it, its settings, and the method's own metrics."""
    if view.choice is None:
        return {}
    shown = _show(view.choice.row, _SCORES)
    if not view.is_oracle:
        shown[column_label(column_of(view.by))] = f"{view.choice.value:.4g}"
    if (average := (view.consensus or {}).get(f"{SCORE}.{AVERAGE}")) is not None:
        shown["macro-F1 of the consensus"] = METRICS[SCORE].show(average)
    settings = [show_settings({name: value}).partition(" = ") for name, value in view.choice.settings.items()]
    return shown | {name: value for name, _, value in settings} | _show(view.choice.row, own_metrics(view.record.table))


def _choice_text(view: StudyView) -> str:
    if view.is_oracle:
        return (
            "Chosen by macro-F1 on the target, by its own labels. The best trial is no estimate of what the method "
            "achieves in use."
        )
    # a page imports no code that a stored name names
    description = f": {get_rule(view.by).description}" if view.by in RULES else ""
    shown = "Scores on the target are shown for information; they chose nothing."
    scored = shown if view.record.is_scored else "The target has no labels: there are no scores on it."
    return f"Chosen by “{view.by}”{description}. {scored}"


def _remarks(view: StudyView) -> list[str]:
    record = view.record
    if view.choice is None:
        return []
    n_groups = record.spec.shape.n_groups if record.spec.grouping else None
    return choice_remarks(record.table, view.choice, sampler=record.spec.sampler, n_groups=n_groups)


def _standing(view: StudyView) -> str:
    """Where the chosen trial stands among all, and against the paper's number."""
    record, parts = view.record, []
    if view.choice is None or not record.is_scored:
        return ""
    scores = record.table[METRIC + SCORE].dropna().to_numpy(dtype=np.float64)
    if len(scores) > 1:
        below = 100 * float((scores < view.choice.metrics[SCORE]).mean())
        low, median, high = np.quantile(scores, [0.25, 0.5, 0.75])
        parts.append(
            f"All {len(scores):,} trials on the target: median macro-F1 {median:.4f}, quartiles {low:.4f} and "
            f"{high:.4f}, best {scores.max():.4f}; the chosen one is above {below:.1f} % of them."
        )
    paper = None if record.is_generated else published_result(record.pair, record.method)
    if paper is not None:
        groups = ", with the groups of the released records," if record.spec.grouping else ""
        parts.append(
            f"The paper reports macro-F1 {paper.macro_f1:.4f} and accuracy {100 * paper.accuracy:.2f} % for "
            f"{record.method} here (an oracle{groups} on the recorded databases)."
        )
    return " ".join(parts)


def _warnings(view: StudyView) -> list[str]:
    record = view.record
    found = [_GENERATED] if record.is_generated else []
    if view.choice is not None and (said := one_class_remark(view.choice.row["predictions"], record.classes[0])):
        found.append(f"The chosen trial {said} samples of the target: it tells nothing apart.")
    if record.coverage:
        found.append(f"This is not the method's whole grid: {record.coverage}. What was chosen is the best of these.")
    stopped = int((record.table[METRIC + "converged"] == 0).sum()) if METRIC + "converged" in record.table else 0
    if stopped:
        found.append(f"{stopped:,} trials stopped at the limit of iterations.")
    return found


def _choices(view: StudyView) -> pd.DataFrame:
    """What each rule chooses, the page's own choice marked."""
    record = view.record
    predictions = record.table.set_index("run_id")["predictions"]
    rows = []
    for row in choices_table(record).to_dict("records"):
        name = _ORACLE if row["choice"] == ORACLE else row["choice"]
        scores = {METRICS[key].axis: METRICS[key].show(row[key]) for key in _SCORES if key in row}
        rows.append(
            {
                "choice": f"▸ {name}" if row["choice"] == view.by else name,
                "settings": row["settings"] or "none",
                "value": f"{row['value']:.4g}",
                "ties": f"{row['ties']:,}",
                **scores,
                "remark": one_class_remark(predictions[row["run_id"]], record.classes[0]),
            }
        )
    return _without_empty(pd.DataFrame(rows).set_index("choice"))


def _consensus(view: StudyView) -> pd.DataFrame:
    """The average of the best trials beside what single trials attain."""
    record, facts = view.record, view.consensus or {}
    assert view.choice is not None
    best = {f"the single trial by {view.by}": view.choice.row}
    if record.is_scored:
        best[_ORACLE] = record.choose(ORACLE).row
    name = f"consensus of the best {len(facts['trials'])} trials by {facts['by']}"
    rows = {name: {METRIC + key: facts.get(f"{key}.{AVERAGE}") for key in _SCORES} | facts, **best}
    shown = {
        of: _show(row, _SCORES) | {"remark": one_class_remark(row["predictions"], record.classes[0])}
        for of, row in rows.items()
    }
    if record.is_scored:
        medians = {METRIC + key: record.table[METRIC + key].median() for key in _SCORES}
        shown["median of all trials"] = _show(medians, _SCORES) | {"remark": ""}
    return _without_empty(pd.DataFrame.from_dict(shown, orient="index"))


def _tables_of_names(view: StudyView) -> dict[str, pd.DataFrame]:
    """What the values of settings that are no numbers give: setting → trials, best and quartiles by value."""
    table, found = view.record.table, {}
    for name in named(table) if view.choice else []:
        column = scores_of(table, view.by)[0]
        values = table[PARAM + name].map(lambda value: "none" if pd.isna(value) else str(value), na_action=None)
        summary = in_units(table, column).groupby(values, sort=False).describe()[["count", "max", "25%", "50%", "75%"]]
        summary.columns = pd.Index(["trials", "best", "lower quartile", "median", "upper quartile"])
        found[f"{name}: {column_label(column)}"] = summary.astype({"trials": int}).round(4)
    return found


def _top(view: StudyView) -> pd.DataFrame:
    """The ten best trials, with the method's own metrics."""
    record, rows = view.record, []
    names = (*_SCORES, "regions_kept", "iterations", *own_metrics(record.table))
    for row in rank_trials(record.table, view.by).head(10).to_dict("records"):
        values = {str(name): value for name, value in row.items()}
        shown = {"trial": str(values["number"]), "settings": show_settings(json.loads(values["settings"]))}
        if not view.is_oracle:
            shown[column_label(column_of(view.by))] = f"{values[column_of(view.by)]:.4g}"
        rows.append(
            shown | _show(values, names) | {"remark": one_class_remark(values["predictions"], record.classes[0])}
        )
    return _without_empty(pd.DataFrame(rows).set_index("trial"))


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """A table without its column of remarks, where nothing is remarked."""
    return table.drop(columns="remark") if not table["remark"].astype(bool).any() else table


def _confusions(records: Sequence[StudyRecord]) -> list[ReportFigure]:
    known = [
        (f"{one.pair}, {one.spec.variant}\n{view.by}", view.scores.confusion, one.classes[0])
        for one in records
        if (view := StudyView.of(one)).scores is not None
    ]
    if not known:
        return []
    caption = "Of each study's choice on the target; rows are true classes, columns predicted ones."
    return [ReportFigure("confusions", CLASSES, "Confusion matrices", caption, draw_confusions(known), dpi=110)]


def _heading_of(choice: str) -> str:
    known = {ORACLE: _ORACLE, FIXED: "fixed settings", AVERAGE: "consensus (label-free)"}
    return known.get(choice, f"label-free ({choice})")


def _summary(record: StudyRecord) -> dict[str, str]:
    """A study's row in the table of all studies."""
    view = StudyView.of(record)
    paper = None if record.is_generated else published_result(record.pair, record.method)
    scores = dict.fromkeys((METRICS[SCORE].label, METRICS["accuracy"].axis, "consensus", _ORACLE, "median"), "–")
    if view.choice is not None and record.is_scored:
        scores |= _show(view.choice.row, _SCORES)
        scores["consensus"] = METRICS[SCORE].show((view.consensus or {}).get(f"{SCORE}.{AVERAGE}"))
        scores[_ORACLE] = METRICS[SCORE].show(record.choose(ORACLE).metrics[SCORE])
        scores["median"] = METRICS[SCORE].show(record.table[METRIC + SCORE].median())
    said = [] if view.choice is None else [one_class_remark(view.choice.row["predictions"], record.classes[0])]
    return {
        "pair": record.pair,
        "method": record.spec.variant,
        "sampler": record.spec.sampler,
        "trials": part_of_grid(record) or f"{len(record.table):,}",
        "chosen by": FIXED if record.spec.sampler == FIXED else _ORACLE if view.is_oracle else view.by,
        **scores,
        "paper": "–" if paper is None else METRICS[SCORE].show(paper.macro_f1),
        "about the choice": " ".join(filter(None, [*said, *_remarks(view)])) or "–",
    }
