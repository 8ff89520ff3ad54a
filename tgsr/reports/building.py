"""Which studies are reported on, and where their reports go."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pandas as pd

from tgsr.datasets import load_pair
from tgsr.errors import DataError, MissingDataError, ParameterError, TgsrError, TrackingError
from tgsr.files import write_text
from tgsr.protocols import parse_pair
from tgsr.reports._figures import study_figures
from tgsr.reports._masks import read_face
from tgsr.reports._pages import render_paper, render_study, select_records
from tgsr.reports._records import StudyRecord, complete_record, read_table, record_from_grid, record_from_run
from tgsr.reports._style import save_figure
from tgsr.reports._table_formats import save_tables
from tgsr.reports._tables import NEEDED_COLUMNS, collect_results, paper_tables

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.tracking.config import TrackingConfig

__all__ = [
    "ReportRequest",
    "add_study_page",
    "log_paper_report",
    "report_files",
    "report_runs",
]

_log = logging.getLogger(__name__)
_PAGE = "report.html"


@dataclass(frozen=True)
class ReportRequest:
    """What a user wants to see.

    Attributes
    ----------
    out : Path
        Folder to write.
    data : Path or None
        Folder with the feature files: adds confusion matrices and regions that are not stored.
    face : Path or None
        Clip or image to draw the regions on.
    crop : bool
        Whether to crop that to the face.
    pair : str or None
        Only this pair of databases, such as ``"V-N"``.
    """

    out: Path
    data: Path | None = None
    face: Path | None = None
    crop: bool = False
    pair: str | None = None

    def frame(self) -> npt.NDArray[Any] | None:
        """The face to draw on, None for the generated one."""
        return None if self.face is None else read_face(self.face, crop=self.crop)

    def complete(self, record: StudyRecord) -> StudyRecord:
        """Add what is missing, if there are data."""
        if self.data is None:
            return record
        return complete_record(record, load_pair(*parse_pair(record.pair), self.data))


def report_files(request: ReportRequest, grids: Sequence[Path], comparison: Path | None) -> Path:
    """Report on the files of ``tgsr grid`` and ``tgsr compare``; returns the page of the whole.

    Raises
    ------
    MissingDataError, DataError
        If a file is not there, or not what it should be.
    ParameterError
        If the folder cannot be written.
    """
    frame = request.frame()
    table = None if comparison is None else _read_comparison(comparison)
    records = [request.complete(record_from_grid(path)) for path in grids]
    records = [record for record in records if request.pair in (None, record.pair)]
    for record in records:
        _write_study(record, request.out / record.slug, frame)
    return _write_paper(records, table, request.out, frame)


def report_runs(
    request: ReportRequest, runs: Sequence[str], config: TrackingConfig, *, log: bool = True
) -> tuple[Path, str]:
    """Report on studies stored in MLflow.

    Parameters
    ----------
    request : ReportRequest
    runs : sequence of str
        Run ids; by default one study of each pair, method, groups, scaling and selection (see `select_records`). The
        tables are made of all studies.
    config : TrackingConfig
        Where studies are kept.
    log : bool
        Whether to put each report onto its study's run, and the page of the whole onto a run of its own.

    Returns
    -------
    page : Path
        The page of the whole.
    run_id : str
        The run that carries it, empty without ``log``.

    Raises
    ------
    MissingDataError
        If there is no study, or a run is none.
    ParameterError
        If the folder cannot be written.
    TrackingError
        If MLflow cannot store the pages; they are in the folder.
    """
    from tgsr.tracking._runs import log_report
    from tgsr.tracking.config import open_client

    client = open_client(config.tracking_uri, create=False)
    frame = request.frame()
    stored = [record_from_run(client, run_id) for run_id in runs] or _stored_records(client, request.pair)
    chosen = stored if runs else select_records(stored)
    if not chosen:
        raise MissingDataError(f"{config.home}: there is no study yet; run `tgsr study` or `tgsr compare` first")
    done = {}
    for record in map(request.complete, chosen):
        folder = request.out / (f"{record.slug}-{record.run_id[:8]}" if runs else record.slug)
        page = _write_study(record, folder, frame)
        if log:
            with _logging(client, page):
                log_report(client, record.run_id, folder)
        done[record.run_id] = record
    everything = [done.get(record.run_id, record) for record in stored]
    page = _write_paper(everything, None, request.out / "paper", frame)
    if not log:
        return page, ""
    with _logging(client, page):
        return page, _log_paper_report(client, config, page.parent, list(done.values()))


def _stored_records(client: MlflowClient, pair: str | None = None) -> list[StudyRecord]:
    """All stored studies that can be read, the newest first."""
    from tgsr.tracking.reading import list_studies

    found = []
    for study in list_studies(client, pair):
        try:
            found.append(record_from_run(client, study.run_id))
        except (MissingDataError, DataError) as error:  # cut off before it was stored, or of an older version
            _log.info("left out: %s", error)
    return found


def add_study_page(client: MlflowClient, run_id: str) -> None:
    """Put a study's page onto its run; what prevents it is said and stops nothing."""
    try:
        client.log_text(run_id, render_study(record_from_run(client, run_id)), _PAGE)
    except Exception as error:  # whatever it is: the study itself is finished and stored
        _log.warning("no report page was made: %s; `tgsr report --run %s` tries again", error, run_id)


