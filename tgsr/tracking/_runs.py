"""Parent runs, of studies and others: started or joined, their inputs, summary, reports and end."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tgsr.tracking._bulk import analyze
from tgsr.trials.trial import settings_text, source_tags
from tgsr.tracking._views import prepare_experiment
from tgsr.tracking.config import ensure_experiment, retry
from tgsr.tracking.names import GENERATED_NOTE, SURFACE, TRIALS_CSV, TRIALS_PARQUET, Tag

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from tgsr.datasets import FeatureDataset

__all__ = [
    "ParentSpec",
    "ending",
    "find_parent",
    "finish_parent",
    "log_inputs",
    "log_report",
    "log_summary",
    "mark_generated",
    "reopen_parent",
    "start_parent",
]

_DIGEST_LENGTH = 36
"""MLflow's limit; the whole digest is in the tags and in the dataset's profile."""
_SCORES = ("macro_f1", "accuracy", "selection_value")
_POINTS_A_CALL = 1000


@dataclass(frozen=True)
class ParentSpec:
    """What a parent run is to be called and to carry.

    ``title`` is MLflow's experiment (of a run that is joined its own), ``description`` is in Markdown, ``files`` are
    text artifacts by name, such as ``names.STUDY_JSON``.
    """

    title: str
    name: str
    description: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    parent_run_id: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def start_parent(client: MlflowClient, spec: ParentSpec, artifact_root: str | None) -> str:
    """Start a parent run, or join the one that ``mlflow run`` has started (``MLFLOW_RUN_ID``). Returns its id."""
    tags = {**spec.tags, Tag.NOTE: spec.description}
    joined = os.environ.get("MLFLOW_RUN_ID") if spec.parent_run_id is None else None
    if joined:  # its user and source are the project's own, which say more
        for key, value in tags.items():
            client.set_tag(joined, key, value)
        client.update_run(joined, name=spec.name)
        run_id, experiment_id = joined, client.get_run(joined).info.experiment_id
    else:
        tags |= source_tags() | ({Tag.PARENT: spec.parent_run_id} if spec.parent_run_id else {})
        experiment_id = ensure_experiment(client, spec.title, artifact_root)
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=spec.name).info.run_id)
    prepare_experiment(client, experiment_id)
    present = client.get_run(run_id).data.params  # `mlflow run` has logged the entry point's own already
    for key, value in spec.params.items():
        if key not in present:
            client.log_param(run_id, key, value)
    for name, text in spec.files.items():
        client.log_text(run_id, text, name)
    return run_id


def reopen_parent(client: MlflowClient, run_id: str) -> None:
    """Set a parent run to RUNNING, and take back which trial is best: it may soon be another."""
    client.update_run(run_id, status="RUNNING")
    tags = client.get_run(run_id).data.tags
    for key in (Tag.BEST_TRIAL, Tag.BEST_RUN, Tag.BEST_SETTINGS):
        if key in tags:
            client.delete_tag(run_id, key)


@contextmanager
def ending(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Set a parent run to KILLED or FAILED if the block does not come to its end."""
    try:
        yield
    except BaseException as error:
        finish_parent(client, run_id, error)
        raise


