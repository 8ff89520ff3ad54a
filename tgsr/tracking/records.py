"""Stored studies, read back: what they are, their trials, what each rule chooses, and their files.

Reports, the registry and the command line read results only through this module.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.estimators.methods import get_method
from tgsr.evaluation.choice import METRIC, ORACLE, PARAM, RULE, SCORE, Choice, choose, names_of
from tgsr.evaluation.metrics import METRICS
from tgsr.evaluation.remarks import regression_remark
from tgsr.evaluation.rules import ALWAYS, DEFAULT
from tgsr.tracking._bulk import connect, query_trials
from tgsr.tracking._files import parse_coefficients
from tgsr.tracking.client import experiment_ids, local_artifact_folder, search_runs
from tgsr.tracking.names import CLASSES, COEFFICIENTS, REGIONS, STUDY_JSON, TRIALS_PARQUET, Tag
from tgsr.tracking.storage_errors import masked
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import decode_predictions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StudyRecord",
    "find_run",
    "list_studies",
    "read_artifact",
    "read_study",
    "read_trials",
    "trial_columns",
    "trial_table",
    "with_rule",
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
        self._root = None if folder is None else folder.parents[1]
        inputs = run.inputs.dataset_inputs if run.inputs else ()
        self._datasets = {tag.value: one.dataset for one in inputs for tag in one.tags if tag.key == Tag.DATASET_ROLE}
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

        stored = self.artifact(TRIALS_PARQUET) if self.status == "FINISHED" else None
        if stored is None:
            return trial_table(self._client, self.run_id, self.experiment_id)
        table = pd.read_parquet(BytesIO(stored))
        deleted = read_trials(self._client, self.run_id, self.experiment_id, view="deleted")
        return table[~table["run_id"].isin(deleted["run_id"])].reset_index(drop=True)

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

    def regression_remark(self, settings: Mapping[str, Any]) -> str:
        """What `tgsr.evaluation.remarks.regression_remark` says of settings in this study; empty if nothing."""
        spec, source = self.spec, self._datasets.get("source")
        # features of a sample; infinity where the store does not say
        n_features = float(np.prod(json.loads(source.schema)["features"])) if source and source.schema else np.inf
        return regression_remark({**spec.fixed, **settings}, spec.shape.n_source, n_features, spec.shape.n_groups)

    def artifact(self, name: str, trial: str | None = None) -> bytes | None:
        """A file of the study's run, or of that of one of its trials (a run id); None if there is none."""
        if self._root is None:
            with suppress(MissingDataError):
                return read_artifact(self._client, trial or self.run_id, name)
            return None
        # trials' files lie beside the study's own: MLflow, which takes 10 ms for each run, need not be asked
        path = self._root / (trial or self.run_id) / "artifacts" / name
        return path.read_bytes() if path.is_file() else None

    def group_norms(self, trial: str) -> npt.NDArray[np.float64] | None:
        """‖C_i‖_F of every group (n_groups,) in one of its trials; None for a method without groups."""
        norms = json.loads(self.artifact(REGIONS, trial) or b"{}").get("group_norms")
        return None if norms is None else np.array(norms, dtype=np.float64)

    def coefficients(self, trial: str) -> npt.NDArray[np.float64] | None:
        """The regression matrix (n_features, n_classes) of one of its trials; None where none is kept whole."""
        content = self.artifact(COEFFICIENTS, trial)
        with suppress(Exception):  # NumPy and zipfile each raise their own
            return None if content is None else parse_coefficients(content)
        return None


def list_studies(client: MlflowClient, pair: str | None = None) -> list[StudyRecord]:
    """List the stored studies, newest first; ``pair`` (such as ``"V-N"``) keeps those of one pair."""
    condition = f"tags.`{Tag.KIND}` = 'study'"
    if pair is not None:
        condition += f" and tags.`{Tag.EXPERIMENT}` = '{pair}'"
    return [StudyRecord(client, run) for run in search_runs(client, experiment_ids(client), condition)]


