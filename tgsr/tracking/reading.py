"""Reading stored results back: studies, their trials, surfaces and regression matrices.

Reports and the command line read results only through this module.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, TrackingError
from tgsr.tracking._bulk import connect, query_trials
from tgsr.tracking._client import search_runs
from tgsr.tracking._files import read_coefficients_file
from tgsr.tracking.config import local_artifact_folder, masked
from tgsr.tracking.names import COEFFICIENTS, REGIONS, STUDY_JSON, SURFACE, TRIALS_PARQUET, Tag

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StudySummary",
    "find_run",
    "find_runs",
    "list_studies",
    "read_artifact",
    "read_coefficients",
    "read_regions",
    "read_spec_json",
    "read_study",
    "read_surface",
    "read_trials",
    "trial_table",
]

_FIRST = ("selection_value", "macro_f1", "accuracy", "recall")
_LAST = "fit_seconds"


@dataclass(frozen=True)
class StudySummary:
    """One study as stored: its parent run's id, name, state and what is logged on it.

    ``status`` is MLflow's (``FINISHED``, ``RUNNING``, ``FAILED``); the metrics are the best trial's.
    """

    run_id: str
    name: str
    status: str
    experiment_id: str
    start_ms: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]

    @property
    def experiment(self) -> str:
        """The pair of databases, such as ``"V-N"``."""
        return self.tags.get(Tag.EXPERIMENT, "")

    @property
    def selection(self) -> str:
        """The selection rule."""
        return self.tags.get(Tag.SELECTION, "")

    @property
    def sampler(self) -> str:
        """``grid``, ``tpe`` or ``random``."""
        return self.tags.get(Tag.SAMPLER, "")

    @property
    def method(self) -> str:
        """The method that was studied."""
        return self.tags.get(Tag.METHOD, "TGSR")

    @property
    def best_run_id(self) -> str | None:
        """Run id of the best trial, None while there is none."""
        return self.tags.get(Tag.BEST_RUN)


def list_studies(client: MlflowClient, experiment: str | None = None) -> list[StudySummary]:
    """List the stored studies, newest first; ``experiment`` (such as ``"V-N"``) keeps those of one pair."""
    return [_summary(run) for run in find_runs(client, "study", experiment)]


def find_runs(client: MlflowClient, kind: str, experiment: str | None = None) -> list[Run]:
    """Find the runs of a kind (``study``, ``paper``, …), newest first; optionally of one pair of databases."""
    condition = f"tags.`{Tag.KIND}` = '{kind}'"
    if experiment is not None:
        condition += f" and tags.`{Tag.EXPERIMENT}` = '{experiment}'"
    ids = [found.experiment_id for found in client.search_experiments()]
    return list(search_runs(client, ids, condition))


def read_study(client: MlflowClient, run_id: str) -> StudySummary:
    """Read one study's parent run."""
    return _summary(find_run(client, run_id))


def find_run(client: MlflowClient, run_id: str) -> Run:
    """Get a run.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise MissingDataError(f"no MLflow run {run_id!r} in {masked(client.tracking_uri)}") from error


def read_spec_json(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Read a study's specification.

    Raises
    ------
    MissingDataError
        If the run has none: it is no study, or one of an older version.
    """
    stored: dict[str, Any] = json.loads(read_artifact(client, run_id, STUDY_JSON))
    return stored


def read_trials(client: MlflowClient, run_id: str, *, stored_table: bool = True) -> pd.DataFrame:
    """Read a study's trials: the table that it carries when it is finished, else (or if told so) its child runs.

    Returns
    -------
    DataFrame
        As `trial_table` gives it, without ``cell``.
    """
    import pandas as pd

    parent = find_run(client, run_id)
    if stored_table and parent.info.status == "FINISHED":
        with suppress(MissingDataError), _artifact(client, parent, TRIALS_PARQUET) as path:
            return pd.read_parquet(path)
    return trial_table(client, run_id, parent.info.experiment_id).drop(columns="cell")


