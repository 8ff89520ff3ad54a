"""Where pages go: into a folder, and onto the runs in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from tgsr.errors import ParameterError, TgsrError, TrackingError
from tgsr.files import write_text
from tgsr.reports._figures import study_figures
from tgsr.reports._pages import render_paper, render_study, select_records
from tgsr.reports._style import save_figure
from tgsr.reports._table_formats import save_tables
from tgsr.reports._tables import collect_results, paper_tables
from tgsr.tracking.names import PAGE
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.runs import command_run
from tgsr.tracking.storage_errors import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.tracking.config import TrackingConfig

__all__ = ["log_report", "log_study_page", "write_paper", "write_report"]

_log = logging.getLogger(__name__)
_TABLES = "tables"


def log_study_page(record: StudyRecord) -> None:
    """Put a study's page onto its run; what prevents it is said and stops nothing."""
    try:
        record.client.log_text(record.run_id, render_study(record), PAGE)
    except Exception as error:  # whatever it is: the study itself is finished and stored
        _log.warning("no page was made: %s; `tgsr report --run %s` tries again", error, record.run_id)


def write_report(
    records: Sequence[StudyRecord],
    folder: Path,
    *,
    by: str | None = None,
    frame: npt.NDArray[Any] | None = None,
    pages: Sequence[StudyRecord] | None = None,
) -> Path:
    """Write a page for each study with its figures beside it, and the page and tables of all.

    Parameters
    ----------
    records : sequence of StudyRecord
        All that the tables are made of, the newest first.
    folder : Path
        It gets ``report.html`` and ``tables/``, and for each study ``<study>/report.html`` and ``<study>/figures/``.
    by : str, optional
        The rule (or ``"oracle"``) whose choice the studies' pages show; by default each study's own.
    frame : array of shape (height, width) or (height, width, 3), optional
        A cropped face to draw the regions on.
    pages : sequence of StudyRecord, optional
        The studies that get a page; by default one for each pair, method with its variant, and sampler.

    Returns
    -------
    Path
        The page of all.

    Raises
    ------
    ParameterError
        If the folder cannot be written, or no trial has a value of the rule that is asked for.
    """
    for record in select_records(records) if pages is None else pages:
        own, figures = folder / _slug(record), list(study_figures(record, by, frame))
        with _writing(folder):
            for figure in figures:
                for kind in ("png", "pdf"):
                    save_figure(figure.figure, own / "figures" / f"{figure.name}.{kind}", dpi=300)
            write_text(own / PAGE, render_study(record, by, figures))
        _log.info("%s: %s", record.label, own / PAGE)
    return write_paper(records, folder, frame)


def write_paper(records: Sequence[StudyRecord], folder: Path, frame: npt.NDArray[Any] | None = None) -> Path:
    """Write the page of all studies, and Tables I and II in ``tables/``; see `write_report`."""
    with _writing(folder):
        save_tables(paper_tables(collect_results(records)), folder / _TABLES)
        write_text(folder / PAGE, render_paper(records, frame))
    return folder / PAGE


def log_report(client: MlflowClient, config: TrackingConfig, records: Sequence[StudyRecord], folder: Path) -> str:
    """Put what `write_report` has written onto the studies' runs, and the whole onto a run of its own.

    Returns
    -------
    str
        The run that carries the whole: of the same pairs it is the same one every time.

    Raises
    ------
    TrackingError
        If MLflow cannot store the pages; they are in the folder.
    """
    pairs = " ".join(sorted({record.pair for record in records}))
    try:
        for record in records:
            if (folder / _slug(record)).is_dir():
                client.log_artifacts(record.run_id, str(folder / _slug(record)))
        with command_run(
            client,
            config,
            "report",
            f"report {pairs}",
            name=f"report {pairs}"[:250],
            description="The paper's tables and figures beside ours: open the artifact `report.html`; `tables/` has "
            "Tables I and II as HTML, Markdown, LaTeX and CSV.\n\n**Oracle** marks what target labels chose.",
        ) as run_id:
            client.log_artifact(run_id, str(folder / PAGE))
            client.log_artifacts(run_id, str(folder / _TABLES), _TABLES)
    except TgsrError:
        raise
    except Exception as error:  # each artifact store raises its own
        raise TrackingError(
            f"{masked(client.tracking_uri)}: the report cannot be stored ({masked(str(error))}); it is in {folder}, "
            "and --no-log leaves MLflow alone"
        ) from error
    return run_id


def _slug(record: StudyRecord) -> str:
    """A study's name as a folder's."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in record.spec.name)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParameterError(f"{folder}: cannot be written ({error}); choose another folder with --out") from error
