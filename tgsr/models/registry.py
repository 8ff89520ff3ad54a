"""The model registry: a trial of a study, fitted again and checked, becomes a version of its pair's model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from tgsr.datasets import DatabasePair, load_pair
from tgsr.errors import MissingDataError, ParameterError, ProtocolError, TrackingError
from tgsr.estimators.methods import get_method
from tgsr.evaluation.choice import best_trial
from tgsr.evaluation.metrics import score
from tgsr.models._input import CLIP_SHAPE
from tgsr.models.loading import DIGEST_TAG, FOLDER, LOADER
from tgsr.models.registered import HEADER, Header, save_files
from tgsr.protocols import pair_name, parse_pair
from tgsr.tracking.config import masked
from tgsr.tracking.names import GENERATED_NOTE, Tag, model_name
from tgsr.tracking.reading import StudySummary, find_run, list_studies, read_spec_json, read_study, read_trials
from tgsr.trials.trial import decode_predictions, settings_text
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["CHAMPION", "ORACLE", "Registered", "aliased_run", "register", "register_study"]

_log = logging.getLogger(__name__)

CHAMPION, ORACLE = "champion", "oracle"
"""Alias of the version to use, and of one that the target's labels chose, where it is not to be the champion."""
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "skops")


@dataclass(frozen=True)
class Registered:
    """A registered model version, such as ``"tgsr-V-N"``, ``"3"``, ``"champion"``.

    ``described`` says what it is, ``replaced`` which version had the alias before, and what that was (or nothing);
    ``run_id`` is the trial that it comes from.
    """

    name: str
    version: str
    alias: str
    run_id: str
    described: str
    replaced: str

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
    alias: str = CHAMPION,
    allow_oracle: bool = False,
) -> Registered:
    """Find a study and register its best trial, or the one named; see `register`.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default that of ``trial``, else the newest with a best trial: of those without target
        labels if there are any, or, with the alias ``oracle``, of the oracle's.
    experiment, method : str
        Only studies of this pair, such as ``"V-N"``, and, where none is named, of this method.
    trial : str, optional
        Run id of the trial; by default the study's best.
    data : str, optional
        Folder with the databases; by default the one that the study was run with.
    alias, allow_oracle
        See `register`.

    Raises
    ------
    MissingDataError
        If there is no such study, or its data are not where they were.
    ParameterError
        If the study is one of another pair.
    """
    name = None if experiment is None else pair_name(*parse_pair(experiment))
    if study is None and trial is not None:
        study = find_run(client, trial).data.tags.get(Tag.PARENT)
    found = read_study(client, study) if study else _choose(client, name, method, alias)
    if name is not None and found.experiment != name:
        raise ParameterError(f"run {study} ({found.name}) is no study of {name}; leave out the one or the other")
    pair = _load(found, data)
    return register(client, found.run_id, pair, trial_run_id=trial, alias=alias, allow_oracle=allow_oracle)


def _choose(client: MlflowClient, name: str | None, method: str, alias: str) -> StudySummary:
    """The study that is meant where none is named; says which and why if there are several."""
    wanted = get_method(method).name
    finished = [entry for entry in list_studies(client, name) if entry.method == wanted and entry.best_run_id]
    if not finished:
        of = "" if name is None else f" of {name}"
        raise MissingDataError(f"no study{of} by {wanted} with a finished trial in this store; run `tgsr study`")
    oracle = alias == ORACLE
    preferred = [entry for entry in finished if (entry.selection == ORACLE) == oracle]
    taken = (preferred or finished)[0]
    if len(finished) > 1:
        kind = "" if not preferred else " of the oracle's" if oracle else " of those without target labels"
        named = f"{taken.name} ({taken.run_id}, selection {taken.selection})"
        _log.info(
            "%d studies match; taking %s: the newest%s. Name another with --study RUN_ID", len(finished), named, kind
        )
    return taken


def _load(study: StudySummary, data: str | None) -> DatabasePair:
    folder = data or study.tags.get(Tag.DATA_FOLDER)
    if folder is None:
        raise ParameterError(f"{study.name!r} does not say where its databases are: give their folder with --data")
    try:
        return load_pair(*parse_pair(study.experiment), folder)
    except (MissingDataError, ProtocolError) as error:
        if data is not None:
            raise
        raise MissingDataError(
            f"a model is fitted again to be registered, and the databases of {study.name!r} are no longer in {folder} "
            f"({error}); give their folder with --data"
        ) from error