def trial_table(client: MlflowClient, run_id: str, experiment_id: str) -> pd.DataFrame:
    """Read a study's finished, active trials from their runs.

    Returns
    -------
    DataFrame
        A row a trial, sorted by number: ``trial, run_id, cell``, a column for each setting, the metrics,
        ``predictions``, ``fit_seconds``.
    """
    import pandas as pd

    keys = [Tag.TRIAL, Tag.CELL, Tag.SETTINGS, Tag.PREDICTIONS]
    try:
        tags, metrics = query_trials(connect(client.tracking_uri), run_id, keys)
    except TrackingError:
        condition = f"tags.`{Tag.PARENT}` = '{run_id}' and tags.`{Tag.KIND}` = 'trial'"
        runs = list(search_runs(client, [experiment_id], f"{condition} and attributes.status = 'FINISHED'"))
        ids = pd.Index([str(run.info.run_id) for run in runs], dtype=object)
        tags, metrics = (pd.DataFrame([getattr(run.data, kind) for run in runs], ids) for kind in ("tags", "metrics"))
    facts = tags.reindex(columns=keys).set_axis(["trial", "cell", "settings", "predictions"], axis=1)
    facts = facts.astype({"trial": "int64"}).rename_axis("run_id").reset_index()
    facts = facts.sort_values(["trial", "run_id"], ignore_index=True)
    settings = pd.DataFrame([json.loads(text) for text in facts["settings"].fillna("{}")])
    scores = metrics.reindex(facts["run_id"]).reset_index(drop=True)
    names = [name for name in _FIRST if name in scores] + sorted(set(map(str, scores)) - {*_FIRST, _LAST})
    parts = [facts[["trial", "run_id", "cell"]], settings, scores[names], facts["predictions"], scores.filter([_LAST])]
    return pd.concat(parts, axis=1)


def read_surface(client: MlflowClient, run_id: str) -> dict[str, npt.NDArray[Any]]:
    """Read the scores of a study over its two numeric settings from its parent run.

    Returns
    -------
    dict
        ``axes``, the settings' names, such as ``["kappa", "xi"]``; under each name its ascending values; and by score
        a matrix (first × second setting), NaN where there is no trial.

    Raises
    ------
    MissingDataError
        If the study has none.
    """
    with _artifact(client, find_run(client, run_id), SURFACE) as path, np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def read_coefficients(client: MlflowClient, run_id: str) -> npt.NDArray[np.float64]:
    """Read a trial's regression matrix, shape (n_features, n_classes), canonical layout.

    Raises
    ------
    MissingDataError
        If the trial keeps none (the study's matrices were thinned), or its file is damaged.
    """
    with _artifact(client, find_run(client, run_id), COEFFICIENTS) as path:
        try:
            return read_coefficients_file(path)
        except Exception as error:  # NumPy and zipfile each raise their own
            raise MissingDataError(
                f"{COEFFICIENTS} of run {run_id} is damaged ({error}); run its study again: it replaces the trial"
            ) from error


def read_regions(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Read which groups a trial kept: its settings, ``grouping, kept, group_norms``."""
    stored: dict[str, Any] = json.loads(read_artifact(client, run_id, REGIONS))
    return stored


def read_artifact(client: MlflowClient, run_id: str, name: str) -> bytes:
    """Read any artifact file of a run.

    Raises
    ------
    MissingDataError
        If the run has no such artifact.
    """
    with _artifact(client, find_run(client, run_id), name) as path:
        return path.read_bytes()


@contextmanager
def _artifact(client: MlflowClient, run: Run, name: str) -> Iterator[Path]:
    """The file of an artifact: where it lies if that is on this machine, else a copy that goes with the block."""
    folder = local_artifact_folder(run.info.artifact_uri)
    if folder is not None:
        path = folder / name
        if not path.is_file():
            raise MissingDataError(f"run {run.info.run_id} ({run.info.run_name}) has no artifact {name}")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        try:
            copy = Path(client.download_artifacts(run.info.run_id, name, temporary))
        except Exception as error:  # each artifact store raises its own
            message = masked(str(error))
            raise MissingDataError(f"run {run.info.run_id} has no readable artifact {name}: {message}") from error
        yield copy


def _summary(run: Run) -> StudySummary:
    info, data = run.info, run.data
    return StudySummary(
        run_id=str(info.run_id),
        name=str(info.run_name),
        status=str(info.status),
        experiment_id=str(info.experiment_id),
        start_ms=int(info.start_time),
        metrics=dict(data.metrics),
        params=dict(data.params),
        tags=dict(data.tags),
    )
