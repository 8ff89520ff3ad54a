"""Which studies are reported on, and where their reports go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pandas as pd

from tgsr.datasets import load_pair
from tgsr.errors import DataError, MissingDataError, ParameterError, TgsrError, TrackingError
from tgsr.protocols import get_experiment
from tgsr.reports.completing import complete_record
from tgsr.reports.face import read_face
from tgsr.reports.pages import render_study
from tgsr.reports.paper_page import name_by_groups
from tgsr.reports.records import StudyRecord, record_from_grid, record_from_run
from tgsr.reports.tables import COMPARISON_COLUMNS, MARKS
from tgsr.reports.writing import PAGE_NAME, write_paper_report, write_study_report

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.tracking.place import Place

__all__ = ["ReportRequest", "add_study_page", "newest_comparison", "newest_records", "report_files", "report_runs"]


def _silent(_text: str) -> None:
    pass


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
    experiment : str or None
        Only this experiment.
    say : callable
        Takes the messages for the user.
    """

    out: Path
    data: Path | None = None
    face: Path | None = None
    crop: bool = False
    experiment: str | None = None
    say: Callable[[str], Any] = _silent

    def frame(self) -> npt.NDArray[Any] | None:
        """The face to draw on, None for the drawn one."""
        return None if self.face is None else read_face(self.face, crop=self.crop)

    def complete(self, record: StudyRecord, client: MlflowClient | None = None) -> StudyRecord:
        """Add what is missing, if there are data."""
        if self.data is None:
            return record
        return complete_record(record, load_pair(get_experiment(record.experiment), self.data), client)


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
    records = [record for record in records if request.experiment in (None, record.experiment)]
    with _writing(request.out):
        for record in records:
            page = write_study_report(record, request.out / record.slug, frame)
            request.say(f"{record.label}: {page}")
        page = write_paper_report(records, table, request.out, frame)
    request.say(f"all experiments: {page}")
    return page


def report_runs(request: ReportRequest, runs: Sequence[str], home: Path | None = None, *, log: bool = True) -> Path:
    """Report on studies stored in MLflow; returns the page of the whole.

    Parameters
    ----------
    request : ReportRequest
    runs : sequence of str
        Run ids; by default the newest study of each experiment, selection and grouping.
    home : Path, optional
        Folder with ``mlflow.db``.
    log : bool
        Whether to put each report onto its study's run, and the page of the whole onto a run of its own.

    Raises
    ------
    MissingDataError
        If there is no study, or a run is none.
    ParameterError
        If the folder cannot be written.
    TrackingError
        If MLflow cannot store the pages; they are in the folder.
    """
    from tgsr.tracking.place import open_client, resolve_place
    from tgsr.tracking.report_run import log_confusion, log_paper_report, log_study_report

    place = resolve_place(home)
    client = open_client(place.tracking_uri, create=False)
    frame = request.frame()
    stored = [record_from_run(client, run_id) for run_id in runs] or newest_records(client, request.experiment)
    comparison = newest_comparison(client, request.experiment)
    if not stored and comparison is None:
        raise MissingDataError(
            f"{place.tracking_uri} has no study yet; run `tgsr study`, `tgsr compare` or `tgsr grid --track` first"
        )
    records = []
    for found in stored:
        record = request.complete(found, client)
        folder = request.out / (record.slug if not runs else f"{record.slug}-{record.run_id[:8]}")
        with _writing(folder):
            page = write_study_report(record, folder, frame)
        request.say(f"{record.label}: {page}")
        if log:
            with _logging(client, page):
                log_study_report(client, record.run_id, folder)
                if found.confusion is None and record.confusion is not None:
                    best = record.best
                    log_confusion(client, record.run_id, record.confusion, None if best is None else best.get("run_id"))
        records.append(record)
    with _writing(request.out):
        page = write_paper_report(records, comparison, request.out / "paper", frame)
    request.say(f"all experiments: {page}")
    if log:
        with _logging(client, page):
            run_id = log_paper_report(client, place, request.out / "paper", _description(records))
        request.say(f"MLflow run: {run_id}")
    return page


