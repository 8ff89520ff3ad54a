"""The model registry: a study's consensus, or one of its trials, becomes a version of its pair's model.

What is registered was fitted again or averaged, predicts the target as the study recorded, and was loaded again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.autologging import without_autologging
from tgsr.datasets import DatabasePair, load_pair
from tgsr.errors import MissingDataError, ParameterError, ProtocolError, TgsrError, TrackingError
from tgsr.estimators import AveragedTGSR, get_method
from tgsr.evaluation.choice import METRIC, ORACLE
from tgsr.evaluation.metrics import METRICS, score
from tgsr.models._input import CLIP_SHAPE
from tgsr.models._weights import dump_estimator, untrusted_types
from tgsr.models.consensus import TWENTIETH, consensus_of
from tgsr.models.loading import DIGEST_TAG, FOLDER, LOADER, load_model
from tgsr.models.registered import HEADER, Header, RegisteredModel, load_files, save_files
from tgsr.protocols import parse_pair
from tgsr.tracking.names import CONSENSUS, GENERATED_NOTE, Tag, model_name
from tgsr.tracking.records import StudyRecord, find_run, list_studies, read_study
from tgsr.tracking.storage_errors import masked
from tgsr.trials.fitter import make_estimator, prepare_task
from tgsr.trials.trial import decode_predictions, show_settings
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["BEST", "CHAMPION", "Registered", "aliased_run", "make_signature", "register", "register_study"]

_log = logging.getLogger(__name__)

CHAMPION = "champion"
"""Alias of the version to use; what the target's labels chose is called ``oracle`` instead."""
BEST = "best"
"""In place of a trial's run id: the best one."""
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "skops")
_SCORES = ("macro_f1", "accuracy")
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Registered:
    """A registered model version, such as ``"tgsr-V-N"``, ``"3"``, ``"champion"``.

    ``described`` says what it is, ``replaced`` which version had the alias before, and what that was (or nothing);
    ``run_id`` is the trial that it comes from, of a consensus the study; ``trusted`` are the types that must be trusted
    where it is loaded.
    """

    name: str
    version: str
    alias: str
    run_id: str
    described: str
    replaced: str
    trusted: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """``models:/<name>@<alias>``."""
        return f"models:/{self.name}@{self.alias}"


def register_study(
    client: MlflowClient,
    *,
    study: str | None = None,
    experiment: str | None = None,
    method: str = "TGSR",
    trial: str | None = None,
    data: str | None = None,
    **how: Any,
) -> Registered:
    """Find a study and register its consensus, or a trial; see `register`.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default that of ``trial``, else the newest with a finished trial.
    experiment, method : str
        Only studies of this pair, such as ``"V-N"``, and, where none is named, of this method.
    trial : str, optional
        See `register`.
    data : str, optional
        Folder with the databases; by default the one that the study was run with.
    **how
        Further arguments of `register`.

    Raises
    ------
    MissingDataError
        If there is no such study, or its data are not where they were.
    ParameterError
        If the study is one of another pair.
    """
    if study is None and trial not in (None, BEST):
        study = find_run(client, trial).data.tags.get(Tag.PARENT)
    record = read_study(client, study) if study else _newest(client, experiment, get_method(method).name)
    if experiment is not None and record.pair != experiment:
        raise ParameterError(f"run {study} ({record.name}) is no study of {experiment}; leave out the one or the other")
    return register(client, record.run_id, _load_pair(record, data), trial=trial, **how)


def _newest(client: MlflowClient, pair: str | None, method: str) -> StudyRecord:
    """The study that is meant where none is named; says which if there are several."""
    studies = [record for record in list_studies(client, pair) if record.method == method]
    for record in studies:
        if len(record.table):
            if len(studies) > 1:
                _log.info(
                    "%d studies match; taking the newest, %s (%s). Name another with --study RUN_ID",
                    len(studies),
                    record.name,
                    record.run_id,
                )
            return record
    of = "" if pair is None else f" of {pair}"
    raise MissingDataError(f"no study{of} by {method} with a finished trial in this store; run `tgsr study`")


def _load_pair(record: StudyRecord, data: str | None) -> DatabasePair:
    folder = data or record.tags.get(Tag.DATA_FOLDER)
    if folder is None:
        raise ParameterError(f"{record.name!r} does not say where its databases are: give their folder with --data")
    try:
        return load_pair(*parse_pair(record.pair), folder)
    except (MissingDataError, ProtocolError) as error:
        if data is not None:
            raise
        raise MissingDataError(
            f"what is registered is compared on the databases of {record.name!r}, and these are no longer in {folder} "
            f"({error}); give their folder with --data"
        ) from error


