"""The model registry: a study's consensus, or one of its trials, becomes a version of its pair's model.

What is registered was fitted again or averaged, predicts the target as the study recorded, and was loaded again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tgsr.datasets import DatabasePair, load_pair
from tgsr.errors import MissingDataError, ProtocolError, TgsrError, TrackingError
from tgsr.estimators import get_method
from tgsr.estimators.preprocess import Scaling
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.metrics import METRICS
from tgsr.models._input import CLIP_SHAPE
from tgsr.models._weights import dump_estimator, untrusted_types
from tgsr.models.consensus import BEST, Candidate, find_candidate
from tgsr.models.loading import DIGEST_TAG, FOLDER, LOADER, load_model
from tgsr.models.registered import HEADER, Header, RegisteredModel, load_files, save_files
from tgsr.protocols import parse_pair
from tgsr.tracking.names import GENERATED_NOTE, Tag, model_name
from tgsr.tracking.records import StudyRecord, find_run, list_studies, read_study
from tgsr.tracking.storage_errors import masked
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Registered", "find_version", "make_signature", "register"]

_log = logging.getLogger(__name__)

_CHAMPION = "champion"
"""Alias of the version to use; what the target's labels chose is called ``oracle`` instead."""
_DESCRIBED = "described"
"""Of a model's facts: one line that says what it is."""
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "skops")


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


def register(
    client: MlflowClient,
    study: str | None = None,
    pair: DatabasePair | None = None,
    *,
    experiment: str | None = None,
    method: str | None = None,
    trial: str | None = None,
    data: str | None = None,
    by: str | None = None,
    alias: str | None = None,
    allow_oracle: bool = False,
    trusted: Sequence[str] = (),
) -> Registered:
    """Register a study's consensus, or one of its trials.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default that of ``trial``, else the newest with a finished trial.
    pair : DatabasePair, optional
        The study's databases; by default they are loaded.
    experiment, method : str
        Only studies of this pair, such as ``"V-N"``, and of this method: where no study is named, TGSR by default.
    trial : str, optional
        ``"best"`` for the single best trial, or a trial's run id. By default the average of the best twentieth, where
        the method is linear with groups and the study has twenty trials, else the best.
    data : str, optional
        Folder with the databases; by default the one that the study was run with.
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
        If the study or the trial is not there, or its data are not where they were.
    ParameterError
        If no trial has a value of the rule, or the study is one of another pair.
    TrackingError
        If the study has no finished trial, the trial is another study's, the databases are not the study's, an oracle
        would replace a label-free choice, the recorded predictions are not reached again, the model holds types that
        are not trusted, it cannot be loaded again, or the registry refuses.
    """
    from mlflow.exceptions import MlflowException

    uri, record = client.tracking_uri, _find_study(client, study, experiment, method, trial)
    pair = pair or _load_databases(record, data)
    for database, known in ((pair.source, record.spec.source_digest), (pair.target, record.spec.target_digest)):
        if database.digest != known:
            raise TrackingError(
                f"{database.name}: not the content that {record.name!r} was run with; give the folder of that study "
                "with --data"
            )
    by = by or record.default_choice
    # a search that the target's labels have led is an oracle's, whatever chooses among its trials
    chosen = ORACLE if record.spec.objective == ORACLE else by if trial in (None, BEST) else "hand"
    alias = alias or (ORACLE if chosen == ORACLE else _CHAMPION)
    name = model_name(record.pair, record.method)
    holder = find_version(client, name, alias)
    if holder is not None and chosen == ORACLE != alias and not allow_oracle:
        held_by = holder.tags.get(Tag.CHOOSE, "unknown")
        if held_by != ORACLE:
            raise TrackingError(
                f"{name}@{alias} is version {holder.version}, chosen without target labels ({held_by}); what is to be "
                "registered was chosen by them: leave out --alias, or replace the other with --allow-oracle"
            )
    candidate = find_candidate(record, pair, trial, by)
    trusted = _check_types(candidate.estimator, record, trusted)
    replaces = "" if holder is None else f"version {holder.version}"
    header = _make_header(record, pair, candidate, chosen=chosen, replaces=replaces)
    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        folder = Path(temporary) / FOLDER
        folder.mkdir()
        save_files(candidate.estimator, header, folder)
        model = load_files(folder, trusted=trusted)
        _check_answer(model, pair, candidate)
        try:
            version = _store_version(client, record, candidate.run_id, name, folder, model)
            try:
                stored = load_model(f"models:/{name}/{version}", trusted=trusted, tracking_uri=uri)
                _check_answer(stored, pair, candidate)
            except TgsrError:
                client.delete_model_version(name, version)
                raise
            client.set_registered_model_alias(name, alias, version)
        except MlflowException as error:
            raise TrackingError(f"the registry at {masked(uri)} refuses {name}: {error}") from error
    replaced = (
        "" if holder is None else f"{replaces} ({holder.tags.get(f'tgsr.{_DESCRIBED}', 'not registered by tgsr')})"
    )
    return Registered(name, version, alias, candidate.run_id, header.facts[_DESCRIBED], replaced, trusted)


