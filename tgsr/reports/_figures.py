"""The figures of one study, each a function in one list, with the caption that a page prints under it.

A figure of one's own is a function that takes a `StudyView` and yields `ReportFigure`, and a line: it is added to
`FIGURES`, or a package offers it by an entry point of the group ``tgsr.figures``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.evaluation.choice import ORACLE, PARAM, Choice
from tgsr.evaluation.metrics import score
from tgsr.evaluation.remarks import show_settings, symbol
from tgsr.plugins import available, resolve
from tgsr.reports._classes import class_scores, draw_bars, draw_confusion, predicted_counts
from tgsr.reports._columns import named, numeric
from tgsr.reports._masks import draw_frequency, draw_mask, has_place
from tgsr.reports._settings import draw_history, draw_over, draw_surface, parameter_importances, surface_part
from tgsr.reports.style import as_data_uri
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord
from tgsr.trials.trial import decode_predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CLASSES", "CURVES", "FIGURES", "REGIONS", "SURFACE", "ReportFigure", "StudyView", "study_figures"]

REGIONS, CURVES, SURFACE, CLASSES = "What is kept", "Scores over the settings", "Score surface", "Classes"
"""Sections of a page; a figure may have another one."""
_SAMPLING = "How the study went"
_PAPERS = {"kappa": ("fig-3-", "Fig. 3, scores"), "xi": ("fig-4-", "Fig. 4, scores")}
"""The paper's figures over a setting: how their files and titles begin."""


def can_choose(record: StudyRecord, by: str) -> bool:
    """Whether trials of a study have values of a rule, or for ``"oracle"`` scores."""
    return by in record.rules or (by == ORACLE and record.is_scored)


@dataclass(frozen=True, eq=False)
class StudyView:
    """A study as it is looked at: by a choice."""

    record: StudyRecord
    by: str
    """The rule, or ``"oracle"``."""
    choice: Choice | None
    """None while there is no trial with a value."""
    frame: npt.NDArray[Any] | None = None
    """A cropped face to draw regions on."""

    @classmethod
    def of(cls, record: StudyRecord, by: str | None = None, frame: npt.NDArray[Any] | None = None) -> StudyView:
        """Look at a study by a choice, by default its own; ParameterError if no trial has a value of one asked for."""
        chooser = by or record.default_choice
        choice = record.choose(chooser) if len(record.table) and (by or can_choose(record, chooser)) else None
        return cls(record, chooser, choice, frame)

    @property
    def is_oracle(self) -> bool:
        """Whether target labels chose."""
        return self.by == ORACLE

    @property
    def who(self) -> str:
        """Whose choice it is, for people."""
        return "the oracle's choice (target labels)" if self.is_oracle else f"the choice of {self.by}"

    @property
    def heading(self) -> str:
        """What figures are headed with: pair and method; the study's name belongs into the caption."""
        record = self.record
        return f"{record.pair}, {record.spec.variant}{', generated data' * record.is_generated}"

    @cached_property
    def consensus(self) -> dict[str, Any]:
        """What the study's run says of the average of its best trials; empty if there is none."""
        return dict(json.loads(self.record.artifact(CONSENSUS) or b"{}"))

    def figure(self, name: str, section: str, title: str, caption: str, figure: Figure, **more: Any) -> ReportFigure:
        """A figure whose caption names the study."""
        return ReportFigure(name, section, title, f"{caption} Study {self.record.spec.title}.", figure, **more)


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure with its words."""

    name: str
    """For files and links, such as ``"fig-3-over-kappa"``."""
    section: str
    title: str
    caption: str
    figure: Figure
    surface: tuple[pd.DataFrame, tuple[str, str], str] | None = None
    """Trials, settings (y, x) and choice of what a page shows interactively, too."""
    narrow: bool = False
    """Whether two fit beside each other."""
    of: str = ""
    """What it belongs to, on a page of several studies."""
    dpi: int = 190
    """On a page."""

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


def study_figures(
    record: StudyRecord, by: str | None = None, frame: npt.NDArray[Any] | None = None
) -> Iterator[ReportFigure]:
    """Draw what the stored results of a study of any method allow.

    Shown is what a rule (or ``"oracle"``) chooses, by default the study's own. ``frame``, (height, width) or (height,
    width, 3), is a cropped face to draw regions on.
    """
    view = StudyView.of(record, by, frame)
    if view.choice is not None:
        offered = (resolve("figure", name, {})[1] for name in available("figure", {}))
        for draw in (*FIGURES, *offered):
            yield from draw(view)


def draw_kept(view: StudyView) -> Iterator[ReportFigure]:
    """What the chosen trial keeps: the paper's Fig. 2."""
    if view.choice is None or (norms := view.record.group_norms(view.choice.row["run_id"])) is None:
        return
    caption = (
        f"{np.count_nonzero(norms)} of {len(norms)} groups are kept by {view.who}, "
        f"{show_settings(view.choice.settings) or 'without settings'}. Colour: Frobenius norm of a group's "
        f"coefficients Cᵢ. {_about_groups(view, len(norms))}"
    )
    figure = draw_mask(norms, view.record.spec.grouping, view.frame, view.heading)
    yield view.figure("fig-2-regions", REGIONS, "Fig. 2, what the chosen trial keeps", caption, figure)


