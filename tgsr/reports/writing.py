"""Reports as folders of files: a page, its figures for a paper, its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from tgsr.files import write_text
from tgsr.reports.figures import study_figures
from tgsr.reports.pages import render_study
from tgsr.reports.paper_page import render_paper
from tgsr.reports.records import StudyRecord
from tgsr.reports.style import save_figure
from tgsr.reports.table_formats import save_tables
from tgsr.reports.tables import collect_results, paper_tables

__all__ = ["PAGE_NAME", "write_paper_report", "write_study_report"]

PAGE_NAME = "report.html"


def write_study_report(
    record: StudyRecord, folder: Path, frame: npt.NDArray[Any] | None = None, *, kinds: Sequence[str] = ("png", "pdf")
) -> Path:
    """Write a study's page, and its figures beside it in ``figures/``.

    Parameters
    ----------
    record : StudyRecord
    folder : Path
        Made if missing.
    frame : array, optional
        A cropped face to draw the regions on.
    kinds : sequence of str
        Files of each figure: ``png``, ``pdf``, ``svg``.

    Returns
    -------
    Path
        The page.
    """
    figures = list(study_figures(record, frame))
    for figure in figures:
        for kind in kinds:
            save_figure(figure.figure, folder / "figures" / f"{figure.name}.{kind}", dpi=300)
    return _write(folder / PAGE_NAME, render_study(record, figures))


def write_paper_report(
    records: Sequence[StudyRecord],
    comparison: pd.DataFrame | None,
    folder: Path,
    frame: npt.NDArray[Any] | None = None,
    warnings: Sequence[str] = (),
) -> Path:
    """Write the page of all studies, and Tables I and II beside it in ``tables/``; returns the page."""
    save_tables(paper_tables(collect_results(records, comparison)), folder / "tables")
    return _write(folder / PAGE_NAME, render_paper(records, comparison, warnings, frame=frame))


def _write(path: Path, page: str) -> Path:
    write_text(path, page)
    return path
