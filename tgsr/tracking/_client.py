"""Writing and listing trials by MLflow's public client: works with every tracking store, a few calls a trial."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tgsr.tracking._files import sizes_text, write_trial_files
from tgsr.trials.trial import StudyRun, Trial
from tgsr.tracking.config import is_server, storage_errors
from tgsr.tracking.names import Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["ClientWriter", "StoredRun", "search_runs"]


@dataclass(frozen=True)
class StoredRun:
    """A trial's run as it is stored; of its tags those of its cell, its files and whether the program deleted it."""

    run_id: str
    is_finished: bool
    is_deleted: bool
    tags: Mapping[str, str]


class ClientWriter:
    """The public way; `tgsr.tracking._bulk.BulkWriter` does the same faster."""

    name = "client"

    def __init__(self, client: MlflowClient, study: StudyRun) -> None:
        self._client = client
        self._study = study

    def runs(self) -> Iterator[StoredRun]:
        """All trials' runs, whatever their state, in the order of their ids."""
        condition = f"tags.`{Tag.PARENT}` = '{self._study.run_id}' and tags.`{Tag.KIND}` = 'trial'"
        runs = search_runs(self._client, [self._study.experiment_id], condition, with_deleted=True)
        for run in sorted(runs, key=lambda run: str(run.info.run_id)):
            info = run.info
            yield StoredRun(
                str(info.run_id), info.status == "FINISHED", info.lifecycle_stage != "active", run.data.tags
            )

    def write(self, trials: Sequence[Trial]) -> list[str]:
        """Write trials of which none is there; the run ids come back in the same order."""
        if not is_server(self._client.tracking_uri):  # with a database on this machine threads only wait for each other
            return [self._write_one(trial) for trial in trials]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self._write_one, trials))

    def remove(self, run_ids: Sequence[str]) -> None:
        """Delete runs, and note that it was not a person who did."""
        for run_id in run_ids:
            self._client.set_tag(run_id, Tag.DISCARDED, "unfinished, or there twice")
            self._client.delete_run(run_id)

    def restore(self, run_ids: Sequence[str]) -> None:
        """Bring deleted runs back."""
        for run_id in run_ids:
            self._client.restore_run(run_id)

    def _write_one(self, trial: Trial) -> str:
        from mlflow.entities import Metric, Param

        study, client = self._study, self._client
        name, tags = study.trial_name(trial), study.trial_tags(trial)
        run = client.create_run(study.experiment_id, start_time=trial.start_ms, tags=tags, run_name=name)
        run_id = str(run.info.run_id)
        metrics = [Metric(key, float(value), trial.end_ms, 0) for key, value in trial.metrics.items()]
        params = [Param(key, value) for key, value in study.trial_params(trial).items()]
        client.log_batch(run_id, metrics=metrics, params=params)
        with tempfile.TemporaryDirectory() as folder:
            files = write_trial_files(Path(folder), trial, study.grouping)
            if files:
                client.log_artifacts(run_id, folder)
                client.set_tag(run_id, Tag.FILES, sizes_text(files))
        # last, so that a run in state FINISHED is whole
        client.set_terminated(run_id, status="FINISHED", end_time=trial.end_ms)
        return run_id


def search_runs(
    client: MlflowClient, experiment_ids: Sequence[str], condition: str, *, with_deleted: bool = False
) -> Iterator[Run]:
    """Search runs, page by page, newest first.

    Raises
    ------
    TrackingError
        If the store cannot be searched.
    """
    from mlflow.entities import ViewType

    view = ViewType.ALL if with_deleted else ViewType.ACTIVE_ONLY
    token: str | None = ""
    while token is not None:
        with storage_errors(client.tracking_uri, "runs cannot be searched"):
            page = client.search_runs(list(experiment_ids), condition, view, max_results=5000, page_token=token or None)
        yield from page
        token = page.token or None