def find_parent(client: MlflowClient, kind: str, key: str) -> str | None:
    """Run id of the active parent of this kind that was started under this key (tag ``tgsr.study``), if any."""
    ids = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(ids, f"tags.`{Tag.KIND}` = '{kind}' and tags.`{Tag.STUDY}` = '{key}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def mark_generated(client: MlflowClient, run_id: str) -> None:
    """Say of a run that its data are generated: by a tag, and at the head of its description."""
    note = client.get_run(run_id).data.tags.get(Tag.NOTE, "")
    client.set_tag(run_id, Tag.GENERATED, "true")
    if not note.startswith(GENERATED_NOTE):
        client.set_tag(run_id, Tag.NOTE, f"{GENERATED_NOTE}\n\n{note}")


def log_inputs(client: MlflowClient, run_id: str, datasets: Mapping[str, FeatureDataset], where: str) -> None:
    """Log databases by their context (``"source"``, ``"target"``), and the folder that they were read from.

    Generated ones mark the run.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for context, data in datasets.items():
        profile = {"samples": len(data), **data.counts, "digest": data.digest, "parameters": data.parameters}
        dataset = Dataset(
            name=f"{data.name} (generated)" if data.is_generated else data.name,
            digest=data.digest[:_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": where}),
            schema=json.dumps({"features": list(data.features.shape[1:]), "dtype": "float64"}),
            profile=json.dumps(profile),
        )
        inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context)]))
    retry(lambda: client.log_inputs(run_id, inputs))
    client.set_tag(run_id, Tag.DATA_FOLDER, where)
    if any(data.is_generated for data in datasets.values()):
        mark_generated(client, run_id)


def log_summary(
    client: MlflowClient,
    run_id: str,
    table: pd.DataFrame,
    row: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    grid: bool = False,
    files: Mapping[str, str] | None = None,
) -> None:
    """Sum a study up on its run.

    The best trial's scores and numeric settings (``best_kappa``) become metrics, its ids tags, the table of trials
    artifacts; of a complete ``grid`` also curves through the best trial and, of two numeric settings, the surface.

    Parameters
    ----------
    table : DataFrame
        All finished trials, as `tgsr.tracking.reading.trial_table` gives them.
    row, settings : mapping
        The best trial's row, and what it tried.
    files : mapping, optional
        Further artifacts by name.
    """
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    numbers = {key: value for key, value in row.items() if key not in settings and isinstance(value, (int, float))}
    metrics = {key: float(value) for key, value in numbers.items() if key != "trial"}
    metrics |= {f"best_{key}": float(settings[key]) for key in _numeric(table, settings)}
    tags = {
        Tag.BEST_TRIAL: str(row["trial"]),
        Tag.BEST_RUN: str(row["run_id"]),
        Tag.BEST_SETTINGS: settings_text(settings) or "none",
    }
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, 0) for key, value in (metrics | {"trials": float(len(table))}).items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    if grid:
        _log_curves(client, run_id, table, settings)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stored = table.drop(columns="cell", errors="ignore")
        stored.to_csv(folder / TRIALS_CSV, index=False)
        stored.to_parquet(folder / TRIALS_PARQUET, index=False)
        axes = _numeric(table, settings)
        if grid and len(axes) == 2 == len(settings):
            np.savez_compressed(folder / SURFACE, allow_pickle=False, **_surface(table, *axes))
        for name, content in (files or {}).items():
            (folder / name).write_text(content, encoding="utf-8")
        client.log_artifacts(run_id, str(folder))
    analyze(client)


def log_report(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Put a report's folder onto its run, and see to it that the UI shows the run's experiment well."""
    client.log_artifacts(run_id, str(folder))
    prepare_experiment(client, client.get_run(run_id).info.experiment_id)


def finish_parent(client: MlflowClient, run_id: str, error: BaseException | None = None) -> None:
    """End a parent run, KILLED or FAILED by an error; one that ``mlflow run`` has started is ended by it."""
    if os.environ.get("MLFLOW_RUN_ID") != run_id:
        failed = "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
        client.set_terminated(run_id, status="FINISHED" if error is None else failed)


def _numeric(table: pd.DataFrame, settings: Mapping[str, Any]) -> list[str]:
    """The settings whose values are numbers in all trials."""
    numbers = table.select_dtypes("number").columns
    return [name for name in settings if name in numbers and not table[name].isna().any()]


def _surface(table: pd.DataFrame, *axes: str) -> dict[str, Any]:
    surface: dict[str, Any] = {"axes": np.array(axes)}
    for score in (score for score in _SCORES if score in table):
        matrix = table.pivot(index=axes[0], columns=axes[1], values=score)
        surface |= {axes[0]: matrix.index.to_numpy(), axes[1]: matrix.columns.to_numpy(), score: matrix.to_numpy()}
    return surface


def _log_curves(client: MlflowClient, run_id: str, table: pd.DataFrame, settings: Mapping[str, Any]) -> None:
    """Log scores over each numeric setting, the others as in the best trial: ``macro_f1_over_kappa``.

    The step is the setting itself where it is an integer, else its rank among those of the curve. The names are the
    same in every study, so that MLflow lays the curves of several over each other.
    """
    from mlflow.entities import Metric

    run = client.get_run(run_id)
    at = int(run.info.start_time)  # one fixed time: a curve that is logged again repeats its points
    points: list[Metric] = []
    for axis in _numeric(table, settings):
        others = [table[name] == value for name, value in settings.items() if name != axis]
        cut = table[np.logical_and.reduce(others)] if others else table
        cut = cut.sort_values(axis, ignore_index=True)
        for score in (score for score in _SCORES if score in cut):
            name = f"{score}_over_{axis}"
            # points cannot be taken back: of a study whose best trial has changed the first curve stays
            if len(cut) > 1 and name not in run.data.metrics:
                steps = cut[axis] if cut[axis].dtype.kind == "i" else cut.index
                pairs = zip(cut[score], steps, strict=True)
                points += [Metric(name, float(value), at, int(step)) for value, step in pairs if value == value]
    for start in range(0, len(points), _POINTS_A_CALL):
        client.log_batch(run_id, metrics=points[start : start + _POINTS_A_CALL])
