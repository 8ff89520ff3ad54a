"""The parent run of a study: started or joined, its datasets, its summary, its end."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tgsr.tracking.names import (
    CURVES,
    GENERATED_NOTE,
    SURFACE,
    SURFACE_PICTURE,
    TRIALS_CSV,
    TRIALS_PARQUET,
    Tag,
)
from tgsr.tracking.place import ensure_experiment
from tgsr.tracking.records import settings_text, source_tags
from tgsr.tracking.retrying import insist
from tgsr.tracking.views import describe_experiment

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from tgsr.datasets import FeatureDataset

__all__ = [
    "ParentSpec",
    "ending",
    "find_parent",
    "finish_parent",
    "log_best",
    "log_curves",
    "log_inputs",
    "log_trial_table",
    "mark_generated",
    "reopen_parent",
    "start_parent",
]

_DIGEST_LENGTH = 36
"""MLflow's limit; the whole digest is in the tags and in the dataset's profile."""


@dataclass(frozen=True)
class ParentSpec:
    """What a parent run is to be called and to carry.

    Attributes
    ----------
    title : str
        MLflow's experiment, such as ``"tgsr/V-N"``; not used by a run that is joined.
    name : str
        Run name, such as ``"V-N grid oracle region"``.
    description : str
        Shown at the head of the run's page (Markdown).
    tags, params : mapping
    parent_run_id : str, optional
        The run above this one.
    """

    title: str
    name: str
    description: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    parent_run_id: str | None = None


def start_parent(client: MlflowClient, spec: ParentSpec, artifact_root: str | None, *, join: bool = True) -> str:
    """Start a parent run, or join the one that ``mlflow run`` has started (``MLFLOW_RUN_ID``). Returns its id."""
    tags = {**source_tags(), **spec.tags, Tag.NOTE: spec.description}
    if spec.parent_run_id is not None:
        tags[Tag.PARENT] = spec.parent_run_id
    joined = os.environ.get("MLFLOW_RUN_ID") if join else None
    if joined:
        for key in (Tag.USER, Tag.SOURCE_NAME, Tag.SOURCE_TYPE):
            tags.pop(key)  # the project's own say more
        for key, value in tags.items():
            client.set_tag(joined, key, value)
        client.update_run(joined, name=spec.name)
        run_id = joined
    else:
        experiment_id = ensure_experiment(client, spec.title, artifact_root)
        describe_experiment(client, experiment_id)
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=spec.name).info.run_id)
    present = client.get_run(run_id).data.params  # `mlflow run` has logged the entry point's own already
    for key, value in spec.params.items():
        if key not in present:
            client.log_param(run_id, key, value)
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
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        finish_parent(client, run_id, "KILLED" if stopped else "FAILED")
        raise


def find_parent(client: MlflowClient, kind: str, key: str) -> str | None:
    """Run id of the parent of this kind that was started under this key (tag ``tgsr.study``), if any."""
    ids = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(ids, f"tags.`{Tag.KIND}` = '{kind}' and tags.`{Tag.STUDY}` = '{key}'", max_results=1)
    if not found:
        return None
    run_id = str(found[0].info.run_id)
    joined = os.environ.get("MLFLOW_RUN_ID")
    if joined and joined != run_id:
        client.set_tag(joined, Tag.CONTINUES, run_id)
    client.update_run(run_id, status="RUNNING")
    return run_id


def mark_generated(client: MlflowClient, run_id: str) -> None:
    """Say of a run that its data are generated: by a tag, and at the head of its description."""
    note = client.get_run(run_id).data.tags.get(Tag.NOTE, "")
    client.set_tag(run_id, Tag.GENERATED, "true")
    client.set_tag(run_id, Tag.NOTE, f"{GENERATED_NOTE}\n\n{note}")


def log_inputs(client: MlflowClient, run_id: str, datasets: Mapping[str, FeatureDataset], where: str) -> None:
    """Log databases as the run's inputs; generated ones mark the run.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
    datasets : mapping of str to FeatureDataset
        Context (``"source"``, ``"target"``) → database.
    where : str
        The folder they were read from.
    """
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for context, data in datasets.items():
        profile = {"samples": len(data), **data.counts, "digest": data.digest, "parameters": data.parameters}
        schema = {"features": list(data.features.shape[1:]), "layout": "[region][plane][bin]", "dtype": "float64"}
        inputs.append(
            DatasetInput(
                Dataset(
                    name=f"{data.name} (generated)" if data.is_generated else data.name,
                    digest=data.digest[:_DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": where}),
                    schema=json.dumps(schema),
                    profile=json.dumps(profile),
                ),
                tags=[InputTag("mlflow.data.context", context)],
            )
        )
    insist(lambda: client.log_inputs(run_id, inputs))
    if any(data.is_generated for data in datasets.values()):
        mark_generated(client, run_id)


def log_best(
    client: MlflowClient,
    run_id: str,
    row: Mapping[str, Any],
    n_trials: int,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Put the best trial onto its study's run: its scores as metrics, ``best_kappa``, ``best_xi``, tags with its ids.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
    row : mapping
        The best trial's row of the trial table.
    n_trials : int
        Finished trials.
    settings : mapping, optional
        What the best trial of another method than TGSR tried; the row is then without it.
    """
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    metrics = {key: float(value) for key, value in row.items() if key not in ("trial", "run_id", "kappa", "xi")}
    metrics |= {f"best_{key}": float(row[key]) for key in ("kappa", "xi") if key in row} | {"trials": float(n_trials)}
    tags = [RunTag(Tag.BEST_TRIAL, str(row["trial"])), RunTag(Tag.BEST_RUN, str(row["run_id"]))]
    if settings is not None:
        tags.append(RunTag(Tag.BEST_SETTINGS, settings_text(settings) or "none"))
    client.log_batch(run_id, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()], tags=tags)


