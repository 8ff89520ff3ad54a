"""Which studies are reported on, and where their reports go."""

from __future__ import annotations

import json
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
from tgsr.reports._face import read_face
from tgsr.reports._figures import study_figures
from tgsr.reports._pages import render_study
from tgsr.reports._paper_page import render_paper, select_records
from tgsr.reports._records import StudyRecord, record_from_grid, record_from_run
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
    "stored_records",
    "write_paper_report",
    "write_study_report",
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
        from tgsr.reports._completing import complete_record

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
    with _writing(request.out):
        for record in records:
            _log.info("%s: %s", record.label, write_study_report(record, request.out / record.slug, frame))
        return write_paper_report(records, table, request.out, frame)


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
    from tgsr.tracking.config import open_client

    client = open_client(config.tracking_uri, create=False)
    frame = request.frame()
    stored = [record_from_run(client, run_id) for run_id in runs] or stored_records(client, request.pair)
    if not any(len(record.table) for record in stored) and not runs:
        raise MissingDataError(f"{config.home}: there is no study yet; run `tgsr study` or `tgsr compare` first")
    records = []
    for found in stored if runs else select_records(stored):
        record = request.complete(found if runs else record_from_run(client, found.run_id))
        folder = request.out / (record.slug if not runs else f"{record.slug}-{record.run_id[:8]}")
        with _writing(folder):
            page = write_study_report(record, folder, frame)
        _log.info("%s: %s", record.label, page)
        if log:
            with _logging(client, page):
                _log_study_report(client, record, folder)
        records.append(record)
    done = {record.run_id for record in records}
    everything = [*records, *(record for record in stored if record.run_id not in done)]
    with _writing(request.out):
        page = write_paper_report(everything, None, request.out / "paper", frame)
    if not log:
        return page, ""
    with _logging(client, page):
        return page, _log_paper_report(client, config, page.parent, records)


def stored_records(client: MlflowClient, pair: str | None = None) -> list[StudyRecord]:
    """All stored studies that can be read, the newest first, without regions and confusion matrices."""
    from tgsr.tracking.reading import list_studies

    found = []
    for study in list_studies(client, pair):
        try:
            found.append(record_from_run(client, study.run_id, details=False))
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
        write_paper_report(records, comparison, Path(folder))
        client.log_artifacts(run_id, folder)


def _log_study_report(client: MlflowClient, record: StudyRecord, folder: Path) -> None:
    from tgsr.tracking._runs import log_report
    from tgsr.tracking.names import CONFUSION

    log_report(client, record.run_id, folder)
    if record.confusion is not None and record.best is not None:
        content = {"classes": list(record.class_names), "confusion": record.confusion.tolist()}
        trial = {"run_id": record.best.row.get("run_id")}
        client.log_text(record.run_id, json.dumps(content | trial), CONFUSION)


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
    return _write(folder / _PAGE, render_study(record, figures))


def write_paper_report(
    records: Sequence[StudyRecord],
    comparison: pd.DataFrame | None,
    folder: Path,
    frame: npt.NDArray[Any] | None = None,
    warnings: Sequence[str] = (),
) -> Path:
    """Write the page of all studies, and Tables I and II beside it in ``tables/``; returns the page."""
    save_tables(paper_tables(collect_results(records, comparison)), folder / "tables")
    return _write(folder / _PAGE, render_paper(records, comparison, warnings, frame=frame))


def _write(path: Path, page: str) -> Path:
    write_text(path, page)
    return path


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except TgsrError:
        raise
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
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; `tgsr compare --out {path}` writes it")
    try:
        table = pd.read_csv(path)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    missing = set(NEEDED_COLUMNS) - set(table)
    if missing:
        raise DataError(f"{path}: a comparison needs the columns {', '.join(NEEDED_COLUMNS)}; missing: {missing}")
    return table