def _find_study(
    client: MlflowClient, study: str | None, pair: str | None, method: str | None, trial: str | None
) -> StudyRecord:
    if study is None and trial not in (None, BEST):
        study = find_run(client, trial).data.tags.get(Tag.PARENT)
    if study:
        return read_study(client, study, pair, method)
    return _newest(client, pair, get_method(method or "TGSR").name)


def _newest(client: MlflowClient, pair: str | None, method: str) -> StudyRecord:
    """The study that is meant where none is named; says which if there are several."""
    named = [record for record in list_studies(client, pair) if record.method == method]
    studies = [record for record in named if len(record.table)]
    newest = next(iter(studies), None)
    if newest is None:
        of = "" if pair is None else f" of {pair}"
        raise MissingDataError(f"no study{of} by {method} with a finished trial in this store; run `tgsr study`")
    if len(studies) > 1:
        note = "%d studies match; taking the newest, %s (%s). Name another with --study RUN_ID"
        _log.info(note, len(studies), newest.name, newest.run_id)
    return newest


def _load_databases(record: StudyRecord, given: str | None) -> DatabasePair:
    folder = given or record.tags.get(Tag.DATA_FOLDER, ".")
    try:
        return load_pair(*parse_pair(record.pair), folder)
    except (MissingDataError, ProtocolError) as error:
        if given is not None:
            raise
        raise MissingDataError(
            f"what is registered is compared on the databases of {record.name!r}, and these are no longer in {folder} "
            f"({error}); give their folder with --data"
        ) from error


def find_version(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version of a registered model that has an alias; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


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


def _check_answer(model: RegisteredModel, pair: DatabasePair, candidate: Candidate) -> None:
    """Refuse a model that was stored and does not answer as before."""
    if model.predict(pair.target.X)["label"].tolist() != [pair.class_names[code] for code in candidate.predicted]:
        raise TrackingError("loaded again, the model does not predict as before; is its random state a part of it?")


def _make_header(
    record: StudyRecord, pair: DatabasePair, candidate: Candidate, *, chosen: str, replaces: str
) -> Header:
    """What a model says of itself, and of what it comes from."""
    from tgsr.features.extraction import ExtractionSettings

    spec, known = record.spec, pair.source.parameters
    scaling = Scaling.of(spec.preprocess, pair.target.X)  # new rows are the target's
    parts = {"offset": scaling.offset, "scale": scaling.scale}
    scores = ", ".join(METRICS[key].describe(value) for key, value in candidate.scores.items())
    chooser = "the target's labels (oracle)" if chosen == ORACLE else chosen
    described = (
        f"{spec.variant} for {record.pair}",
        candidate.settings,
        f"chosen by {chooser}",
        f"on the target {scores}" if scores else "target without labels",
    )
    facts = {
        "experiment": record.pair,
        "method": spec.method,
        "variant": spec.variant,
        "choose": chosen,
        "grouping": spec.grouping,
        "settings": candidate.settings,
        **{key: repr(value) for key, value in candidate.scores.items()},
        _DESCRIBED: "; ".join(filter(None, described)),
        "study_run": record.run_id,
        "study_name": record.name,
        "trial_run": "" if candidate.run_id == record.run_id else candidate.run_id,
        "source_digest": spec.source_digest,
        "target_digest": spec.target_digest,
        "code_version": code_version(),
        "generated": str(pair.is_generated).lower(),
        "replaces": replaces,
    }
    return Header(
        class_names=pair.class_names,
        n_features=int(pair.source.X.shape[1]),
        grouping=spec.grouping,
        # how features were made from clips, unless they are not those of tgsr
        extraction={} if known.get("origin") == "imported" else ExtractionSettings.from_dict(known).to_dict(),
        facts=facts,
        feature_names=() if pair.source.feature_names is None else tuple(pair.source.feature_names.tolist()),
        preprocess=spec.preprocess,
        scaling={part: values.tolist() for part, values in parts.items() if values is not None},
    )


def _store_version(
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
        description=f"{note}{oracle}{facts[_DESCRIBED]}. From study {facts['study_name']!r}.",
        model_id=logged.model_id,
    )
    # what links the two on MLflow's pages
    versions = [{"name": name, "version": version.version}]
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(versions)})
    return str(version.version)


def make_signature(model: RegisteredModel) -> Any:
    """MLflow's schema of a model: rows of numbers, of features or of clips' grey values, to columns."""
    from mlflow.models import infer_signature
    from mlflow.types.schema import Schema, TensorSpec

    signature = infer_signature(
        model_output=model.answer(np.full((1, model.header.n_features), 1 / 59)), params={CLIP_SHAPE: [0, 0, 0]}
    )
    signature.inputs = Schema([TensorSpec(np.dtype(np.float64), (-1, -1))])
    return signature
