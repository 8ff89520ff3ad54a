"""Tables, figures and pages, made from stored results alone: the table of a study's trials, and its specification."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.reports._figures import FIGURES, ReportFigure, StudyView, study_figures
    from tgsr.reports._masks import draw_frequency, draw_mask, read_face
    from tgsr.reports._pages import render_study
    from tgsr.reports._settings import draw_over, draw_surface, save_surface
    from tgsr.reports._tables import AVERAGE, FIXED, collect_results
    from tgsr.reports.building import report_studies
    from tgsr.reports.style import new_figure, save_figure

__all__ = [
    "AVERAGE",
    "FIGURES",
    "FIXED",
    "ReportFigure",
    "StudyView",
    "collect_results",
    "draw_frequency",
    "draw_mask",
    "draw_over",
    "draw_surface",
    "new_figure",
    "read_face",
    "render_study",
    "report_studies",
    "save_figure",
    "save_surface",
    "study_figures",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