def register(
    client: MlflowClient,
    study_run_id: str,
    pair: DatabasePair,
    *,
    trial: str | None = None,
    by: str | None = None,
    alias: str | None = None,
    allow_oracle: bool = False,
    trusted: Sequence[str] = (),
) -> Registered:
    """Register a study's consensus, or one of its trials.

    Parameters
    ----------
    client : MlflowClient
    study_run_id : str
    pair : DatabasePair
        The study's databases.
    trial : str, optional
        ``"best"`` for the single best trial, or a trial's run id. By default the average of the best twentieth, where
        the method is linear with groups and the study has twenty trials, else the best.
    by : str, optional
        The rule that chooses, or ``"oracle"``; by default the study's own choice.
    alias : str, optional
        Name under which the version is found: by default ``"champion"``, or ``"oracle"`` for what target labels chose.
    allow_oracle : bool
        Whether what the target's labels chose may take the alias from what was chosen without them.
    trusted : sequence of str
        Types that the model may hold although an altered file with them can do harm: ``"package.module:Class"``.

    Raises
    ------
    MissingDataError
        If the study or the trial is not there.
    ParameterError
        If no trial has a value of the rule.
    TrackingError
        If the study has no finished trial, the trial is another study's, the databases are not the study's, an oracle
        would replace a label-free choice, the recorded predictions are not reached again, the model holds types that
        are not trusted, it cannot be loaded again, or the registry refuses.
    """
    from mlflow.exceptions import MlflowException

    record, uri = read_study(client, study_run_id), client.tracking_uri
    _check_data(record, pair)
    by = by or record.default_choice
    sees_labels = ORACLE in (by, record.spec.objective)
    alias = alias or (ORACLE if sees_labels else CHAMPION)
    name = model_name(record.pair, record.method)
    holder = _holder(client, name, alias)
    _guard(sees_labels, holder, alias, allow_oracle)
    with threadpool_limits(limits=1, user_api="blas"), without_autologging():  # as in the study
        estimator, run_id, settings = _fitted(record, pair, trial, by)
    trusted = _check_types(estimator, record, trusted)
    predicted = _predict(estimator, record, pair)
    facts = _facts(record, pair, settings, ORACLE if sees_labels else by, predicted, run_id)
    facts["replaces"] = "" if holder is None else f"version {holder.version}"
    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        folder = Path(temporary) / FOLDER
        folder.mkdir()
        save_files(estimator, _header(record, pair, facts), folder)
        model = load_files(folder, trusted=trusted)
        _check_answer(model, pair, predicted)
        try:
            version = _log_version(client, record, run_id, name, folder, model)
            try:
                _check_answer(
                    load_model(f"models:/{name}/{version}", trusted=trusted, tracking_uri=uri), pair, predicted
                )
            except TgsrError:
                client.delete_model_version(name, version)
                raise
            client.set_registered_model_alias(name, alias, version)
        except MlflowException as error:
            raise TrackingError(f"the registry at {masked(uri)} refuses {name}: {error}") from error
    replaced = "" if holder is None else f"{facts['replaces']} ({_earlier(holder)})"
    return Registered(name, version, alias, run_id, describe(facts), replaced, trusted)


def _check_data(record: StudyRecord, pair: DatabasePair) -> None:
    spec = record.spec
    for data, known in ((pair.source, spec.source_digest), (pair.target, spec.target_digest)):
        if data.digest != known:
            raise TrackingError(
                f"{data.name}: not the content that {record.name!r} was run with (digest {data.digest[:12]}… for "
                f"{known[:12]}…); give the folder of that study with --data"
            )


