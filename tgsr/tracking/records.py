"""Stored studies, read back: what they are, their trials, what each rule chooses, and their files.

Reports, the registry and the command line read results only through this module.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, TrackingError
from tgsr.evaluation.choice import METRIC, ORACLE, PARAM, RULE, SCORE, Choice, choose, names_of
from tgsr.evaluation.metrics import METRICS
from tgsr.evaluation.rules import ALWAYS, DEFAULT
from tgsr.tracking._bulk import connect, query_deleted, query_trials
from tgsr.tracking._files import read_coefficients_file
from tgsr.tracking.client import experiment_ids, local_artifact_folder, search_runs
from tgsr.tracking.names import CLASSES, COEFFICIENTS, REGIONS, STUDY_JSON, TRIALS_PARQUET, Tag
from tgsr.tracking.storage_errors import masked
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import decode_predictions

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StudyRecord",
    "artifact",
    "find_run",
    "list_studies",
    "read_artifact",
    "read_coefficients",
    "read_regions",
    "read_study",
    "trial_columns",
    "trial_table",
]


class StudyRecord:
    """A study as it is stored in MLflow; what is large is read when it is asked for.

    Parameters
    ----------
    client : MlflowClient
    run : mlflow.entities.Run
        The study's run.
    table : DataFrame, optional
        Its trials, where they are known already.

    Attributes
    ----------
    run_id, name, status : str
        ``status`` is MLflow's: ``FINISHED``, ``RUNNING``, ``KILLED``, ``FAILED``.
    experiment_id : str
    start_ms : int
        Milliseconds since 1970.
    tags, params, metrics : dict
        What is logged on its run.
    """

    def __init__(self, client: MlflowClient, run: Run, table: pd.DataFrame | None = None) -> None:
        self._client = client
        self.run_id, self.name, self.status = str(run.info.run_id), str(run.info.run_name), str(run.info.status)
        self.experiment_id, self.start_ms = str(run.info.experiment_id), int(run.info.start_time)
        self.tags, self.params, self.metrics = dict(run.data.tags), dict(run.data.params), dict(run.data.metrics)
        folder = local_artifact_folder(run.info.artifact_uri)
        self._trials_root = None if folder is None else folder.parents[1]
        self._datasets = {
            next((tag.value for tag in one.tags if tag.key == "mlflow.data.context"), ""): one.dataset
            for one in (run.inputs.dataset_inputs if run.inputs else ())
        }
        if table is not None:
            self.table = table

    @property
    def client(self) -> MlflowClient:
        """What reads it, and writes a page onto its run."""
        return self._client

    @cached_property
    def spec(self) -> StudySpec:
        """What defines it.

        Raises
        ------
        MissingDataError, DataError
            If none is stored, or it is one of another version.
        """
        return StudySpec.from_json(read_artifact(self._client, self.run_id, STUDY_JSON))

    @property
    def pair(self) -> str:
        """The pair of databases, such as ``"V-N"``."""
        return self.tags.get(Tag.EXPERIMENT, "")

    @property
    def method(self) -> str:
        """The method that was studied."""
        return self.tags.get(Tag.METHOD, "TGSR")

    @property
    def is_generated(self) -> bool:
        """Whether its data are generated."""
        return self.tags.get(Tag.GENERATED) == "true"

    @property
    def label(self) -> str:
        """The title, marked where data are generated."""
        return f"{self.spec.title}{', generated data' * self.is_generated}"

    @cached_property
    def table(self) -> pd.DataFrame:
        """The finished trials that nobody has deleted, see `tgsr.evaluation.choice`."""
        import pandas as pd

        if self.status == "FINISHED":
            with suppress(MissingDataError), artifact(self._client, self.run_id, TRIALS_PARQUET) as path:
                stored = pd.read_parquet(path)
                return stored[~stored["run_id"].isin(_deleted_runs(self._client, self))].reset_index(drop=True)
        return trial_table(self._client, self.run_id, self.experiment_id)

    @cached_property
    def classes(self) -> tuple[tuple[str, ...], npt.NDArray[np.intp] | None]:
        """Names of the classes, and the labels of the target (n_target,), or None."""
        stored = json.loads(read_artifact(self._client, self.run_id, CLASSES))
        labels = stored["target_labels"]
        return tuple(stored["classes"]), None if labels is None else decode_predictions(labels)

    @property
    def is_scored(self) -> bool:
        """Whether the target has labels, so that there are scores."""
        return METRIC + SCORE in self.table

    @property
    def rules(self) -> list[str]:
        """The rules of which trials have values."""
        return [name for name in names_of(self.table, RULE) if self.table[RULE + name].notna().any()]

    @property
    def default_choice(self) -> str:
        """What chooses unless something else is asked for: the study's own choice, else the first rule with values."""
        known = self.rules
        wanted = [self.tags.get(Tag.CHOOSE, ""), self.spec.objective, DEFAULT, *ALWAYS, *known]
        return next((name for name in wanted if name in known or (name == ORACLE and self.is_scored)), DEFAULT)

    def choose(self, by: str | None = None) -> Choice:
        """The best trial by a rule or ``"oracle"``, see `tgsr.evaluation.choice.choose`; nothing is fitted."""
        return choose(self.table, by or self.default_choice)

    @property
    def coverage(self) -> str:
        """How much of the method's whole grid was tried, where it is less: ``"100 of 23,035 cells"``; else empty."""
        if self.spec.sampler != "grid" or ":" in self.method:  # a report imports no code that a stored file names
            return ""
        n_whole = self.spec.n_whole()
        return f"{len(self.table):,} of {n_whole:,} cells" if len(self.table) < n_whole else ""

    @property
    def facts(self) -> dict[str, str]:
        """What was run, for people: data, digests, versions, seed, fixed parameters."""
        spec, facts = self.spec, {}
        for role, digest in (("source", spec.source_digest), ("target", spec.target_digest)):
            dataset = self._datasets.get(role)
            profile = json.loads(dataset.profile or "{}") if dataset else {}
            counts = [f"{n} {name}" for name, n in profile.items() if isinstance(n, int) and name != "samples"]
            facts[role] = ", ".join([*([dataset.name] if dataset else []), *counts, f"digest {digest[:12]}"])
        facts |= {name: str(value) for name, value in spec.fixed.items()}
        facts |= {"preprocess": spec.preprocess, "seed": str(spec.seed)}
        return facts | {"code": self.tags.get(Tag.CODE_VERSION, ""), "MLflow run": self.run_id}

    @property
    def n_features(self) -> float:
        """Features of a sample; infinity where the store does not say."""
        source = self._datasets.get("source")
        return float(np.prod(json.loads(source.schema)["features"])) if source and source.schema else np.inf

    def group_norms(self, run_id: str) -> npt.NDArray[np.float64] | None:
        """‖C_i‖_F of every group (n_groups,) in one of its trials; None for a method without groups."""
        with suppress(MissingDataError, KeyError), self._trial_artifact(run_id, REGIONS) as path:
            return np.array(json.loads(path.read_bytes())["group_norms"], dtype=np.float64)
        return None

    def artifact(self, name: str) -> bytes | None:
        """A file of the study's run; None if there is none."""
        with suppress(MissingDataError):
            return read_artifact(self._client, self.run_id, name)
        return None

    def coefficients(self, run_id: str) -> npt.NDArray[np.float64] | None:
        """The regression matrix (n_features, n_classes) of one of its trials; None where none was kept."""
        with suppress(MissingDataError), self._trial_artifact(run_id, COEFFICIENTS) as path:
            return _read_coefficients(path, run_id)
        return None

    @contextmanager
    def _trial_artifact(self, run_id: str, name: str) -> Iterator[Path]:
        """A trial's file. It lies beside the study's own: MLflow, which takes 10 ms for each run, need not be asked."""
        if self._trials_root is None:
            with artifact(self._client, run_id, name) as path:
                yield path
            return
        path = self._trials_root / run_id / "artifacts" / name
        if not path.is_file():
            raise MissingDataError(f"run {run_id} has no artifact {name}")
        yield path