def register(
    client: MlflowClient,
    study_run_id: str,
    pair: DatabasePair,
    *,
    trial_run_id: str | None = None,
    alias: str = CHAMPION,
    allow_oracle: bool = False,
) -> Registered:
    """Register a study's best trial, or another of its trials, fitted again on the study's databases.

    Parameters
    ----------
    alias : str
        Name under which the version is found.
    allow_oracle : bool
        Whether a trial chosen by the target's labels may take the alias from one chosen without them.

    Raises
    ------
    MissingDataError
        If the study or the trial is not there.
    TrackingError
        If the study has no finished trial, the trial is another study's, the databases are not the study's, an oracle
        would replace a label-free choice, the trial's predictions are not reached again, or the registry refuses.
    """
    from mlflow.exceptions import MlflowException

    study = read_study(client, study_run_id)
    if study.tags.get(Tag.KIND) != "study":
        raise TrackingError(f"run {study_run_id} is no study; see `tgsr trials` for those there are")
    spec = read_spec_json(client, study.run_id)
    _check_data(study, pair)
    name = model_name(pair.name, spec["method"])
    holder = _holder(client, name, alias)
    _guard(study.selection, holder, alias, allow_oracle)
    trial = _trial(client, study, trial_run_id)
    settings = json.loads(trial.data.tags[Tag.SETTINGS])
    estimator = _refit(spec, settings, pair)
    _check_predictions(estimator, pair, trial)
    replaces = "" if holder is None else f"version {holder.version}"
    facts = {**_facts(study, spec, settings, pair, trial), "replaces": replaces}
    try:
        version = _log_model(client, trial, name, estimator, _header(estimator, pair, facts))
        _publish(client, name, version, pair, facts)
        client.set_registered_model_alias(name, alias, version)
    except MlflowException as error:
        raise TrackingError(f"the registry at {masked(client.tracking_uri)} refuses {name}: {error}") from error
    replaced = "" if holder is None else f"{replaces} ({_told(holder)})"
    return Registered(name, version, alias, str(trial.info.run_id), describe(facts), replaced)


def _check_data(study: StudySummary, pair: DatabasePair) -> None:
    for data, tag in ((pair.source, Tag.SOURCE_DIGEST), (pair.target, Tag.TARGET_DIGEST)):
        known = study.tags.get(tag, "none")
        if data.digest != known:
            raise TrackingError(
                f"{data.name}: not the content that {study.name!r} was run with (digest {data.digest[:12]}… for "
                f"{known[:12]}…); give the folder of that study with --data"
            )


