"""Tables, figures and pages, made from stored results alone: the table of a study's trials, and its specification."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.reports._figures import FIGURES, ReportFigure, StudyView, study_figures
    from tgsr.reports._masks import draw_frequency, draw_mask, read_face
    from tgsr.reports._pages import render_paper, render_study, select_records
    from tgsr.reports._settings import draw_over, draw_surface, save_surface
    from tgsr.reports._table_formats import save_tables
    from tgsr.reports._tables import AVERAGE, FIXED, PaperTable, collect_results, paper_tables
    from tgsr.reports.building import log_report, log_study_page, report_studies, write_report
    from tgsr.reports.style import new_figure, save_figure, styled

__all__ = [
    "AVERAGE",
    "FIGURES",
    "FIXED",
    "PaperTable",
    "ReportFigure",
    "StudyView",
    "collect_results",
    "draw_frequency",
    "draw_mask",
    "draw_over",
    "draw_surface",
    "log_report",
    "log_study_page",
    "new_figure",
    "paper_tables",
    "read_face",
    "render_paper",
    "render_study",
    "report_studies",
    "save_figure",
    "save_surface",
    "save_tables",
    "select_records",
    "study_figures",
    "styled",
    "write_report",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