def list_studies(client: MlflowClient, pair: str | None = None) -> list[StudyRecord]:
    """List the stored studies, newest first; ``pair`` (such as ``"V-N"``) keeps those of one pair."""
    condition = f"tags.`{Tag.KIND}` = 'study'"
    if pair is not None:
        condition += f" and tags.`{Tag.EXPERIMENT}` = '{pair}'"
    return [StudyRecord(client, run) for run in search_runs(client, experiment_ids(client), condition)]


def read_study(client: MlflowClient, run_id: str) -> StudyRecord:
    """Read one study, given its run id.

    Raises
    ------
    MissingDataError
        If there is no such run.
    TrackingError
        If it is no study.
    """
    run = find_run(client, run_id)
    if run.data.tags.get(Tag.KIND) != "study":
        raise TrackingError(f"run {run_id} is no study; `tgsr trials --list` shows those there are")
    return StudyRecord(client, run)


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


def trial_table(client: MlflowClient, run_id: str, experiment_id: str) -> pd.DataFrame:
    """Read a study's finished, active trials from their runs: the table of `tgsr.evaluation.choice`."""
    import pandas as pd

    keys = [Tag.TRIAL, Tag.CELL, Tag.SETTINGS, Tag.PREDICTIONS]
    try:
        tags, metrics = query_trials(connect(client.tracking_uri), run_id, keys)
    except TrackingError:
        condition = f"tags.`{Tag.PARENT}` = '{run_id}' and tags.`{Tag.KIND}` = 'trial'"
        runs = list(search_runs(client, [experiment_id], f"{condition} and attributes.status = 'FINISHED'"))
        ids = pd.Index([str(run.info.run_id) for run in runs], dtype=object)
        tags, metrics = (pd.DataFrame([getattr(run.data, kind) for run in runs], ids) for kind in ("tags", "metrics"))
    facts = tags.reindex(columns=keys).set_axis(["number", "cell", "settings", "predictions"], axis=1)
    facts = facts.astype({"number": "int64"}).rename_axis("run_id").reset_index()
    facts = facts.sort_values(["number", "run_id"], ignore_index=True)
    return trial_columns(facts, metrics.reindex(facts["run_id"]).reset_index(drop=True))