def read_study(client: MlflowClient, run_id: str, pair: str | None = None, method: str | None = None) -> StudyRecord:
    """Read one study, given its run id; ``pair`` and ``method`` are what else is asked of it.

    Raises
    ------
    MissingDataError
        If there is no such run.
    TrackingError
        If it is no study.
    ParameterError
        If it is one of another pair or method.
    """
    run = find_run(client, run_id)
    if run.data.tags.get(Tag.KIND) != "study":
        raise TrackingError(f"run {run_id} is no study; `tgsr trials --list` shows those there are")
    record = StudyRecord(client, run)
    other = [pair] if pair not in (None, record.pair) else []
    other += [method] if method is not None and get_method(method).name != record.method else []
    if other:
        asked = " ".join(map(str, other))
        raise ParameterError(f"run {run_id} ({record.name}) is no study of {asked}; leave out the one or the other")
    return record


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


def read_trials(
    client: MlflowClient,
    run_id: str,
    experiment_id: str,
    tags: Collection[str] = (),
    *,
    metrics: bool = False,
    view: str = "all",
) -> pd.DataFrame:
    """Read the runs of a study's trials, ordered by their ids.

    ``view`` is ``"all"``, ``"finished"`` (without those that somebody has deleted) or ``"deleted"``. The columns:
    ``run_id``, ``is_finished``, ``is_deleted``, the tags by their keys (NaN where a run has none), and if asked for the
    metrics, with `tgsr.evaluation.choice.METRIC` before their names.
    """
    import pandas as pd
    import sqlalchemy as sa

    try:
        table = query_trials(connect(client.tracking_uri), run_id, tags, view, metrics=metrics)
    except (TrackingError, sa.exc.DatabaseError, sqlite3.DatabaseError):  # a server, or tables that are not as expected
        condition = f"tags.`{Tag.PARENT}` = '{run_id}' and tags.`{Tag.KIND}` = 'trial'"
        condition += " and attributes.status = 'FINISHED'" * (view == "finished")
        kinds = {"all": "all", "finished": "active_only", "deleted": "deleted_only"}
        table = pd.DataFrame(
            {
                **run.data.tags,
                **{METRIC + key: value for key, value in run.data.metrics.items()},
                "run_id": str(run.info.run_id),
                "is_finished": run.info.status == "FINISHED",
                "is_deleted": run.info.lifecycle_stage != "active",
            }
            for run in search_runs(client, [experiment_id], condition, kinds[view])
        )
    scores = [name for name in table if str(name).startswith(METRIC)] if metrics else []
    columns = ["run_id", "is_finished", "is_deleted", *tags, *scores]
    return table.reindex(columns=columns).astype(dict.fromkeys(scores, "float64")).sort_values("run_id")


def trial_table(client: MlflowClient, run_id: str, experiment_id: str) -> pd.DataFrame:
    """Read a study's finished, active trials from their runs: the table of `tgsr.evaluation.choice`."""
    keys = {Tag.TRIAL: "number", Tag.CELL: "cell", Tag.SETTINGS: "settings", Tag.PREDICTIONS: "predictions"}
    runs = read_trials(client, run_id, experiment_id, keys, metrics=True, view="finished")
    runs = runs.rename(columns=keys).astype({"number": "int64"}).sort_values(["number", "run_id"], ignore_index=True)
    metrics = runs[[name for name in runs if str(name).startswith(METRIC)]]
    return trial_columns(runs, metrics.rename(columns=lambda name: name.removeprefix(METRIC)))


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


def with_rule(table: pd.DataFrame, rule: str, values: npt.NDArray[np.float64]) -> pd.DataFrame:
    """A table of trials with the values of a rule in its column, where `trial_columns` has it."""
    last = ("settings", "predictions")
    rules = sorted({RULE + rule, *(RULE + name for name in names_of(table, RULE))})
    first = [name for name in table if name not in (*rules, *last)]
    return table.assign(**{RULE + rule: values})[[*first, *rules, *last]]


def read_artifact(client: MlflowClient, run_id: str, name: str) -> bytes:
    """Read any artifact file of a run.

    Raises
    ------
    MissingDataError
        If the run has no such artifact.
    """
    run = find_run(client, run_id)
    folder = local_artifact_folder(run.info.artifact_uri)
    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        try:
            place = folder / name if folder is not None else Path(client.download_artifacts(run_id, name, temporary))
            return place.read_bytes()
        except Exception as error:  # each artifact store raises its own
            raise MissingDataError(
                f"run {run_id} ({run.info.run_name}) has no readable artifact {name}: {masked(str(error))}"
            ) from error
