"""Where pages go: into a folder, and onto the runs in MLflow."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from tgsr.errors import MissingDataError, ParameterError, TgsrError
from tgsr.files import write_text
from tgsr.reports._figures import can_choose, study_figures
from tgsr.reports._pages import render_paper, render_study, select_records
from tgsr.reports._table_formats import save_tables
from tgsr.reports._tables import collect_results, paper_tables
from tgsr.reports.style import save_figure
from tgsr.tracking.client import open_client
from tgsr.tracking.names import PAGE
from tgsr.tracking.records import StudyRecord, list_studies, read_study
from tgsr.tracking.runs import command_run
from tgsr.tracking.storage_errors import storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.tracking.config import TrackingConfig

__all__ = ["log_report", "log_study_page", "report_studies", "write_report"]

_log = logging.getLogger(__name__)
_ABOUT = """The paper's tables and figures beside ours: open `report.html`; `tables/` has Tables I and II as HTML,
Markdown, LaTeX and CSV.

**Oracle** marks what target labels chose."""


def log_study_page(record: StudyRecord) -> None:
    """Put a study's page onto its run; what prevents it is said and stops nothing."""
    try:
        record.client.log_text(record.run_id, render_study(record), PAGE)
    except Exception as error:  # whatever it is: the study itself is finished and stored
        _log.warning("no page was made: %s; `tgsr report --run %s` tries again", error, record.run_id)


def log_report(client: MlflowClient, run_id: str, records: Sequence[StudyRecord]) -> None:
    """Put the page of some studies, and the tables, onto a run."""
    with tempfile.TemporaryDirectory(prefix="tgsr-") as folder:
        write_report(records, Path(folder), pages=())
        client.log_artifacts(run_id, folder)


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
        The rule (or ``"oracle"``) whose choice the studies' pages show; by default, and where a study has no values of
        it, the study's own.
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
        If the folder cannot be written, or no study has a value of the rule that is asked for.
    """
    shown = list(select_records(records) if pages is None else pages)
    able = [record for record in shown if by is None or can_choose(record, by)]
    if shown and not able:
        shown[0].choose(by)  # says what is missing
    for record in shown:
        asked, own = by if record in able else None, folder / _slug(record)
        figures = list(study_figures(record, asked, frame))
        page = render_study(record, asked, figures)
        with _writing(folder):
            for figure in figures:
                for kind in ("png", "pdf"):
                    save_figure(figure.figure, own / "figures" / f"{figure.name}.{kind}", dpi=300)
            write_text(own / PAGE, page)
        _log.info("%s: %s", record.label, own / PAGE)
    tables, page = paper_tables(collect_results(records)), render_paper(records, frame)
    with _writing(folder):
        save_tables(tables, folder / "tables")
        write_text(folder / PAGE, page)
    return folder / PAGE


def report_studies(
    config: TrackingConfig,
    folder: Path,
    *,
    runs: Sequence[str] = (),
    pair: str | None = None,
    by: str | None = None,
    frame: npt.NDArray[Any] | None = None,
    log: bool = True,
) -> Path:
    """Write a report on stored studies, see `write_report`, and put it onto their runs and one of its own.

    Parameters
    ----------
    config : TrackingConfig
        Where studies are kept.
    folder, by, frame
        See `write_report`.
    runs : sequence of str
        Run ids of the studies to report on; by default all.
    pair : str, optional
        Only studies of this pair, such as ``"V-N"``.
    log : bool
        Whether each page goes onto its study's run, and the whole onto the run of these pairs in ``tgsr/report``.

    Raises
    ------
    MissingDataError
        If there is no study, or no run of such an id.
    ParameterError
        See `write_report`.
    TrackingError
        If a run is no study, or MLflow cannot store the pages; they are in the folder.
    """
    client = open_client(config.tracking_uri, create=False)
    records = [read_study(client, run_id, pair) for run_id in runs] or list(_readable(list_studies(client, pair)))
    if not records:
        of = "" if pair is None else f" of {pair}"
        raise MissingDataError(f"{config.home}: there is no study{of} yet; run `tgsr study` or `tgsr compare` first")
    page = write_report(records, folder, by=by, frame=frame, pages=records if runs else None)
    if log:
        key = f"report {' '.join(sorted({record.pair for record in records}))}"
        failed = f"the report cannot be stored; it is in {folder}, and --no-log leaves MLflow alone"
        with storage_errors(config.tracking_uri, failed):
            for record in records:
                if (folder / _slug(record)).is_dir():
                    client.log_artifacts(record.run_id, str(folder / _slug(record)))
            with command_run(client, config, "report", key, name=key[:250], description=_ABOUT) as run_id:
                client.log_artifact(run_id, str(page))
                client.log_artifacts(run_id, str(folder / "tables"), "tables")
    return page


def _readable(records: Sequence[StudyRecord]) -> Iterator[StudyRecord]:
    """Leave out, and say so, what was cut off before it was stored, or is of an older version."""
    for record in records:
        try:
            _ = record.spec, record.classes
            yield record
        except TgsrError as error:
            _log.warning("%s (run %s) is left out: %s", record.name, record.run_id, error)


def _slug(record: StudyRecord) -> str:
    """A study's name as a folder's."""
    return re.sub(r"[^\w-]", "-", record.spec.name)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParameterError(f"{folder}: cannot be written ({error}); choose another folder with --out") from error
