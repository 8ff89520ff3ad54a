"""Writing and listing trials by MLflow's public client: works with every tracking store, a few calls a trial."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tgsr.evaluation.choice import RULE
from tgsr.tracking._files import sizes_text, write_trial_files
from tgsr.tracking.client import search_runs
from tgsr.tracking.config import is_server
from tgsr.tracking.names import Tag
from tgsr.tracking.runs import source_tags
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial, encode_predictions, settings_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["ClientWriter", "StoredRun", "common_params", "trial_metrics", "trial_name", "trial_params", "trial_tags"]

_LONGEST_TAG = 8000
"""MLflow's limit on the length of a tag's value."""
_THREADS = 8


class StoredRun(NamedTuple):
    """A trial's run as it is stored; of its tags those of its cell, its files and whether the program deleted it."""

    run_id: str
    is_finished: bool
    is_deleted: bool
    tags: Mapping[str, str]


def trial_name(spec: StudySpec, trial: Trial) -> str:
    """The name of a trial's run, such as ``"TGSR kappa 20 xi 0.1"``."""
    shown = (
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.settings.items()
    )
    return " ".join((spec.method, *shown))[:250]


def trial_params(spec: StudySpec, trial: Trial) -> dict[str, str]:
    """Parameters of a trial's run; of a positive ξ also its logarithm, over which MLflow's charts are even."""
    params = {name: str(value) for name, value in trial.settings.items()}
    xi = trial.settings.get("xi")
    if isinstance(xi, (int, float)) and xi > 0:
        params["log10_xi"] = f"{math.log10(xi):.6g}"
    return params | common_params(spec)


def common_params(spec: StudySpec) -> dict[str, str]:
    """Parameters that a study's trials share: the method, and what is fixed."""
    fixed = {name if name != "groups" else "grouping": str(value) for name, value in spec.fixed.items()}
    return {"method": spec.method, **fixed} | ({"preprocess": spec.preprocess} if spec.preprocess != "none" else {})


def trial_metrics(trial: Trial) -> dict[str, float]:
    """Metrics of a trial's run: scores and the method's own, and the rules' values as ``rules.<name>``."""
    return {**trial.metrics, **{f"{RULE}{name}": value for name, value in trial.rules.items()}}


def trial_tags(spec: StudySpec, parent_run_id: str, trial: Trial) -> dict[str, str]:
    """Tags of a trial's run."""
    tags = {
        Tag.PARENT: parent_run_id,
        Tag.RUN_NAME: trial_name(spec, trial),
        Tag.KIND: "trial",
        Tag.EXPERIMENT: spec.pair,
        Tag.METHOD: spec.method,
        Tag.TRIAL: str(trial.number),
        Tag.CELL: trial.cell,
        Tag.SETTINGS: settings_json(trial.settings),
        **source_tags(),
    }
    if spec.grouping:
        tags[Tag.GROUPING] = spec.grouping
    predictions = encode_predictions(trial.predictions)
    # of more samples than a tag holds the predictions are not kept
    return tags | {Tag.PREDICTIONS: predictions} if len(predictions) <= _LONGEST_TAG else tags


class ClientWriter:
    """The public way; `tgsr.tracking._bulk.BulkWriter` does the same faster.

    Parameters
    ----------
    client : MlflowClient
    run : mlflow.entities.Run
        The study's.
    spec : StudySpec
    """

    name = "client"

    def __init__(self, client: MlflowClient, run: Run, spec: StudySpec) -> None:
        self._client, self._spec = client, spec
        self._run_id, self._experiment_id = str(run.info.run_id), str(run.info.experiment_id)

    def runs(self) -> Iterator[StoredRun]:
        """All trials' runs, whatever their state, in the order of their ids."""
        condition = f"tags.`{Tag.PARENT}` = '{self._run_id}' and tags.`{Tag.KIND}` = 'trial'"
        runs = search_runs(self._client, [self._experiment_id], condition, with_deleted=True)
        for run in sorted(runs, key=lambda run: str(run.info.run_id)):
            info = run.info
            yield StoredRun(
                str(info.run_id), info.status == "FINISHED", info.lifecycle_stage != "active", run.data.tags
            )

    def write(self, trials: Sequence[Trial]) -> list[str]:
        """Write trials of which none is there; the run ids come back in the same order."""
        return self._each(self._write_one, trials)

    def add_metrics(self, values: Mapping[str, Mapping[str, float]], at_ms: int) -> None:
        """Add metrics to runs that are there, in place of values that these had: run id → metric → value."""
        from mlflow.entities import Metric

        def add(entry: tuple[str, Mapping[str, float]]) -> None:
            points = [Metric(key, float(value), at_ms, 0) for key, value in entry[1].items()]
            self._client.log_batch(entry[0], metrics=points)

        self._each(add, list(values.items()))

    def remove(self, run_ids: Sequence[str]) -> None:
        """Delete runs, and note that it was not a person who did."""
        for run_id in run_ids:
            self._client.set_tag(run_id, Tag.DISCARDED, "unfinished, or there twice")
            self._client.delete_run(run_id)

    def restore(self, run_ids: Sequence[str]) -> None:
        """Bring deleted runs back."""
        for run_id in run_ids:
            self._client.restore_run(run_id)

    def _each(self, call: Any, entries: Sequence[Any]) -> list[Any]:
        if not is_server(self._client.tracking_uri):  # with a database on this machine threads only wait for each other
            return [call(entry) for entry in entries]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(call, entries))

    def _write_one(self, trial: Trial) -> str:
        from mlflow.entities import Metric, Param

        spec, client = self._spec, self._client
        tags = trial_tags(spec, self._run_id, trial)
        run = client.create_run(
            self._experiment_id, start_time=trial.start_ms, tags=tags, run_name=trial_name(spec, trial)
        )
        run_id = str(run.info.run_id)
        metrics = [Metric(key, float(value), trial.end_ms, 0) for key, value in trial_metrics(trial).items()]
        params = [Param(key, value) for key, value in trial_params(spec, trial).items()]
        client.log_batch(run_id, metrics=metrics, params=params)
        with tempfile.TemporaryDirectory() as folder:
            files = write_trial_files(Path(folder), trial, spec.grouping)
            if files:
                client.log_artifacts(run_id, folder)
                client.set_tag(run_id, Tag.FILES, sizes_text(files))
        # last, so that a run in state FINISHED is whole
        client.set_terminated(run_id, status="FINISHED", end_time=trial.end_ms)
        return run_id
