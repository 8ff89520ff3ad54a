"""The record of a study's trials in MLflow: every cell once, each a whole run with its files."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import TrackingError
from tgsr.files import atomic_path
from tgsr.tracking._bulk import BulkWriter, open_bulk_writer
from tgsr.tracking._client import ClientWriter, StoredRun
from tgsr.tracking._files import is_whole, parse_sizes, save_coefficients, sizes_text
from tgsr.tracking._trial import StudyRun, Trial
from tgsr.tracking.config import local_artifact_folder, storage_errors
from tgsr.tracking.names import COEFFICIENTS, Tag
from tgsr.tracking.reading import trial_table

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

__all__ = ["WRITERS", "TrialStore"]

WRITERS = ("auto", "bulk", "client")

_logger = logging.getLogger(__name__)


class TrialStore:
    """Reads and writes the trials of one study; whoever writes holds the study's lock.

    Parameters
    ----------
    client : MlflowClient
    run : StudyRun
        The study's parent run.
    writer : {"auto", "bulk", "client"}
        In bulk through the database's tables, by MLflow's public client, or in bulk where that is possible.

    Raises
    ------
    TrackingError
        If ``writer`` is unknown, or is ``"bulk"`` and cannot be used.
    """

    def __init__(self, client: MlflowClient, run: StudyRun, writer: str = "auto") -> None:
        if writer not in WRITERS:
            raise TrackingError(f"unknown way of writing {writer!r}; use one of {', '.join(WRITERS)}")
        self._client = client
        self._run = run
        self._is_auto = writer == "auto"
        self._folder = local_artifact_folder(run.artifact_location)
        self._runs: dict[str, StoredRun] | None = None
        self._gone: dict[str, StoredRun] = {}
        self._writer: BulkWriter | ClientWriter
        if writer == "client":
            self._writer = ClientWriter(client, run)
            return
        try:
            self._writer = open_bulk_writer(client, run)
        except TrackingError as error:
            if writer == "bulk":
                raise
            self._fall_back(error)

    @property
    def writer(self) -> str:
        """How trials are written: ``"bulk"`` or ``"client"``."""
        return self._writer.name

    def clean(self) -> int:
        """Remove what an interruption left: runs that never finished, lost files, or are a cell's second; count them.

        A finished run that is whole stays. Removed cells are no longer there, and may be written again.

        Raises
        ------
        TrackingError
            If the folder of artifacts as a whole is not there.
        """
        with self._errors():
            scraps: list[StoredRun] = []
            whole: dict[str, StoredRun] = {}
            for run in self._writer.runs():
                if run.is_deleted:
                    continue
                if run.status == "FINISHED" and run.cell and run.cell not in whole and self._has_files(run):
                    whole[run.cell] = run
                else:
                    scraps.append(run)
            self._writer.remove(scraps, "unfinished, or there twice")
            self._runs = None
            if scraps:
                _logger.info("%d trials that an interruption left unfinished are removed", len(scraps))
            return len(scraps)

    def table(self) -> pd.DataFrame:
        """Read the finished trials that are not deleted; see `tgsr.tracking.reading.trial_table`."""
        with self._errors():
            return trial_table(self._client, self._run.run_id, self._run.experiment_id)

    def deleted(self) -> set[str]:
        """Cells whose runs somebody has deleted: they stay deleted, and are not run again."""
        return set(self._deleted_runs())

    def restore(self) -> int:
        """Bring back the runs that somebody has deleted; returns how many."""
        with self._errors():
            runs = list(self._deleted_runs().values())
            self._writer.restore(runs)
            self._runs = None
        return len(runs)

    def write(self, trials: Sequence[Trial]) -> None:
        """Write trials with their files; a cell that is there, or was deleted by somebody, is left as it is.

        Raises
        ------
        TrackingError
            If the database or the folder of artifacts cannot be written: what is full or not writable is named.
        """
        with self._errors():
            known, gone = self._known(), self._deleted_runs()
            new = list(
                {trial.cell: trial for trial in trials if trial.cell not in known and trial.cell not in gone}.values()
            )
            if not new:
                return
            try:
                ids = self._writer.write(new)
            except TrackingError as error:  # raised only where bulk writing did not stand its test
                if not self._is_auto or self.writer == "client":
                    raise
                self._fall_back(error)
                ids = self._writer.write(new)
            for run_id, trial in zip(ids, new, strict=True):
                known[trial.cell] = StoredRun(run_id, "FINISHED", False, trial.cell, {}, False)

    def write_coef(self, cell: str, coef: npt.NDArray[np.float64]) -> None:
        """Store, or store anew, the regression matrix (n_features, n_classes) of a trial that is there.

        Raises
        ------
        TrackingError
            If it is not there.
        """
        run = self._known().get(cell)
        if run is None:
            raise TrackingError(f"cell {cell} has no run in the study {self._run.run_id}; run the study again")
        with self._errors():
            files = parse_sizes(self._client.get_run(run.run_id).data.tags.get(Tag.FILES))
            with tempfile.TemporaryDirectory() as folder:
                path = save_coefficients(Path(folder) / COEFFICIENTS, coef)
                files[COEFFICIENTS] = path.stat().st_size
                if self._folder is None:
                    self._client.log_artifact(run.run_id, str(path))
                else:
                    with atomic_path(self._folder / run.run_id / "artifacts" / COEFFICIENTS) as temporary:
                        shutil.copyfile(path, temporary)
            self._client.set_tag(run.run_id, Tag.FILES, sizes_text(files))

    def _known(self) -> dict[str, StoredRun]:
        """Finished runs by cell."""
        if self._runs is None:
            self._load()
        assert self._runs is not None
        return self._runs

    def _deleted_runs(self) -> dict[str, StoredRun]:
        """Finished runs that a person has deleted, by cell."""
        if self._runs is None:
            self._load()
        return self._gone

    def _load(self) -> None:
        with self._errors():
            runs = list(self._writer.runs())
        self._runs = {run.cell: run for run in runs if run.status == "FINISHED" and not run.is_deleted}
        self._gone = {
            run.cell: run
            for run in runs
            if run.is_deleted and not run.is_discarded and run.status == "FINISHED" and run.cell not in self._runs
        }

    def _has_files(self, run: StoredRun) -> bool:
        if self._folder is None or not run.files:  # elsewhere, files were there before the run was FINISHED
            return True
        if not self._folder.is_dir():
            raise TrackingError(
                f"{self._folder} with the artifacts of the experiment is not there; mount or restore it"
            )
        return is_whole(f"{self._folder}/{run.run_id}/artifacts", run.files)

    def _fall_back(self, error: TrackingError) -> None:
        _logger.info("trials are written by MLflow's client, which is slower: %s", error)
        self._writer = ClientWriter(self._client, self._run)

    def _errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._client.tracking_uri)
