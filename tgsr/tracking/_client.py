"""What a trial's run holds, and writing it by MLflow's public client: works with every store, a few calls a trial."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tgsr.evaluation.choice import RULE
from tgsr.tracking._files import write_trial_files
from tgsr.tracking.config import is_server
from tgsr.tracking.names import Tag
from tgsr.tracking.runs import source_tags
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial, encode_predictions, settings_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["ClientWriter", "Content", "common_params", "trial_content"]

_LONGEST_TAG = 8000
"""MLflow's limit on the length of a tag's value."""
_THREADS = 8


class Content(NamedTuple):
    """What a trial's run holds besides its files."""

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def trial_content(spec: StudySpec, parent_run_id: str, trial: Trial) -> Content:
    """The run of a trial: its settings as parameters; scores, what the method tells, ``rules.<name>`` as metrics."""
    shown = [
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in trial.settings.items()
    ]
    name = " ".join((spec.method, *shown))[:250]
    params = {key: str(value) for key, value in trial.settings.items()}
    xi = trial.settings.get("xi")
    if isinstance(xi, (int, float)) and xi > 0:  # over its logarithm MLflow's charts are even
        params["log10_xi"] = f"{math.log10(xi):.6g}"
    tags = {
        Tag.PARENT: parent_run_id,
        Tag.RUN_NAME: name,
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
    if len(predictions) <= _LONGEST_TAG:  # of more samples they are not kept
        tags[Tag.PREDICTIONS] = predictions
    rules = {f"{RULE}{rule}": value for rule, value in trial.rules.items()}
    return Content(name, params | common_params(spec), {**trial.metrics, **rules}, tags)


def common_params(spec: StudySpec) -> dict[str, str]:
    """Parameters that a study's trials share: the method, and what is fixed."""
    fixed = {name if name != "groups" else "grouping": str(value) for name, value in spec.fixed.items()}
    return {"method": spec.method, **fixed} | ({"preprocess": spec.preprocess} if spec.preprocess != "none" else {})


class ClientWriter:
    """The public way, below a study's run; `tgsr.tracking._bulk.BulkWriter` does the same faster."""

    name = "client"

    def __init__(self, client: MlflowClient, run: Run, spec: StudySpec) -> None:
        self._client, self._spec = client, spec
        self._run_id, self._experiment_id = str(run.info.run_id), str(run.info.experiment_id)

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

    def _each(self, call: Any, entries: Sequence[Any]) -> list[Any]:
        if not is_server(self._client.tracking_uri):  # with a database on this machine threads only wait for each other
            return [call(entry) for entry in entries]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(call, entries))

    def _write_one(self, trial: Trial) -> str:
        from mlflow.entities import Metric, Param

        client, (name, params, metrics, tags) = self._client, trial_content(self._spec, self._run_id, trial)
        run = client.create_run(self._experiment_id, start_time=trial.start_ms, tags=tags, run_name=name)
        run_id = str(run.info.run_id)
        client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), trial.end_ms, 0) for key, value in metrics.items()],
            params=[Param(key, value) for key, value in params.items()],
        )
        with tempfile.TemporaryDirectory() as folder:
            sizes = write_trial_files(Path(folder), trial, self._spec.grouping)
            if sizes:
                client.log_artifacts(run_id, folder)
                client.set_tag(run_id, Tag.FILES, json.dumps(sizes))
        # last, so that a run in state FINISHED is whole
        client.set_terminated(run_id, status="FINISHED", end_time=trial.end_ms)
        return run_id