def add_study_page(place: Place, run_id: str, say: Callable[[str], Any]) -> None:
    """Put a study's page onto its run; what prevents it is said and stops nothing.

    Parameters
    ----------
    place : Place
        Where the study is kept.
    run_id : str
        The study's run.
    say : callable
        Takes the message.
    """
    from tgsr.tracking.place import open_client

    try:
        client = open_client(place.tracking_uri)
        client.log_text(run_id, render_study(record_from_run(client, run_id)), PAGE_NAME)
    except Exception as error:  # whatever it is: the study itself is finished and stored
        say(f"no report page was made: {error}; `tgsr report --run {run_id}` tries again")


def newest_records(client: MlflowClient, experiment: str | None = None) -> list[StudyRecord]:
    """The newest stored study with trials of each experiment, selection and grouping; logged grids where none is."""
    from tgsr.tracking.names import Tag
    from tgsr.tracking.report_run import find_runs

    chosen: dict[tuple[str | None, ...], StudyRecord] = {}
    for run in find_runs(client, "study", experiment) + find_runs(client, "grid", experiment):
        if Tag.METHOD in run.data.tags:  # its trials have no κ, ξ and regions: nothing that the figures show
            continue
        key = tuple(run.data.tags.get(tag) for tag in (Tag.EXPERIMENT, Tag.SELECTION, Tag.GROUPING))
        if key in chosen:
            continue
        try:
            record = record_from_run(client, run.info.run_id)
        except (MissingDataError, DataError):
            continue  # cut off before its table was stored
        if len(record.table):
            chosen[key] = record
    return list(chosen.values())


def newest_comparison(client: MlflowClient, experiment: str | None = None) -> pd.DataFrame | None:
    """The rows of all stored comparisons, of equal cells the newest; None if there are none."""
    from tgsr.tracking.comparison_run import LOGGED
    from tgsr.tracking.names import Tag
    from tgsr.tracking.report_run import find_runs, read_csv

    tables = []
    for run in find_runs(client, "compare"):
        try:
            table = read_csv(client, run.info.run_id)
        except MissingDataError:
            continue
        if set(COMPARISON_COLUMNS) <= set(table):
            grouping = run.data.tags.get(Tag.GROUPING, "released")
            since = table.get(LOGGED, run.info.start_time)
            rows = table.reindex(columns=[*COMPARISON_COLUMNS, *MARKS]).assign(since=since)
            tables.append(name_by_groups(rows, grouping))
    if not tables:
        return None
    # not concatenated: columns without a value would lose their type on the way
    rows = pd.DataFrame([row for table in tables for row in table.to_dict("records")])
    rows = rows.sort_values("since", ascending=False, kind="stable")
    rows = rows.drop_duplicates(["experiment", "method", "selection"]).drop(columns="since")
    if experiment is not None:
        rows = rows[rows["experiment"] == experiment]
    return rows.reset_index(drop=True)


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
    try:
        yield
    except TgsrError:
        raise
    except Exception as error:  # each artifact store raises its own
        raise TrackingError(
            f"{client.tracking_uri}: the report cannot be stored ({error}); it is in {page.parent}, and --no-log "
            "leaves MLflow alone"
        ) from error


def _read_comparison(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; `tgsr compare --out {path}` writes it")
    try:
        table = pd.read_csv(path)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    missing = set(COMPARISON_COLUMNS) - set(table)
    if missing:
        raise DataError(f"{path}: a comparison needs the columns {', '.join(COMPARISON_COLUMNS)}; missing: {missing}")
    return table


def _description(records: Sequence[StudyRecord]) -> str:
    names = ", ".join(record.label for record in records) or "the stored comparison"
    return (
        "The paper's tables and figures beside ours: open the artifact `report.html`; `tables/` has Tables I and II "
        f"as HTML, Markdown, LaTeX and CSV.\n\nFrom: {names}.\n\n**Oracle** marks what target labels chose."
    )
