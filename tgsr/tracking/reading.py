"""Reading stored results back: studies, their trials, surfaces and regression matrices.

Reports and the command line read results only through this module.
"""

from __future__ import annotations

import ast
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, TrackingError
from tgsr.tracking.artifacts import read_coefficients_file
from tgsr.tracking.names import COEFFICIENTS, REGIONS, SURFACE, TRIALS_PARQUET, Tag

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StudySummary",
    "Surface",
    "find_run",
    "list_studies",
    "read_artifact",
    "read_coefficients",
    "read_extraction",
    "read_regions",
    "read_settings",
    "read_surface",
    "read_trials",
    "search_children",
]


@dataclass(frozen=True)
class StudySummary:
    """One study as stored: its parent run's facts.

    Attributes
    ----------
    run_id, name, status : str
        MLflow's run id, run name and state (``FINISHED``, ``RUNNING``, ``FAILED``).
    experiment : str
        Such as ``"V-N"``.
    selection, sampler, grouping : str
    start_ms : int
    metrics, params, tags : dict
        Of the parent run: the best trial's scores, the settings, everything else.
    """

    run_id: str
    name: str
    status: str
    experiment: str
    selection: str
    sampler: str
    grouping: str
    start_ms: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]

    @property
    def method(self) -> str:
        """The method that was studied."""
        return self.tags.get(Tag.METHOD, "TGSR")

    @property
    def best_run_id(self) -> str | None:
        """Run id of the best trial, None while there is none."""
        return self.tags.get(Tag.BEST_RUN)


@dataclass(frozen=True, eq=False)
class Surface:
    """Scores over the grid: ``scores[metric]`` has shape (len(kappas), len(xis)), NaN where there is no trial."""

    kappas: npt.NDArray[np.int64]
    xis: npt.NDArray[np.float64]
    scores: dict[str, npt.NDArray[np.float64]]


def list_studies(client: MlflowClient, experiment: str | None = None) -> list[StudySummary]:
    """List the stored studies, newest first; ``experiment`` (such as ``"V-N"``) keeps those of one experiment."""
    condition = f"tags.`{Tag.KIND}` = 'study'"
    if experiment is not None:
        condition += f" and tags.`{Tag.EXPERIMENT}` = '{experiment}'"
    ids = [found.experiment_id for found in client.search_experiments()]
    return [_summary(run) for run in _search(client, ids, condition)]


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
        raise MissingDataError(f"no MLflow run {run_id!r} in {client.tracking_uri}") from error


