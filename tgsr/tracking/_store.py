"""The record of a study's trials in MLflow: every cell once, each a whole run with its files."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import TrackingError
from tgsr.tracking._bulk import open_bulk_writer
from tgsr.tracking._client import ClientWriter, StoredRun
from tgsr.tracking._files import is_whole, parse_sizes, save_coefficients, sizes_text
from tgsr.trials.trial import StudyRun, Trial
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

    ``writer`` is ``"bulk"`` (through the database's tables), ``"client"`` (MLflow's public one), or ``"auto"``: in
    bulk where that is possible.

    Raises
    ------
    TrackingError
        If ``writer`` is unknown, or is ``"bulk"`` and cannot be used; from all methods if the database or the folder
        of artifacts cannot be used: what is full or not writable is named.
    """

    def __init__(self, client: MlflowClient, run: StudyRun, writer: str = "auto") -> None:
        if writer not in WRITERS:
            raise TrackingError(f"unknown way of writing {writer!r}; use one of {', '.join(WRITERS)}")
        self._client = client
        self._run = run
        self._is_auto = writer == "auto"
        self._folder = local_artifact_folder(run.artifact_location)
        self._whole: dict[str, str] | None = None
        """Run ids of the trials that are there, by cell; None before they are asked for."""
        self._gone: dict[str, str] = {}
        """Those of finished trials that a person has deleted."""
        self._writer = ClientWriter(client, run)
        if writer != "client":
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
        """
        with self._errors():
            scraps = self._sort()
            self._writer.remove(scraps)
        if scraps:
            _logger.info("%d trials that an interruption left unfinished are removed", len(scraps))
        return len(scraps)

    def table(self) -> pd.DataFrame:
        """Read the finished trials that are not deleted; see `tgsr.tracking.reading.trial_table`."""
        with self._errors():
            return trial_table(self._client, self._run.run_id, self._run.experiment_id)

    def deleted(self) -> set[str]:
        """Cells whose runs somebody has deleted: they stay deleted, and are not run again."""
        self._known()
        return set(self._gone)

    def restore(self) -> int:
        """Bring back the runs that somebody has deleted; returns how many."""
        self._known()
        restored = list(self._gone.values())
        with self._errors():
            self._writer.restore(restored)
        self._whole = None
        return len(restored)

    def write(self, trials: Sequence[Trial]) -> None:
        """Write trials with their files; a cell that is there, or was deleted by somebody, is left as it is."""
        whole = self._known()
        new = list({t.cell: t for t in trials if t.cell not in whole and t.cell not in self._gone}.values())
        if not new:
            return
        with self._errors():
            try:
                ids = self._writer.write(new)
            except TrackingError as error:  # raised only where bulk writing did not stand its test
                if not self._is_auto or self.writer == "client":
                    raise
                self._fall_back(error)
                ids = self._writer.write(new)
        whole |= zip((trial.cell for trial in new), ids, strict=True)

    def write_coef(self, cell: str, coef: npt.NDArray[np.float64]) -> None:
        """Store, or store anew, the regression matrix (n_features, n_classes) of a trial that is there.

        Raises
        ------
        TrackingError
            If it is not there.
        """
        run_id = self._known().get(cell)
        if run_id is None:
            raise TrackingError(f"cell {cell} has no run in the study {self._run.run_id}; run the study again")
        with self._errors(), tempfile.TemporaryDirectory() as folder:
            files = parse_sizes(self._client.get_run(run_id).data.tags.get(Tag.FILES))
            path = save_coefficients(Path(folder) / COEFFICIENTS, coef)
            self._client.log_artifact(run_id, str(path))
            sizes = {**files, COEFFICIENTS: path.stat().st_size}
            self._client.set_tag(run_id, Tag.FILES, sizes_text(sizes))

    def _known(self) -> dict[str, str]:
        """Run ids by cell, read when they are first asked for."""
        if self._whole is None:
            with self._errors():
                self._sort()
        assert self._whole is not None
        return self._whole

    def _sort(self) -> list[str]:
        """Tell whole runs and those that a person has deleted from the others, whose ids are returned."""
        whole: dict[str, str] = {}
        gone: dict[str, str] = {}
        others: list[str] = []
        for run in self._writer.runs():
            cell = run.tags.get(Tag.CELL, "")
            if run.is_deleted:
                if run.is_finished and Tag.DISCARDED not in run.tags:
                    gone[cell] = run.run_id
            elif run.is_finished and cell and cell not in whole and self._has_files(run):
                whole[cell] = run.run_id
            else:
                others.append(run.run_id)
        self._whole, self._gone = whole, {cell: gone[cell] for cell in gone.keys() - whole.keys()}
        return others

    def _has_files(self, run: StoredRun) -> bool:
        files = parse_sizes(run.tags.get(Tag.FILES))
        if self._folder is None or not files:  # elsewhere, files were there before the run was FINISHED
            return True
        if not self._folder.is_dir():
            raise TrackingError(
                f"{self._folder} with the artifacts of the experiment is not there; mount or restore it"
            )
        return is_whole(f"{self._folder}/{run.run_id}/artifacts", files)

    def _fall_back(self, error: TrackingError) -> None:
        _logger.info("trials are written by MLflow's client, which is slower: %s", error)
        self._writer = ClientWriter(self._client, self._run)

    def _errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._client.tracking_uri)