def _holder(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def aliased_run(client: MlflowClient, name: str, alias: str) -> str | None:
    """Run id of the trial whose model has an alias; None if there is none."""
    version = _holder(client, name, alias)
    return None if version is None else str(version.run_id)


def _guard(selection: str, holder: ModelVersion | None, alias: str, allow_oracle: bool) -> None:
    """An honest champion does not give way to an oracle unless that is asked for."""
    held_by = ORACLE if holder is None else holder.tags.get(Tag.SELECTION, "unknown")
    if selection == ORACLE and held_by != ORACLE and alias != ORACLE and not allow_oracle and holder is not None:
        raise TrackingError(
            f"{holder.name}@{alias} is version {holder.version}, chosen without target labels ({held_by}); "
            "this trial was chosen by them: register it with --alias oracle, or replace the other with --allow-oracle"
        )


def _told(version: ModelVersion) -> str:
    facts = {key.removeprefix("tgsr."): value for key, value in version.tags.items()}
    return describe(facts) if "method" in facts else "of an earlier tgsr"


def describe(facts: Mapping[str, str]) -> str:
    """One line that says what a model is."""
    chosen = (
        "chosen by the target's labels (oracle)" if facts["selection"] == ORACLE else f"chosen by {facts['selection']}"
    )
    groups = f"groups {facts['grouping']}" if facts.get("grouping") else ""
    scores = [f"{label} {float(facts[key]):.4f}" for key, label in _SCORES if facts.get(key)]
    on_target = f"on the target {', '.join(scores)}" if scores else "target without labels"
    parts = (f"{facts['method']} for {facts['experiment']}", facts.get("settings", ""), groups, chosen, on_target)
    return "; ".join(part for part in parts if part)


_SCORES = (("macro_f1", "macro-F1"), ("accuracy", "accuracy"))


def _trial(client: MlflowClient, study: StudySummary, run_id: str | None) -> Run:
    if run_id is None:
        run_id = str(best_trial(read_trials(client, study.run_id)).row["run_id"])
    trial = find_run(client, run_id)
    if trial.data.tags.get(Tag.PARENT) != study.run_id:
        raise TrackingError(f"run {run_id} is no trial of {study.name!r} ({study.run_id}); see `tgsr trials`")
    if Tag.SETTINGS not in trial.data.tags:
        raise TrackingError(f"trial {run_id} does not record its settings; run the study again")
    return trial


def _refit(spec: Mapping[str, Any], settings: Mapping[str, Any], pair: DatabasePair) -> Any:
    """The trial's estimator, fitted as in the study: one BLAS thread, class indices as labels."""
    fixed = dict(spec["fixed"])
    if "groups" in fixed and pair.source.groups is not None:
        fixed["groups"] = pair.source.groups
    estimator = get_method(spec["method"]).make(**{**fixed, **settings})
    target = {"X_target": pair.target.X} if "X_target" in inspect.signature(estimator.fit).parameters else {}
    with threadpool_limits(limits=1, user_api="blas"):
        return estimator.fit(pair.source.X, pair.source.known_labels, **target)


def _check_predictions(estimator: Any, pair: DatabasePair, trial: Run) -> None:
    """Compare the predictions, or of a target too large for them to be kept the scores."""
    predicted = np.asarray(estimator.predict(pair.target.X), dtype=np.int64)
    tags, metrics = trial.data.tags, trial.data.metrics
    if Tag.PREDICTIONS in tags:
        recorded = decode_predictions(tags[Tag.PREDICTIONS])
        same = predicted.shape == recorded.shape and bool((predicted == recorded).all())
    else:
        again = score(pair.target.known_labels, predicted, len(pair.class_names))
        same = all(getattr(again, key) == metrics.get(key) for key, _ in _SCORES)
    if not same:
        raise TrackingError(
            f"fitted again, trial {trial.info.run_id} does not predict what it recorded: code or libraries have "
            "changed since; run the study again"
        )


def _facts(
    study: StudySummary, spec: Mapping[str, Any], settings: Mapping[str, Any], pair: DatabasePair, trial: Run
) -> dict[str, str]:
    scores = {key: repr(trial.data.metrics[key]) for key, _ in _SCORES if key in trial.data.metrics}
    return {
        "experiment": pair.name,
        "method": spec["method"],
        "selection": study.selection,
        "grouping": str(spec["fixed"].get("groups", "")),
        "settings": settings_text(settings),
        **scores,
        "study_run": study.run_id,
        "study_name": study.name,
        "trial_run": str(trial.info.run_id),
        "source_digest": pair.source.digest,
        "target_digest": pair.target.digest,
        "code_version": code_version(),
        "generated": str(pair.is_generated).lower(),
    }


def _header(estimator: Any, pair: DatabasePair, facts: Mapping[str, str]) -> Header:
    from tgsr.features.extraction import ExtractionSettings

    known = pair.source.parameters  # how features were made from clips, unless they are not those of tgsr
    return Header(
        class_names=pair.class_names,
        n_features=int(pair.source.X.shape[1]),
        grouping=facts["grouping"],
        group_norms=tuple(float(norm) for norm in getattr(estimator, "region_norms_", ())),
        extraction={} if known.get("origin") == "imported" else ExtractionSettings.from_dict(known).to_dict(),
        facts=facts,
    )


def _log_model(client: MlflowClient, trial: Run, name: str, estimator: Any, header: Header) -> str:
    """Log a model as its trial's and make it a version of ``name``; returns the version."""
    import mlflow
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        folder = Path(temporary) / FOLDER
        folder.mkdir()
        save_files(estimator, header, folder)
        digest = hashlib.sha256((folder / HEADER).read_bytes()).hexdigest()
        # made for the run, not within it: an active run is one that a kill leaves unfinished, and a trial lost
        logged = client.create_logged_model(trial.info.experiment_id, "model", source_run_id=trial.info.run_id)
        info = mlflow.pyfunc.log_model(
            model_id=logged.model_id,
            loader_module=LOADER,
            data_path=str(folder),
            signature=_signature(),
            input_example=(np.full((1, header.n_features), 0.017), {CLIP_SHAPE: [0, 0, 0]}),
            pip_requirements=[f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS],
            registered_model_name=name,
            metadata=dict(header.facts),
        )
    client.log_outputs(trial.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    version = str(info.registered_model_version)
    client.set_model_version_tag(name, version, DIGEST_TAG, digest)
    return version


def _signature() -> Any:
    """Only the parameters: whether an input is rows of the right length or clips is for the model to say."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec

    return ModelSignature(params=ParamSchema([ParamSpec(CLIP_SHAPE, DataType.long, [0, 0, 0], shape=(-1,))]))


def _publish(client: MlflowClient, name: str, version: str, pair: DatabasePair, facts: Mapping[str, str]) -> None:
    """Say of a version, and of the model, what they are: as tags and in words."""
    for key, value in facts.items():
        client.set_model_version_tag(name, version, f"tgsr.{key}", value)
    note = f"{GENERATED_NOTE}\n\n" if pair.is_generated else ""
    oracle = "**Chosen by the target's labels (oracle).** " if facts["selection"] == ORACLE else ""
    client.update_model_version(name, version, f"{note}{oracle}{describe(facts)}. From study {facts['study_name']!r}.")
    client.update_registered_model(
        name,
        f"{note}Micro-expressions ({', '.join(pair.class_names)}) of {pair.target.name}, learned on "
        f"{pair.source.name} by {facts['method']}.",
    )