def trial_columns(facts: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Name and order the columns of a table of trials: facts, settings, metrics in their known order, rules."""
    import pandas as pd

    params = pd.DataFrame([json.loads(text) for text in facts["settings"]], index=facts.index)
    known = {name: place for place, name in enumerate(METRICS)}
    names = sorted(map(str, metrics))
    scores = sorted((one for one in names if not one.startswith(RULE)), key=lambda one: known.get(one, len(known)))
    rules = [one for one in names if one.startswith(RULE)]
    first = [name for name in ("number", "run_id", "cell") if name in facts]
    parts = [
        facts[first],
        params.add_prefix(PARAM),
        metrics[scores].add_prefix(METRIC),
        metrics[rules],
        facts[["settings", "predictions"]],
    ]
    return pd.concat(parts, axis=1)


def _deleted_runs(client: MlflowClient, record: StudyRecord) -> set[str]:
    """Ids of a study's trials that somebody has deleted."""
    from mlflow.entities import ViewType

    try:
        return query_deleted(connect(client.tracking_uri), record.run_id)
    except TrackingError:
        condition = f"tags.`{Tag.PARENT}` = '{record.run_id}'"
        found = client.search_runs([record.experiment_id], condition, ViewType.DELETED_ONLY, max_results=5000)
        return {str(run.info.run_id) for run in found}


def read_coefficients(client: MlflowClient, run_id: str) -> npt.NDArray[np.float64]:
    """Read a trial's regression matrix, shape (n_features, n_classes), canonical layout.

    Raises
    ------
    MissingDataError
        If the trial keeps none, or its file is damaged.
    """
    with artifact(client, run_id, COEFFICIENTS) as path:
        return _read_coefficients(path, run_id)


def _read_coefficients(path: Path, run_id: str) -> npt.NDArray[np.float64]:
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
    with artifact(client, run_id, name) as path:
        return path.read_bytes()


@contextmanager
def artifact(client: MlflowClient, run_id: str, name: str) -> Iterator[Path]:
    """The file of an artifact: where it lies if that is on this machine, else a copy that goes with the block."""
    run = find_run(client, run_id)
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
