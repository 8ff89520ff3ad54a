"""The report of one study as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr import __version__
from tgsr.evaluation.best import Best, rank_trials
from tgsr.evaluation.remarks import SYMBOLS
from tgsr.evaluation.selection import RULES
from tgsr.reports._explorer import packed_plotly, packed_surfaces
from tgsr.reports._figures import (
    CLASSES,
    CURVES,
    REGIONS,
    SAMPLING,
    SURFACE,
    ReportFigure,
    choice_tables,
    study_figures,
)
from tgsr.reports._records import StudyRecord
from tgsr.reports._tables import published

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["GENERATED", "as_table", "render", "render_study", "show_trial"]

GENERATED = (
    "Generated data: clips drawn by “tgsr demo-data”, no recorded person. These scores say nothing about "
    "micro-expressions, and the paper's numbers do not apply."
)
_SECTIONS = (REGIONS, CURVES, SURFACE, CLASSES, SAMPLING)
_COUNTS = {"regions_kept": "groups kept", "iterations": "iterations"}


def render_study(
    record: StudyRecord,
    figures: Sequence[ReportFigure] | None = None,
    frame: npt.NDArray[Any] | None = None,
) -> str:
    """Write the report of one study of any method.

    Parameters
    ----------
    record : StudyRecord
    figures : sequence of ReportFigure, optional
        As `study_figures` drew them, if they are there already.
    frame : array, optional
        A cropped face to draw the regions on.

    Returns
    -------
    str
        An HTML page that needs no other file.
    """
    figures = list(study_figures(record, frame)) if figures is None else figures
    best = record.best
    return render(
        "study.html",
        {figure.anchor: figure.surface for figure in figures if figure.surface},
        title=f"Study {record.label}",
        record=record,
        n_trials=f"{len(record.table):,}",
        warnings=_warnings(record),
        remarks=record.remarks,
        selection_text=_selection_text(record),
        headline={} if best is None else show_trial(best.row, best.settings),
        standing="" if best is None else _standing(record, best),
        sections={name: [figure for figure in figures if figure.section == name] for name in _SECTIONS},
        choices={name: as_table(table.round(4)) for name, table in choice_tables(record).items()},
        top=_top(record),
        value_label="macro-F1 on the target" if record.oracle else f"the value of “{record.selection}”",
        run_facts={"pair": record.pair, "method": record.method, "selection": record.selection} | record.facts,
    )


def render(template: str, surfaces: Mapping[str, tuple[pd.DataFrame, tuple[str, str]] | None], **context: Any) -> str:
    """Fill a template; ``surfaces`` are what the page shows interactively: anchor → trials and settings (y, x)."""
    shown = {name: surface for name, surface in surfaces.items() if surface is not None}
    packed = {"surfaces": packed_surfaces(shown), "plotly": packed_plotly()} if shown else {"surfaces": ""}
    return _environment().get_template(template).render(version=__version__, **packed, **context)


def as_table(table: pd.DataFrame) -> str:
    """A small table as HTML, its index in bold at the left; text is escaped."""
    return table.to_html(border=0, na_rep="–", index_names=False)


def show_trial(row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """A trial's scores and settings, as people read them."""
    shown = {}
    for name, label, factor, pattern in (
        ("macro_f1", "macro-F1", 1, "{:.4f}"),
        ("accuracy", "accuracy", 100, "{:.2f} %"),
        ("selection_value", "selection value", 1, "{:.4f}"),
    ):
        value = row.get(name)
        if (
            value is not None
            and np.isfinite(value)
            and not (name == "selection_value" and value == row.get("macro_f1"))
        ):
            shown[label] = pattern.format(factor * value)
    for name, value in settings.items():
        shown[SYMBOLS.get(name, name)] = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("tgsr.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


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
    paper = None if record.generated else published(record.pair, record.method)
    if paper is not None:
        groups = ", with the groups of the released records," if record.grouping else ""
        parts.append(
            f"The paper reports macro-F1 {paper.macro_f1:.4f} and accuracy {100 * paper.accuracy:.2f} % for "
            f"{record.method} here (an oracle{groups} on the recorded databases)."
        )
    return " ".join(parts)


def _warnings(record: StudyRecord) -> list[str]:
    found = [GENERATED] if record.generated else []
    if record.status != "FINISHED":
        found.append(f"The study's state is {record.status}: this report shows the trials that were finished.")
    if record.n_cells is not None and len(record.table) < record.n_cells:
        found.append(f"{len(record.table):,} of the {record.n_cells:,} cells of this study's grid were tried.")
    if record.coverage:
        found.append(f"This is not the method's whole grid: {record.coverage}. What was chosen is the best of these.")
    if "converged" in record.table and len(record.table):
        stopped = int((record.table["converged"].astype(float) == 0).sum())
        if stopped:
            found.append(f"{stopped:,} trials stopped at the limit of iterations.")
    if record.best is not None and record.grouping and record.group_norms is None:
        found.append("The chosen trial's groups are not stored with these results, so that Fig. 2 is missing.")
    if record.best is not None and record.scored and record.confusion is None:
        found.append("No confusion matrix is stored with these results; `tgsr report --data DIR` adds it.")
    return found


def _top(record: StudyRecord) -> str:
    if record.best is None:
        return ""
    rows = []
    for found in rank_trials(record.table).head(10).to_dict("records"):
        row = {str(name): value for name, value in found.items()}
        settings = {name: row[name] for name in record.best.settings}
        shown = {"trial": str(int(row["trial"]))} | show_trial(row, settings)
        rows.append(shown | {name: str(int(row[key])) for key, name in _COUNTS.items() if pd.notna(row.get(key))})
    return as_table(pd.DataFrame(rows).set_index("trial"))
