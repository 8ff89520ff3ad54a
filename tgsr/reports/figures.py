"""The figures of one study, each drawn once, with the caption that a page prints under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.reports.classes import class_scores, draw_class_scores, draw_confusions
from tgsr.reports.curves import draw_over_kappa, draw_over_xi
from tgsr.reports.masks import draw_mask
from tgsr.reports.records import StudyRecord
from tgsr.reports.sampled import draw_history, draw_importances, parameter_importances
from tgsr.reports.style import as_data_uri
from tgsr.reports.surface import draw_surface, is_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CLASSES", "CURVES", "REGIONS", "SAMPLING", "SURFACE", "ReportFigure", "study_figures"]

REGIONS, CURVES, SURFACE, CLASSES, SAMPLING = (
    "What is kept",
    "Scores over κ and ξ",
    "Score surface",
    "Classes",
    "How the study went",
)
"""The sections of a report that have figures."""


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure with its words.

    Attributes
    ----------
    name : str
        For files and links, such as ``"fig-3-over-kappa"``.
    section, title, caption : str
    figure : Figure
    surface : str
        Key of the interactive surface that belongs to it, empty if none does.
    solid : bool
        Whether that can be drawn as a surface.
    narrow : bool
        Whether two fit beside each other.
    of : str
        What it belongs to, in a page of several studies.
    dpi : int
        Resolution on a page.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: Figure
    surface: str = ""
    solid: bool = False
    narrow: bool = False
    of: str = ""
    dpi: int = 190

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
        return as_data_uri(self.figure, "png", self.dpi)


def study_figures(record: StudyRecord, frame: npt.NDArray[Any] | None = None) -> Iterator[ReportFigure]:
    """Draw what the stored results of a study allow.

    Parameters
    ----------
    record : StudyRecord
    frame : array, optional
        A cropped face to draw the regions on.
    """
    best = record.best
    if best is None:
        return
    who = "the oracle's choice" if record.oracle else f"chosen by {record.selection}"
    if record.group_norms is not None:
        yield _mask_figure(record, frame)
    if {"macro_f1", "accuracy"} <= set(record.table):
        shown = record.shortfall or f"all {len(record.table):,} {'trials' if record.n_cells is None else 'cells'}"
        rest = (
            "Orange: median and quartiles over the rest of the grid, what there is to choose from; blue: the cut"
            if is_grid(record.table)
            else "Grey, or orange with quartiles: all other trials; blue: those"
        )
        caption = f"{rest} through the cell that was chosen ({who}); {shown}."
        names = (("fig-3-over-kappa", "Fig. 3, scores over κ"), ("fig-4-over-xi", "Fig. 4, scores over ξ"))
        for (name, title), draw in zip(names, (draw_over_kappa, draw_over_xi), strict=True):
            yield ReportFigure(name, CURVES, title, caption, draw(record.table, best, record.label))
        yield ReportFigure(
            "surface",
            SURFACE,
            "Scores of all trials" if record.n_cells is None else "Scores over the grid",
            f"Scores on the target of {shown}, ○: {who}.",
            draw_surface(record.table, record.label, best, who),
            surface=record.title,
            solid=is_grid(record.table),
        )
    yield from _class_figures(record)
    if record.sampler != "grid" and "trial" in record.table and len(record.table) > 1:
        yield from _sampling_figures(record)


def _mask_figure(record: StudyRecord, frame: npt.NDArray[Any] | None) -> ReportFigure:
    norms = record.group_norms
    assert norms is not None
    kept = int(np.count_nonzero(norms))
    caption = f"{kept} of {len(norms)} groups are kept. Colour: Frobenius norm of a region's coefficients Cᵢ."
    if record.grouping != "region":
        caption = (
            f"{kept} of {len(norms)} groups are kept. These groups, 177 consecutive entries of the released layout, "
            "are not facial regions: each covers three (block, plane) histograms. Shown is every histogram that a kept "
            "group covers, in the colour of that group's norm."
        )
    best = record.best
    where = "" if best is None else f": κ = {int(best['kappa'])}, ξ = {best['xi']:.4g}"
    figure = draw_mask(norms, record.grouping, frame, f"{record.label}{where}")
    return ReportFigure("fig-2-regions", REGIONS, "Fig. 2, what the chosen trial keeps", caption, figure)


def _class_figures(record: StudyRecord) -> Iterator[ReportFigure]:
    if record.confusion is not None:
        figure = draw_confusions([(record.label, record.confusion)])
        caption = "Rows are true classes, columns predicted ones: counts, and shares of the true class."
        yield ReportFigure("confusion", CLASSES, "Confusion on the target", caption, figure, narrow=True)
    best = record.best
    scores = None if best is None else class_scores(best)
    if scores is not None and len(scores):
        caption = "Of the chosen trial, on the target."
        figure = draw_class_scores(scores, record.label)
        yield ReportFigure("class-scores", CLASSES, "Recall and precision of each class", caption, figure, narrow=True)


def _sampling_figures(record: StudyRecord) -> Iterator[ReportFigure]:
    label = "selection value" if record.value == "selection_value" else "macro-F1 on the target"
    figure = draw_history(record.table, record.value, f"{label} ({record.selection})", record.label, record.best)
    yield ReportFigure("history", SAMPLING, "History", "Every trial in its order, and the best so far.", figure)
    importances = parameter_importances(record.table, record.value)
    if importances:
        caption = "How much of the differences between trials each parameter explains (Optuna's estimate, PED-ANOVA)."
        figure = draw_importances(importances, record.label)
        yield ReportFigure("importances", SAMPLING, "Importance of the parameters", caption, figure)