def _holder(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def aliased_run(client: MlflowClient, name: str, alias: str) -> str | None:
    """Run id of the trial or study whose model has an alias; None if there is none."""
    version = _holder(client, name, alias)
    return None if version is None else str(version.run_id)


def _guard(sees_labels: bool, holder: ModelVersion | None, alias: str, allow_oracle: bool) -> None:
    """An honest champion does not give way to an oracle unless that is asked for."""
    held_by = ORACLE if holder is None else holder.tags.get(Tag.CHOOSE, "unknown")
    if holder is not None and sees_labels and held_by != ORACLE and alias != ORACLE and not allow_oracle:
        raise TrackingError(
            f"{holder.name}@{alias} is version {holder.version}, chosen without target labels ({held_by}); what is to "
            "be registered was chosen by them: leave out --alias, or replace the other with --allow-oracle"
        )


def _fitted(record: StudyRecord, pair: DatabasePair, trial: str | None, by: str) -> tuple[Any, str, str]:
    """The estimator that is meant, which predicts as recorded; its run id, and its settings for people."""
    stored = record.artifact(CONSENSUS) if trial is None else None
    if stored is not None:
        return _averaged(record, pair, by, json.loads(stored)), record.run_id, _CONSENSUS_SETTINGS
    table = record.table
    row = record.choose(by).row
    if trial not in (None, BEST):
        named = table[table["run_id"] == trial]
        if named.empty:
            raise TrackingError(f"run {trial} is no trial of {record.name!r} ({record.run_id}); see `tgsr trials`")
        row = {str(key): value for key, value in named.iloc[0].items()}
    settings = json.loads(row["settings"])
    estimator = _fit(record, pair, settings)
    if not _is_recorded(_predict(estimator, record, pair), row, pair):
        again = _fit(record, pair, settings)
        reason = "code or libraries have changed since: run the study again"
        if not np.array_equal(_predict(again, record, pair), _predict(estimator, record, pair)):
            reason = "its fits differ from one another: set random_state, as in `tgsr study --set random_state=0`"
        raise TrackingError(f"fitted again, trial {row['run_id']} does not predict what it recorded; {reason}")
    return estimator, str(row["run_id"]), show_settings(settings)


_CONSENSUS_SETTINGS = f"mean of the best {TWENTIETH:.0%} of the trials"


def _averaged(record: StudyRecord, pair: DatabasePair, by: str, recorded: Mapping[str, Any]) -> AveragedTGSR:
    consensus = consensus_of(record, pair, by=by)
    groups = make_estimator(record.spec, pair).get_params()["groups"]
    estimator = AveragedTGSR.of(consensus.coef, consensus.frequency, groups, len(consensus.numbers))
    if by == recorded["by"] and list(consensus.numbers) == recorded["trials"]:
        known = decode_predictions(recorded["predictions"])
        if not np.array_equal(_predict(estimator, record, pair), known):
            raise TrackingError(
                f"the consensus of {record.name!r} does not predict what the study recorded; code or libraries have "
                "changed since: run the study again"
            )
    return estimator


def _fit(record: StudyRecord, pair: DatabasePair, settings: Mapping[str, Any]) -> Any:
    """A trial's estimator, fitted as in the study: class indices as labels."""
    task, estimator = prepare_task(record.spec, pair), make_estimator(record.spec, pair, settings)
    takes_target = "X_target" in inspect.signature(estimator.fit).parameters
    return estimator.fit(task.X, task.y, **({"X_target": task.X_target} if takes_target else {}))


def _predict(estimator: Any, record: StudyRecord, pair: DatabasePair) -> Codes:
    return np.asarray(estimator.predict(prepare_task(record.spec, pair).X_target), dtype=np.intp)


def _is_recorded(predicted: Codes, row: Mapping[str, Any], pair: DatabasePair) -> bool:
    """Whether a trial recorded these predictions; of a target too large for them to be kept, their scores."""
    if isinstance(row["predictions"], str):
        return np.array_equal(predicted, decode_predictions(row["predictions"]))
    return all(value == row.get(METRIC + key) for key, value in _scores(predicted, pair).items())


def _scores(predicted: Codes, pair: DatabasePair) -> dict[str, float]:
    if pair.target.labels is None:
        return {}
    scores = score(pair.target.labels, predicted.astype(np.int64), len(pair.class_names))
    return {key: getattr(scores, key) for key in _SCORES}


def _check_types(estimator: Any, record: StudyRecord, trusted: Sequence[str]) -> tuple[str, ...]:
    """The types that must be trusted where the model is loaded; a class that the study names is trusted with its own.

    Raises
    ------
    TrackingError
        If there are others than those trusted.
    """
    needed = untrusted_types(dump_estimator(estimator))
    given = {name.replace(":", ".") for name in trusted}
    own = type(estimator).__module__ if ":" in record.method else ""
    refused = [name for name in needed if name not in given and name.rpartition(".")[0] != own]
    if refused:
        options = " ".join(f"--trust {name}" for name in refused)
        raise TrackingError(
            f"a model of {record.method} holds {', '.join(refused)}, which a file that somebody altered could misuse: "
            f"if you alone write to this registry, add {options} here and where the model is loaded"
        )
    return tuple(needed)


def _check_answer(model: RegisteredModel, pair: DatabasePair, predicted: Codes) -> None:
    """Refuse a model that was stored and does not answer as before."""
    if model.predict(pair.target.X)["label"].tolist() != [pair.class_names[code] for code in predicted]:
        raise TrackingError("loaded again, the model does not predict as before; is its random state a part of it?")


def _facts(
    record: StudyRecord, pair: DatabasePair, settings: str, chosen: str, predicted: Codes, run_id: str
) -> dict[str, str]:
    spec = record.spec
    return {
        "experiment": record.pair,
        "method": spec.method,
        "variant": spec.variant,
        "choose": chosen,
        "grouping": spec.grouping,
        "settings": settings,
        **{key: repr(value) for key, value in _scores(predicted, pair).items()},
        "study_run": record.run_id,
        "study_name": record.name,
        "trial_run": "" if run_id == record.run_id else run_id,
        "source_digest": spec.source_digest,
        "target_digest": spec.target_digest,
        "code_version": code_version(),
        "generated": str(pair.is_generated).lower(),
    }


def describe(facts: Mapping[str, str]) -> str:
    """One line that says what a model is."""
    chosen = "the target's labels (oracle)" if facts["choose"] == ORACLE else facts["choose"]
    shown = [METRICS[key] for key in _SCORES if facts.get(key)]
    scores = ", ".join(f"{metric.axis} {metric.show(float(facts[metric.key]))}" for metric in shown)
    parts = (
        f"{facts['variant']} for {facts['experiment']}",
        facts["settings"],
        f"chosen by {chosen}",
        f"on the target {scores}" if scores else "target without labels",
    )
    return "; ".join(part for part in parts if part)


def _earlier(version: ModelVersion) -> str:
    facts = {key.removeprefix("tgsr."): value for key, value in version.tags.items()}
    return describe(facts) if Tag.CHOOSE in version.tags else "of an earlier tgsr"


def _header(record: StudyRecord, pair: DatabasePair, facts: Mapping[str, str]) -> Header:
    from tgsr.features.extraction import ExtractionSettings

    known = pair.source.parameters  # how features were made from clips, unless they are not those of tgsr
    return Header(
        class_names=pair.class_names,
        n_features=int(pair.source.X.shape[1]),
        grouping=record.spec.grouping,
        extraction={} if known.get("origin") == "imported" else ExtractionSettings.from_dict(known).to_dict(),
        facts=facts,
        feature_names=() if pair.source.feature_names is None else tuple(pair.source.feature_names.tolist()),
    )


def _log_version(
    client: MlflowClient, record: StudyRecord, run_id: str, name: str, folder: Path, model: RegisteredModel
) -> str:
    """Store a model as its run's and make it a version of ``name``; returns the version.

    All of it goes through the client: MLflow's own ``log_model`` works in the caller's store, and in an active run,
    which a kill would leave unfinished.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    facts, bundle = model.header.facts, folder.parent / "bundle"
    logged = client.create_logged_model(record.experiment_id, "model", source_run_id=run_id)
    mlflow.pyfunc.save_model(
        bundle,
        loader_module=LOADER,
        data_path=str(folder),
        signature=make_signature(model),
        input_example=(np.full((1, model.header.n_features), 0.017), {CLIP_SHAPE: [0, 0, 0]}),
        pip_requirements=[f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS],
        mlflow_model=Model(run_id=run_id, model_id=logged.model_id, metadata=dict(facts)),
    )
    client.log_model_artifacts(logged.model_id, str(bundle))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    note = f"{GENERATED_NOTE}\n\n" if facts["generated"] == "true" else ""
    oracle = "**Chosen by the target's labels (oracle).** " if facts["choose"] == ORACLE else ""
    source, target = parse_pair(record.pair)
    client.update_registered_model(
        name,
        f"{note}Micro-expressions ({', '.join(model.header.class_names)}) of {target}, learned on {source} by "
        f"{record.method}.",
    )
    version = client.create_model_version(
        name,
        logged.artifact_location,
        run_id,
        tags={f"tgsr.{key}": value for key, value in facts.items()}
        | {DIGEST_TAG: hashlib.sha256((folder / HEADER).read_bytes()).hexdigest()},
        description=f"{note}{oracle}{describe(facts)}. From study {facts['study_name']!r}.",
        model_id=logged.model_id,
    )
    # what links the two on MLflow's pages
    versions = [{"name": name, "version": version.version}]
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(versions)})
    return str(version.version)


def make_signature(model: RegisteredModel) -> Any:
    """MLflow's schema of a model: rows of numbers, of features or of clips' grey values, to columns."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    kinds: dict[str, Any] = {"label": DataType.string, "frequency": Array(DataType.double)}
    kinds |= dict.fromkeys(("regions", "groups"), Array(DataType.long))
    columns = model.answer(np.full((1, model.header.n_features), 1 / 59)).columns
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float64), (-1, -1))]),
        outputs=Schema([ColSpec(kinds.get(column, DataType.double), column) for column in columns]),
        params=ParamSchema([ParamSpec(CLIP_SHAPE, DataType.long, [0, 0, 0], shape=(-1,))]),
    )
