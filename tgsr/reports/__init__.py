"""Tables, figures and pages, made from stored results alone: the table of a study's trials, and its specification."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tgsr.reports._figures import FIGURES, ReportFigure, StudyView, study_figures
    from tgsr.reports._masks import draw_frequency, draw_mask, draw_overlay, histogram_norms, read_face
    from tgsr.reports._pages import render_paper, render_study, select_records
    from tgsr.reports._settings import draw_over, draw_scores, draw_surface
    from tgsr.reports._style import new_figure, save_figure, styled
    from tgsr.reports._table_formats import save_tables
    from tgsr.reports._tables import PaperTable, collect_results, paper_tables
    from tgsr.reports.building import log_report, log_study_page, write_paper, write_report

__all__ = [
    "FIGURES",
    "PaperTable",
    "ReportFigure",
    "StudyView",
    "collect_results",
    "draw_frequency",
    "draw_mask",
    "draw_over",
    "draw_overlay",
    "draw_scores",
    "draw_surface",
    "histogram_norms",
    "log_report",
    "log_study_page",
    "new_figure",
    "paper_tables",
    "read_face",
    "render_paper",
    "render_study",
    "save_figure",
    "save_tables",
    "select_records",
    "study_figures",
    "styled",
    "write_paper",
    "write_report",
]

_MODULES = {
    "_figures": "FIGURES ReportFigure StudyView study_figures",
    "_masks": "draw_frequency draw_mask draw_overlay histogram_norms read_face",
    "_pages": "render_paper render_study select_records",
    "_settings": "draw_over draw_scores draw_surface",
    "_style": "new_figure save_figure styled",
    "_table_formats": "save_tables",
    "_tables": "PaperTable collect_results paper_tables",
    "building": "log_report log_study_page write_paper write_report",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