def log_trial_table(client: MlflowClient, run_id: str, table: pd.DataFrame) -> None:
    """Put the trial table onto the study's run, of TGSR also the score surface.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
    table : DataFrame
        Columns ``trial, run_id``, what was tried (``kappa, xi``) and metrics.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table.to_csv(folder / TRIALS_CSV, index=False)
        table.to_parquet(folder / TRIALS_PARQUET, index=False)
        if "kappa" in table:
            surface = _surface(table)
            np.savez_compressed(folder / SURFACE, **surface)
            (folder / SURFACE_PICTURE).write_bytes(_surface_picture(surface))
        client.log_artifacts(run_id, str(folder))


def finish_parent(client: MlflowClient, run_id: str, status: str = "FINISHED") -> None:
    """End a parent run in the given state, or leave it RUNNING; one that ``mlflow run`` has started is ended by it."""
    if os.environ.get("MLFLOW_RUN_ID") == run_id:
        return
    if status == "RUNNING":
        client.update_run(run_id, status=status)
    else:
        client.set_terminated(run_id, status=status)


def _surface(table: pd.DataFrame) -> dict[str, Any]:
    kappas, rows = np.unique(table["kappa"].to_numpy(dtype=np.int64), return_inverse=True)
    xis, columns = np.unique(table["xi"].to_numpy(dtype=np.float64), return_inverse=True)
    surface: dict[str, Any] = {"kappas": kappas, "xis": xis}
    # a sampled study's cells hardly ever share a κ and a ξ: the sparse matrix would be larger than the table
    for metric in ("macro_f1", "accuracy", "selection_value"):
        if metric in table and len(kappas) * len(xis) <= 20 * max(len(table), 1000):
            matrix = np.full((len(kappas), len(xis)), np.nan)
            matrix[rows, columns] = table[metric].to_numpy(dtype=np.float64)
            surface[metric] = matrix
    return surface


def _surface_picture(surface: Mapping[str, Any]) -> bytes:
    """A plain picture for the artifact view, κ upwards, ξ to the right; the report draws the one with axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    scores = surface.get("macro_f1")
    if scores is None or min(scores.shape) < 2:
        axes.text(0.5, 0.5, "too few trials for a surface", ha="center", va="center")
    else:
        mesh = axes.pcolormesh(surface["xis"], surface["kappas"], scores, shading="nearest", cmap="cividis")
        figure.colorbar(mesh, label="macro-F1 on the target")
        axes.set(xscale="log" if surface["xis"][0] > 0 else "linear", xlabel="ξ", ylabel="κ")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def log_curves(
    client: MlflowClient, run_id: str, table: pd.DataFrame, best: Mapping[str, Any], xis: Iterable[float]
) -> None:
    """Log accuracy and macro-F1 over κ at the best ξ (step = κ), and over ξ at the best κ (step = rank of ξ in xis)."""
    from mlflow.entities import Metric

    # one fixed time: a curve logged again (a study that went on) repeats its points instead of doubling them
    at = int(client.get_run(run_id).info.start_time)
    ranks = {float(xi): rank for rank, xi in enumerate(xis)}
    cuts = (
        (CURVES[0].format(best["xi"]), table[table["xi"] == best["xi"]], "kappa"),
        (CURVES[1].format(best["kappa"]), table[table["kappa"] == best["kappa"]], "xi"),
    )
    points = [
        Metric(f"{metric}_{suffix}", float(row[metric]), at, int(row["kappa"]) if axis == "kappa" else ranks[row["xi"]])
        for suffix, cut, axis in cuts
        if len(cut) > 1
        for row in cut.to_dict("records")
        for metric in ("accuracy", "macro_f1")
    ]
    _log_points(client, run_id, points)


def _log_points(client: MlflowClient, run_id: str, points: Sequence[Any]) -> None:
    for start in range(0, len(points), 1000):
        client.log_batch(run_id, metrics=points[start : start + 1000])
