"""The figures of one study, each drawn once, with the caption that a page prints under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.choice import Best
from tgsr.evaluation.remarks import show_settings, symbol
from tgsr.protocols import N_REGIONS
from tgsr.reports._classes import class_scores, draw_bars, draw_confusions, predicted_counts
from tgsr.reports._masks import draw_mask
from tgsr.reports._records import StudyRecord
from tgsr.reports._sampled import draw_history, parameter_importances
from tgsr.reports._settings import choices, draw_over, draw_surface, is_grid, numbers, scores_of, surface_part
from tgsr.reports._style import as_data_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CLASSES", "CURVES", "REGIONS", "SAMPLING", "SURFACE", "ReportFigure", "choice_tables", "study_figures"]

REGIONS, CURVES, SURFACE, CLASSES, SAMPLING = (
    "What is kept",
    "Scores over the settings",
    "Score surface",
    "Classes",
    "How the study went",
)
"""The sections of a report that have figures."""
_PAPERS = {"kappa": ("fig-3-", "Fig. 3, scores"), "xi": ("fig-4-", "Fig. 4, scores")}
"""The paper's figures over a setting: how their files and titles begin."""


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure with its words."""

    name: str  # for files and links, such as "fig-3-over-kappa"
    section: str
    title: str
    caption: str
    figure: Figure
    surface: tuple[pd.DataFrame, tuple[str, str]] | None = None  # trials and settings (y, x), shown interactively
    narrow: bool = False  # two fit beside each other
    of: str = ""  # what it belongs to, in a page of several studies
    dpi: int = 190  # on a page

    @property
    def anchor(self) -> str:
        """A link's target, unique in a page of several studies."""
        return f"{self.name}-{self.of}" if self.of else self.name

    @property
    def width(self) -> int:
        """Width on a page in CSS pixels: letters are of one size in all figures."""
        return round(138 * float(self.figure.get_size_inches()[0]))

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` address."""
        return as_data_uri(self.figure, self.dpi)


def study_figures(record: StudyRecord, frame: npt.NDArray[Any] | None = None) -> Iterator[ReportFigure]:
    """Draw what the stored results of a study of any method allow; ``frame`` is a cropped face to draw regions on."""
    best = record.best
    if best is None:
        return
    if record.group_norms is not None:
        yield _groups_figure(record, best, frame)
    yield from _setting_figures(record, best)
    yield from _class_figures(record, best)
    if record.sampler != "grid" and len(record.table) > 1:
        yield from _sampling_figures(record, best)


def choice_tables(record: StudyRecord) -> dict[str, pd.DataFrame]:
    """What the values of settings that are no numbers give: setting → trials, best and quartiles by value."""
    (metric, *_), tables = scores_of(record.table), {}
    for name in choices(record.table):
        values = record.table[name].map(lambda value: "none" if pd.isna(value) else str(value), na_action=None)
        summary = record.table[metric].groupby(values, sort=False).describe()[["count", "max", "25%", "50%", "75%"]]
        summary.columns = pd.Index(["trials", "best", "lower quartile", "median", "upper quartile"])
        tables[name] = summary.astype({"trials": int})
    return tables


def _groups_figure(record: StudyRecord, best: Best, frame: npt.NDArray[Any] | None) -> ReportFigure:
    norms = record.group_norms
    assert norms is not None
    words = "Colour: Frobenius norm of a region's coefficients Cᵢ."
    if record.grouping == "released":
        words = (
            "These groups, 177 consecutive entries of the released layout, are not facial regions: each covers "
            "three (block, plane) histograms. Shown is every histogram that a kept group covers, in the colour of that "
            "group's norm."
        )
    elif record.grouping != "region" or len(norms) != N_REGIONS:
        words = "They are the feature file's own: they have no known place on a face."
    face = " The face is generated." if frame is None and record.grouping in ("region", "released") else ""
    settings = f" {show_settings(best.settings)}." if best.settings else ""
    caption = f"{np.count_nonzero(norms)} of {len(norms)} groups are kept. {words}{face}{settings}"
    figure = draw_mask(norms, record.grouping, frame, record.heading)
    return _figure(record, "fig-2-regions", REGIONS, "Fig. 2, what the chosen trial keeps", caption, figure)


def _setting_figures(record: StudyRecord, best: Best) -> Iterator[ReportFigure]:
    """A curve over each setting that is a number; a surface over two of them."""
    over = numbers(record.table)
    part = surface_part(record.table, best.row)
    connected = len(over) < 2 or is_grid(part, (over[0], over[1]))
    shown = record.coverage or f"all {len(record.table):,} cells"
    who = "the oracle's choice" if record.oracle else f"the choice of {record.selection}"
    rest = "Orange: median and quartiles over all other values, what there is to choose from; red"
    caption = f"{rest if connected and len(over) > 1 else 'Red'}: {who}; {shown}."
    for name in over:
        file, number = _PAPERS.get(name, ("", "Scores"))
        figure = draw_over(record.table, best.row, name, record.heading, connected=connected)
        yield _figure(record, f"{file}over-{name}", CURVES, f"{number} over {symbol(name)}", caption, figure)
    if len(over) == 2 and part[over].nunique().min() > 1:
        pair = (over[0], over[1])
        fixed = show_settings({name: best.row[name] for name in choices(record.table)})
        what = "Scores on the target" if record.scored else "The rule's value"
        caption = f"{what} of {shown}{f' with {fixed}' if fixed else ''}; ○: {who}."
        title = f"Scores over {symbol(pair[0])} and {symbol(pair[1])}"
        figure = draw_surface(part, best.row, pair, record.heading)
        yield _figure(record, "surface", SURFACE, title, caption, figure, surface=(part, pair))


def _class_figures(record: StudyRecord, best: Best) -> Iterator[ReportFigure]:
    of = "Of the chosen trial, on the target."
    scores, predictions = class_scores(best.row), best.row.get("predictions")
    if record.confusion is not None:
        figure = draw_confusions([(record.heading, record.confusion, record.class_names)])
        caption = f"Rows are true classes, columns predicted ones: counts, and shares of the true class. {of}"
        yield _figure(record, "confusion", CLASSES, "Confusion on the target", caption, figure, narrow=True)
    if record.scored and len(scores):
        known = [name for name in record.class_names if name in scores.index]
        figure = draw_bars(scores.loc[known or scores.index], "recall, precision (%)", record.heading)
        yield _figure(record, "class-scores", CLASSES, "Recall and precision of each class", of, figure, narrow=True)
    if not record.scored and isinstance(predictions, str):
        figure = draw_bars(predicted_counts(predictions, record.class_names), "predicted samples", record.heading)
        caption = f"The target has no labels: how many of its samples are predicted to be of each class. {of}"
        yield _figure(record, "predictions", CLASSES, "Predicted classes", caption, figure, narrow=True)


def _sampling_figures(record: StudyRecord, best: Best) -> Iterator[ReportFigure]:
    label = "macro-F1 on the target" if record.oracle else f"value of {record.selection}"
    figure = draw_history(record.table, best.row, label, record.heading)
    yield _figure(record, "history", SAMPLING, "History", "Every trial in its order, and the best so far.", figure)
    shares = parameter_importances(record.table)
    if shares:
        caption = "How much of the differences between trials each setting explains (Optuna's estimate, PED-ANOVA)."
        bars = pd.DataFrame({"share": {symbol(name): 100 * share for name, share in shares.items()}})
        figure = draw_bars(bars, "importance, share (%)", record.heading)
        yield _figure(record, "importances", SAMPLING, "Importance of the settings", caption, figure, narrow=True)


def _figure(
    record: StudyRecord, name: str, section: str, title: str, caption: str, figure: Figure, **more: Any
) -> ReportFigure:
    return ReportFigure(name, section, title, f"{caption} Study {record.title}.", figure, **more)