def log_paper_report(
    client: MlflowClient, run_id: str, studies: Sequence[str], rows: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Put the page of some studies, and the tables, onto a run.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
        The run that gets them.
    studies : sequence of str
        Run ids.
    rows : sequence of mapping
        Results besides, as ``tgsr compare`` has them.
    """
    records = [record_from_run(client, study) for study in dict.fromkeys(studies)]
    comparison = pd.DataFrame(rows) if rows else None
    with tempfile.TemporaryDirectory(prefix="tgsr-") as folder:
        _write_paper(records, comparison, Path(folder))
        client.log_artifacts(run_id, folder)


def _log_paper_report(
    client: MlflowClient, config: TrackingConfig, folder: Path, records: Sequence[StudyRecord]
) -> str:
    from tgsr.tracking._runs import ParentSpec, finish_parent, start_parent
    from tgsr.tracking.names import REPORTS_TITLE, Tag
    from tgsr.version import code_version

    spec = ParentSpec(
        title=REPORTS_TITLE,
        name="report of all studies",
        description="The paper's tables and figures beside ours: open the artifact `report.html`; `tables/` has Tables "
        f"I and II as HTML, Markdown, LaTeX and CSV.\n\nFrom: {', '.join(record.label for record in records)}.\n\n"
        "**Oracle** marks what target labels chose.",
        tags={Tag.KIND: "report", Tag.CODE_VERSION: code_version()},
    )
    run_id = start_parent(client, spec, config.artifact_root)
    client.log_artifacts(run_id, str(folder))
    finish_parent(client, run_id)
    return run_id


def _write_study(record: StudyRecord, folder: Path, frame: npt.NDArray[Any] | None) -> Path:
    """Write a study's page, and its figures beside it in ``figures/``; returns the page."""
    figures = list(study_figures(record, frame))
    with _writing(folder):
        for figure in figures:
            for kind in ("png", "pdf"):
                save_figure(figure.figure, folder / "figures" / f"{figure.name}.{kind}", dpi=300)
        write_text(folder / _PAGE, render_study(record, figures))
    _log.info("%s: %s", record.label, folder / _PAGE)
    return folder / _PAGE


def _write_paper(
    records: Sequence[StudyRecord],
    comparison: pd.DataFrame | None,
    folder: Path,
    frame: npt.NDArray[Any] | None = None,
) -> Path:
    """Write the page of all studies, and Tables I and II beside it in ``tables/``; returns the page."""
    with _writing(folder):
        save_tables(paper_tables(collect_results(records, comparison)), folder / "tables")
        write_text(folder / _PAGE, render_paper(records, comparison, frame))
    return folder / _PAGE


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParameterError(f"{folder}: cannot be written ({error}); choose another folder with --out") from error


@contextmanager
def _logging(client: MlflowClient, page: Path) -> Iterator[None]:
    from tgsr.tracking.config import masked

    try:
        yield
    except TgsrError:
        raise
    except Exception as error:  # each artifact store raises its own
        raise TrackingError(
            f"{masked(client.tracking_uri)}: the report cannot be stored ({masked(str(error))}); it is in "
            f"{page.parent}, and --no-log leaves MLflow alone"
        ) from error


def _read_comparison(path: Path) -> pd.DataFrame:
    table = read_table(path, "tgsr compare")
    missing = set(NEEDED_COLUMNS) - set(table)
    if missing:
        raise DataError(f"{path}: a comparison needs the columns {', '.join(NEEDED_COLUMNS)}; missing: {missing}")
    return table
