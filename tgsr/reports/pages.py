"""The report of one study as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr import __version__
from tgsr.errors import ProtocolError
from tgsr.evaluation.paper import PublishedResult, published_result
from tgsr.protocols import get_experiment
from tgsr.reports.explorer import packed_plotly, packed_surfaces
from tgsr.reports.figures import CLASSES, CURVES, REGIONS, SAMPLING, SURFACE, ReportFigure, study_figures
from tgsr.reports.records import StudyRecord

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["GENERATED", "published_tgsr", "render", "render_study", "show_scores"]

GENERATED = (
    "Generated data: clips drawn by “tgsr demo-data”, no recorded person. These scores say nothing about "
    "micro-expressions, and the paper's numbers do not apply."
)
_COUNTS = {
    "n_selected": "groups left",
    "regions_kept": "groups left",
    "n_iter": "iterations",
    "iterations": "iterations",
}
"""Columns of a grid's and of a study's table, and what they are called."""
_SECTIONS = (REGIONS, CURVES, SURFACE, CLASSES, SAMPLING)


def render_study(
    record: StudyRecord,
    figures: Sequence[ReportFigure] | None = None,
    frame: npt.NDArray[Any] | None = None,
) -> str:
    """Write the report of one study.

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
    sections = {name: [figure for figure in figures if figure.section == name] for name in _SECTIONS}
    best = record.best
    return render(
        "study.html",
        {figure.surface: record.table for figure in figures if figure.surface},
        title=f"Study {record.label}",
        record=record,
        best=best,
        n_trials=f"{len(record.table):,}",
        warnings=_warnings(record),
        selection_text=_selection_text(record),
        headline={} if best is None else show_scores(best, record.value),
        standing="" if best is None else _standing(record, best),
        sections=sections,
        top=_top(record),
        value_label="macro-F1 on the target" if record.oracle else f"the value of “{record.selection}”",
        run_facts={"experiment": record.experiment, "groups": record.grouping, "selection": record.selection}
        | record.facts,
    )


def render(template: str, tables: Mapping[str, pd.DataFrame], **context: Any) -> str:
    """Fill a template; ``tables`` are the trials whose surfaces the page shows interactively, by name."""
    packed = {"surfaces": packed_surfaces(tables), "plotly": packed_plotly()} if tables else {"surfaces": ""}
    return _environment().get_template(template).render(version=__version__, **packed, **context)


def published_tgsr(record: StudyRecord) -> PublishedResult | None:
    """The paper's result of TGSR in a study's experiment; None if it is none of the twelve, or data are generated."""
    if record.generated:
        return None
    try:
        return published_result(get_experiment(record.experiment), "TGSR")
    except ProtocolError:
        return None


def show_scores(row: pd.Series, value: str = "macro_f1") -> dict[str, str]:
    """A trial's scores and cell, as people read them."""
    shown = {
        "macro-F1": f"{row['macro_f1']:.4f}",
        "accuracy": f"{100 * row['accuracy']:.2f} %",
        "κ": str(int(row["kappa"])),
        "ξ": f"{row['xi']:.4g}",
    }
    if value in row and row[value] != row["macro_f1"]:
        shown["selection value"] = f"{row[value]:.4f}"
    return shown


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("tgsr.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _selection_text(record: StudyRecord) -> str:
    from tgsr.evaluation.selection import RULES

    rule = RULES.get(record.selection)
    said = f"Selection “{record.selection}”" + (f": {rule.description}." if rule else ".")
    if record.oracle:
        return f"{said} The best trial is no estimate of what the method achieves in use."
    return f"{said} Scores on the target are shown for information; they chose nothing."


def _standing(record: StudyRecord, best: pd.Series) -> str:
    """Where the chosen trial stands among all, and against the paper's number."""
    scores = record.table["macro_f1"].to_numpy(dtype=np.float64)
    scores = scores[np.isfinite(scores)]
    parts = []
    if len(scores) > 1:
        below = 100 * float((scores < best["macro_f1"]).mean())
        parts.append(
            f"All {len(scores):,} trials on the target: median macro-F1 {np.median(scores):.4f}, quartiles "
            f"{np.quantile(scores, 0.25):.4f} and {np.quantile(scores, 0.75):.4f}, best {scores.max():.4f}; "
            f"the chosen one is above {below:.1f} % of them."
        )
    published = published_tgsr(record)
    if published is not None:
        parts.append(
            f"The paper reports macro-F1 {published.macro_f1:.4f} and accuracy {100 * published.accuracy:.2f} % for "
            "TGSR here (an oracle, with the groups of the released records, on the recorded databases)."
        )
    return " ".join(parts)


def _warnings(record: StudyRecord) -> list[str]:
    found = [GENERATED] if record.generated else []
    if record.status != "FINISHED":
        found.append(f"The study's state is {record.status}: this report shows the trials that were finished.")
    if record.shortfall:
        found.append(f"The study is not whole: {record.shortfall}. What was chosen is the best of these only.")
    if "converged" in record.table and len(record.table):
        reached = record.table["converged"].map(lambda value: str(value).lower() in ("true", "1", "1.0"))
        if not reached.all():
            found.append(f"{int((~reached).sum())} trials stopped at the limit of iterations.")
    if record.best is not None and record.group_norms is None:
        found.append("The chosen trial's regions are not stored with these results, so that Fig. 2 is missing.")
    if record.best is not None and record.confusion is None:
        found.append("No confusion matrix is stored with these results; `tgsr report --data DIR` adds it.")
    return found


def _top(record: StudyRecord) -> list[dict[str, str]]:
    table = record.table
    if table.empty:
        return []
    ranked = table.sort_values([record.value, "kappa", "xi"], ascending=[False, True, True]).head(10)
    rows = []
    for _, row in ranked.iterrows():
        shown = {"trial": str(int(row["trial"]))} if "trial" in table else {}
        shown |= show_scores(row, record.value)
        for column, name in _COUNTS.items():
            if column in table and np.isfinite(row[column]):
                shown[name] = str(int(row[column]))
        rows.append(shown)
    return rows