def read_extraction(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """How a study's source features were made, as its feature file told; empty where it did not."""
    inputs = find_run(client, run_id).inputs
    for logged in inputs.dataset_inputs if inputs else []:
        if any(tag.key == "mlflow.data.context" and tag.value == "source" for tag in logged.tags):
            parameters: dict[str, Any] = json.loads(logged.dataset.profile or "{}").get("parameters", {})
            return parameters
    return {}


def search_children(client: MlflowClient, parent: Run, kind: str = "trial", *, deleted: bool = False) -> Iterator[Run]:
    """Give the child runs of one kind, in no particular order; ``deleted`` gives those that are."""
    condition = f"tags.`{Tag.PARENT}` = '{parent.info.run_id}' and tags.`{Tag.KIND}` = '{kind}'"
    experiment = parent.data.tags.get(Tag.TRIAL_EXPERIMENT, parent.info.experiment_id)
    yield from _search(client, [experiment], condition, deleted=deleted)


def read_trials(client: MlflowClient, run_id: str, *, stored_table: bool = True) -> pd.DataFrame:
    """Read a study's trials.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
        The study's parent run.
    stored_table : bool
        Read the table that a finished study carries, instead of its child runs one by one.

    Returns
    -------
    DataFrame
        A row a trial, sorted by trial: ``trial, run_id``, what was tried (``kappa, xi``; of another method its own
        parameters) and every metric.
    """
    import pandas as pd

    parent = find_run(client, run_id)
    if stored_table and parent.info.status == "FINISHED":
        try:
            with _artifact(client, parent, TRIALS_PARQUET) as path:
                return pd.read_parquet(path)
        except MissingDataError:
            pass
    if Tag.METHOD in parent.data.tags:
        return _read_method_trials(client, parent)
    from tgsr.tracking.database import read_trial_table

    table = read_trial_table(client, run_id)
    if table is not None:
        return table
    rows = [
        {
            "trial": int(run.data.tags[Tag.TRIAL]),
            "run_id": str(run.info.run_id),
            "kappa": int(run.data.params["kappa"]),
            "xi": float(run.data.params["xi"]),
            **dict(sorted(run.data.metrics.items())),
        }
        for run in _trial_runs(client, parent)
    ]
    if not rows:
        return pd.DataFrame(columns=["trial", "run_id", "kappa", "xi"])
    return pd.DataFrame(rows).sort_values("trial", ignore_index=True)


def read_settings(run: Run) -> dict[str, Any]:
    """What a trial of another method than TGSR tried: parameters of the method's estimator."""
    from tgsr.estimators.spaces import get_method

    names = get_method(run.data.tags[Tag.METHOD]).estimator().get_params()
    return {name: _value(text) for name, text in run.data.params.items() if name in names}


def read_surface(client: MlflowClient, run_id: str) -> Surface:
    """Read the score surface of a study from its parent run.

    Raises
    ------
    MissingDataError
        If the study has not stored one yet.
    """
    with _artifact(client, find_run(client, run_id), SURFACE) as path, np.load(path, allow_pickle=False) as stored:
        scores = {key: stored[key] for key in stored.files if key not in ("kappas", "xis")}
        return Surface(stored["kappas"], stored["xis"], scores)


def read_coefficients(client: MlflowClient, run_id: str) -> npt.NDArray[np.float64]:
    """Read a trial's regression matrix, shape (15045, n_classes), canonical layout.

    Raises
    ------
    MissingDataError
        If the trial keeps none (the study's matrices were thinned).
    """
    with _artifact(client, find_run(client, run_id), COEFFICIENTS) as path:
        return read_coefficients_file(path)


def read_regions(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Read the numbers behind a trial's region mask: ``kappa, xi, grouping, kept, group_norms`` (…)."""
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
    from tgsr.tracking.place import local_artifact_folder

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
            raise MissingDataError(f"run {run.info.run_id} has no readable artifact {name}: {error}") from error
        yield copy


def _summary(run: Run) -> StudySummary:
    tags = dict(run.data.tags)
    return StudySummary(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name),
        status=str(run.info.status),
        experiment=tags.get(Tag.EXPERIMENT, ""),
        selection=tags.get(Tag.SELECTION, ""),
        sampler=tags.get(Tag.SAMPLER, ""),
        grouping=tags.get(Tag.GROUPING, ""),
        start_ms=int(run.info.start_time),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=tags,
    )


def _read_method_trials(client: MlflowClient, parent: Run) -> pd.DataFrame:
    import pandas as pd

    runs = sorted(_trial_runs(client, parent), key=lambda run: int(run.data.tags[Tag.TRIAL]))
    tried = [read_settings(run) for run in runs]
    names = sorted({name for settings in tried for name in settings})
    rows = [
        {
            "trial": int(run.data.tags[Tag.TRIAL]),
            "run_id": str(run.info.run_id),
            **{name: settings.get(name) for name in names},
            **dict(sorted(run.data.metrics.items())),
        }
        for run, settings in zip(runs, tried, strict=True)
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["trial", "run_id"])


def _value(text: str) -> Any:
    """A stored parameter as number, None or text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _trial_runs(client: MlflowClient, parent: Run) -> Iterator[Run]:
    for run in search_children(client, parent):
        if run.info.status == "FINISHED":  # one that is being written, or was cut off, is none yet
            yield run


def _search(client: MlflowClient, experiment_ids: list[str], condition: str, *, deleted: bool = False) -> Iterator[Run]:
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    token: str | None = None
    while True:
        try:
            page = client.search_runs(experiment_ids, condition, view, max_results=5000, page_token=token)
        except MlflowException as error:
            raise TrackingError(f"{client.tracking_uri}: runs cannot be searched ({error})") from error
        yield from page
        token = page.token
        if not token:
            return
