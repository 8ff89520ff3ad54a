"""Writing trials to MLflow, two ways behind one interface: by the public client, or in bulk into its database."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tgsr.errors import TrackingError
from tgsr.tracking.artifacts import present_folders, save_coefficients, write_trial_files
from tgsr.tracking.names import COEFFICIENTS, Tag
from tgsr.tracking.place import local_artifact_folder
from tgsr.tracking.records import Record, StudyRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["WRITERS", "ClientWriter", "TrialWriter", "choose_writer"]

WRITERS = ("auto", "bulk", "client")


class TrialWriter(Protocol):
    """Writes finished trials as child runs of a study's run."""

    name: str

    def write(self, study: StudyRun, records: Sequence[Record]) -> list[str]:
        """Write the trials with their files; the run ids come back in the same order."""
        ...

    def written(self, study: StudyRun, numbers: Sequence[int]) -> set[int]:
        """Which of these trials are there, whole: not deleted, and with their files where those are in a folder."""
        ...

    def restore(self, study: StudyRun, numbers: Sequence[int]) -> int:
        """Bring back those of these trials that somebody has deleted; returns how many."""
        ...

    def discard(self, numbers: Sequence[int]) -> None:
        """Delete what the last `written` found of these trials that is not whole, and whatever it found twice.

        Nobody may be writing these trials.
        """
        ...

    def add_coefficients(self, study: StudyRun, number: int, coef: npt.NDArray[np.float64]) -> None:
        """Store, or store anew, the regression matrix of a trial that is there."""
        ...


class ClientWriter:
    """The public way: works with every tracking store, a few calls a trial, several trials at once.

    Parameters
    ----------
    client : MlflowClient
    n_threads : int
        Trials in flight; 1 for a database on this machine, where threads only wait for each other.
    """

    name = "client"

    def __init__(self, client: MlflowClient, n_threads: int = 8) -> None:
        self._client = client
        self._n_threads = n_threads
        self._runs: dict[int, str] = {}  # run ids by trial number
        self._scraps: dict[int, list[str]] = {}  # runs that are cut off, or have lost their files
        self._doubles: list[str] = []

    def write(self, study: StudyRun, records: Sequence[Record]) -> list[str]:
        """Write the trials; see `TrialWriter`."""
        if self._n_threads == 1:
            return [self._write_one(study, record) for record in records]
        with ThreadPoolExecutor(self._n_threads) as pool:
            return list(pool.map(lambda record: self._write_one(study, record), records))

    def written(self, study: StudyRun, numbers: Sequence[int]) -> set[int]:
        """Look the trials up; see `TrialWriter`. Of a trial written twice the run with the lowest id counts."""
        from tgsr.tracking.reading import find_run, search_children

        wanted, whole = set(numbers), dict[int, str]()
        folders = present_folders(study)
        self._scraps, self._doubles = {}, []
        runs = search_children(self._client, find_run(self._client, study.run_id))
        for run in sorted(runs, key=lambda run: str(run.info.run_id)):
            number, run_id = int(run.data.tags[Tag.TRIAL]), str(run.info.run_id)
            if number not in wanted:
                continue
            if run.info.status != "FINISHED" or not (folders is None or run_id in folders):
                self._scraps.setdefault(number, []).append(run_id)
            elif number in whole:
                self._doubles.append(run_id)
            else:
                whole[number] = run_id
        self._runs.update(whole)
        return set(whole)

    def restore(self, study: StudyRun, numbers: Sequence[int]) -> int:
        """See `TrialWriter`."""
        from tgsr.tracking.reading import find_run, search_children

        lacking = set(numbers)
        for run in search_children(self._client, find_run(self._client, study.run_id), deleted=True):
            number = int(run.data.tags[Tag.TRIAL])
            if run.info.status == "FINISHED" and number in lacking:
                self._client.restore_run(run.info.run_id)
                lacking.remove(number)
        return len(set(numbers)) - len(lacking)

    def discard(self, numbers: Sequence[int]) -> None:
        """See `TrialWriter`."""
        for run_id in [*self._doubles, *(run_id for number in numbers for run_id in self._scraps.get(number, []))]:
            self._client.delete_run(run_id)

    def add_coefficients(self, study: StudyRun, number: int, coef: npt.NDArray[np.float64]) -> None:
        """See `TrialWriter`."""
        if number not in self._runs:
            self.written(study, [number])
        if number not in self._runs:
            raise TrackingError(f"trial {number} has no run in MLflow; complete it with `tgsr study --mirror`")
        with tempfile.TemporaryDirectory() as temporary:
            path = save_coefficients(Path(temporary) / COEFFICIENTS, coef)
            self._client.log_artifact(self._runs[number], str(path))

    def _write_one(self, study: StudyRun, record: Record) -> str:
        from mlflow.entities import Metric, Param

        run = self._client.create_run(
            study.experiment_id,
            start_time=record.start_ms,
            tags=study.trial_tags(record),
            run_name=study.trial_name(record),
        )
        run_id = self._runs[record.number] = str(run.info.run_id)
        metrics = [Metric(key, float(value), record.end_ms, 0) for key, value in record.metrics.items()]
        params = [Param(key, value) for key, value in study.trial_params(record).items()]
        self._client.log_batch(run_id, metrics=metrics, params=params)
        folder = local_artifact_folder(run.info.artifact_uri)
        if folder is not None:
            write_trial_files(folder, record, study.grouping)
        else:
            with tempfile.TemporaryDirectory() as temporary:
                write_trial_files(Path(temporary), record, study.grouping)
                self._client.log_artifacts(run_id, temporary)
        # last, so that a run in state FINISHED is whole
        self._client.set_terminated(run_id, status="FINISHED", end_time=record.end_ms)
        return run_id


def choose_writer(client: MlflowClient, artifact_location: str, way: str = "auto") -> tuple[TrialWriter, str]:
    """Choose how trials are written.

    Parameters
    ----------
    client : MlflowClient
    artifact_location : str
        Of the experiment; bulk writing needs a folder on this machine.
    way : {"auto", "bulk", "client"}

    Returns
    -------
    writer : TrialWriter
    reason : str
        Why it is not the bulk way; empty if it is, or if the client was asked for.

    Raises
    ------
    TrackingError
        If ``way`` is unknown, or is "bulk" and cannot be used.
    """
    if way not in WRITERS:
        raise TrackingError(f"unknown way of writing {way!r}; use one of {', '.join(WRITERS)}")
    reason = ""
    if way != "client":
        from tgsr.tracking.bulk import open_bulk_writer

        try:
            return open_bulk_writer(client, artifact_location), ""
        except TrackingError as error:
            if way == "bulk":
                raise
            reason = str(error)
    local = not client.tracking_uri.startswith(("http://", "https://"))
    return ClientWriter(client, n_threads=1 if local else 8), reason
