"""Reports as artifacts: on the run that they report on, or on a run of their own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError
from tgsr.protocols import CLASS_NAMES
from tgsr.tracking.names import CONFUSION, REPORTS_TITLE, Tag
from tgsr.tracking.place import Place
from tgsr.tracking.reading import find_run, read_artifact
from tgsr.tracking.study_runs import ParentSpec, finish_parent, start_parent
from tgsr.tracking.views import prepare_experiment
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StoredConfusion",
    "find_runs",
    "log_confusion",
    "log_paper_report",
    "log_study_report",
    "read_confusion",
    "read_csv",
]


@dataclass(frozen=True, eq=False)
class StoredConfusion:
    """A confusion matrix on a study's run.

    Attributes
    ----------
    matrix : array of int, shape (n_classes, n_classes)
    trial_run_id : str or None
        The trial that it is of; None for the one that the study called its best.
    """

    matrix: npt.NDArray[np.int64]
    trial_run_id: str | None


def log_study_report(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Put a report's folder onto its study's run, and see to it that the UI shows the study's experiment well."""
    client.log_artifacts(run_id, str(folder))
    prepare_experiment(client, find_run(client, run_id).info.experiment_id)


def log_paper_report(client: MlflowClient, place: Place, folder: Path, description: str) -> str:
    """Put the report of all experiments onto the run that ``mlflow run`` has started, or a new one; returns its id."""
    spec = ParentSpec(
        title=REPORTS_TITLE,
        name="report of all experiments",
        description=description,
        tags={Tag.KIND: "report", Tag.CODE_VERSION: code_version()},
    )
    run_id = start_parent(client, spec, place.artifact_root)
    client.log_artifacts(run_id, str(folder))
    finish_parent(client, run_id)
    return run_id


def log_confusion(
    client: MlflowClient, run_id: str, confusion: npt.NDArray[np.int64], trial_run_id: str | None = None
) -> None:
    """Keep a trial's confusion matrix, shape (n_classes, n_classes), with its study; a grid's trials have no runs."""
    content = {"classes": list(CLASS_NAMES), "confusion": confusion.tolist(), "trial_run_id": trial_run_id}
    client.log_text(run_id, json.dumps(content), CONFUSION)


def read_confusion(client: MlflowClient, run_id: str) -> StoredConfusion | None:
    """Read what `log_confusion` or the study itself wrote, None if there is nothing (readable)."""
    try:
        stored = json.loads(read_artifact(client, run_id, CONFUSION))
        return StoredConfusion(np.array(stored["confusion"], dtype=np.int64), stored.get("trial_run_id"))
    except (MissingDataError, KeyError, ValueError):
        return None


def read_csv(client: MlflowClient, run_id: str) -> pd.DataFrame:
    """Read the table that a run carries as its (only, or first) ``.csv`` artifact.

    Raises
    ------
    MissingDataError
        If the run has none.
    """
    import pandas as pd

    run = find_run(client, run_id)
    for entry in client.list_artifacts(run_id):
        if str(entry.path).endswith(".csv"):
            return pd.read_csv(io.BytesIO(read_artifact(client, run_id, str(entry.path))))
    raise MissingDataError(f"run {run_id} ({run.info.run_name}) has no table (.csv artifact)")


def find_runs(client: MlflowClient, kind: str, experiment: str | None = None) -> list[Run]:
    """Find the runs of a kind (``study``, ``grid``, ``compare``), newest first; optionally of one experiment."""
    condition = f"tags.`{Tag.KIND}` = '{kind}'"
    if experiment is not None:
        condition += f" and tags.`{Tag.EXPERIMENT}` = '{experiment}'"
    ids = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(ids, condition, max_results=5000, order_by=["attributes.start_time DESC"]))