def draw_consensus(view: StudyView) -> Iterator[ReportFigure]:
    """How often the trials that a consensus averages keep each group."""
    if not view.consensus:
        return
    shares = np.array(view.consensus["frequency"], dtype=np.float64)
    caption = (
        f"The best {len(view.consensus['trials'])} trials by {view.consensus['by']} are averaged into one model: "
        f"{np.count_nonzero(shares)} of {len(shares)} groups are kept by some of them, {np.count_nonzero(shares == 1)} "
        f"by all. Colour: share of these trials that keep a group. {_about_groups(view, len(shares))}"
    )
    figure = draw_frequency(shares, view.record.spec.grouping, view.frame, f"{view.heading}, consensus")
    yield view.figure("consensus-regions", REGIONS, "Consensus, how often each group is kept", caption, figure)


def draw_curves(view: StudyView) -> Iterator[ReportFigure]:
    """The scores over each setting that is a number: the paper's Fig. 3 and 4."""
    for name in numeric(view.record.table):
        file, number = _PAPERS.get(name, ("", "Scores"))
        caption = f"Red: {view.who}; the rest is what there is to choose from, {_shown(view)}."
        figure = draw_over(view.record.table, view.by, name, view.heading)
        yield view.figure(f"{file}over-{name}", CURVES, f"{number} over {symbol(name)}", caption, figure)


def draw_surfaces(view: StudyView) -> Iterator[ReportFigure]:
    """Macro-F1 over two settings, beside what chose."""
    table = view.record.table
    if view.choice is None or len(numeric(table)) != 2:
        return
    part, over = surface_part(table, view.choice.row)
    if part[[PARAM + name for name in over]].nunique().min() > 1:
        fixed = show_settings({name: view.choice.settings[name] for name in named(table)})
        title = f"Scores over {symbol(over[0])} and {symbol(over[1])}"
        caption = f"○: {view.who}; {_shown(view)}{f' with {fixed}' if fixed else ''}."
        figure = draw_surface(table, view.by, view.heading)
        yield view.figure("surface", SURFACE, title, caption, figure, surface=(part, over, view.by))


def draw_classes(view: StudyView) -> Iterator[ReportFigure]:
    """Confusion, and recall and precision of each class; of a target without labels what is predicted."""
    if view.choice is None or not isinstance(predictions := view.choice.row["predictions"], str):
        return  # of too many samples they are not kept
    (names, labels), of = view.record.classes, f"Of {view.who}, on the target."
    if labels is None:
        figure = draw_bars(predicted_counts(predictions, names), "predicted samples", view.heading)
        caption = f"The target has no labels: how many of its samples are predicted to be of each class. {of}"
        yield view.figure("predictions", CLASSES, "Predicted classes", caption, figure, narrow=True)
        return
    scores = score(labels, decode_predictions(predictions), len(names))
    figure = draw_confusion(scores.confusion, names, view.heading)
    caption = f"Rows are true classes, columns predicted ones: counts, and shares of the true class. {of}"
    yield view.figure("confusion", CLASSES, "Confusion on the target", caption, figure, narrow=True)
    figure = draw_bars(class_scores(scores, names), "recall, precision (%)", view.heading)
    yield view.figure("class-scores", CLASSES, "Recall and precision of each class", of, figure, narrow=True)


def draw_sampling(view: StudyView) -> Iterator[ReportFigure]:
    """Of a sampled study its history, and how much each setting matters."""
    spec, table = view.record.spec, view.record.table
    if not spec.is_sampled or len(table) < 2:
        return
    figure = draw_history(table, view.by, view.heading)
    yield view.figure("history", _SAMPLING, "History", "Every trial in its order, and the best so far.", figure)
    if shares := parameter_importances(spec, table, view.by):
        caption = "How much of the differences between trials each setting explains (Optuna's estimate, PED-ANOVA)."
        bars = pd.DataFrame({"share": {symbol(name): 100 * share for name, share in shares.items()}})
        figure = draw_bars(bars, "importance, share (%)", view.heading)
        yield view.figure("importances", _SAMPLING, "Importance of the settings", caption, figure, narrow=True)


FIGURES: list[Callable[[StudyView], Iterable[ReportFigure]]] = [
    draw_kept,
    draw_consensus,
    draw_curves,
    draw_surfaces,
    draw_classes,
    draw_sampling,
]
"""The figures of a study's page, in their order."""


def _about_groups(view: StudyView, n_groups: int) -> str:
    """What groups of features are, where they are not facial regions, and whose face is drawn."""
    grouping = view.record.spec.grouping
    if not has_place(grouping, n_groups):
        return "The groups are the feature file's own: they have no known place on a face."
    face = "The face is schematic." if view.frame is None else ""
    if grouping == "region":
        return f"Groups are facial regions. {face}"
    return (
        "These groups, 177 consecutive entries of the released layout, are not facial regions: each covers three "
        f"(block, plane) histograms. Shown is every histogram that a kept group covers. {face}"
    )


def _shown(view: StudyView) -> str:
    n_trials = f"{len(view.record.table):,}"
    return view.record.coverage or f"all {n_trials} {'trials' if view.record.spec.is_sampled else 'cells'}"
