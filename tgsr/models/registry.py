"""The model registry: a study's consensus, or one of its trials, becomes a version of its pair's model.

What is registered was fitted again or averaged, predicts the target as the study recorded, and was loaded again.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgsr.datasets import DatabasePair, load_pair
from tgsr.errors import MissingDataError, ParameterError, ProtocolError, TgsrError, TrackingError
from tgsr.estimators import get_method
from tgsr.evaluation.choice import ORACLE
from tgsr.models._candidates import BEST, Candidate, find_candidate
from tgsr.models._versions import DESCRIBED, make_header, store_version
from tgsr.models._weights import dump_estimator, untrusted_types
from tgsr.models.loading import FOLDER, load_model
from tgsr.models.registered import RegisteredModel, load_files, save_files
from tgsr.protocols import parse_pair
from tgsr.tracking.names import Tag, model_name
from tgsr.tracking.records import StudyRecord, find_run, list_studies, read_study
from tgsr.tracking.storage_errors import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Registered", "register", "register_study"]

_log = logging.getLogger(__name__)

_CHAMPION = "champion"
"""Alias of the version to use; what the target's labels chose is called ``oracle`` instead."""


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
    folder = data or record.tags.get(Tag.DATA_FOLDER)
    if folder is None:
        raise ParameterError(f"{record.name!r} does not say where its databases are: give their folder with --data")
    try:
        pair = load_pair(*parse_pair(record.pair), folder)
    except (MissingDataError, ProtocolError) as error:
        if data is not None:
            raise
        raise MissingDataError(
            f"what is registered is compared on the databases of {record.name!r}, and these are no longer in {folder} "
            f"({error}); give their folder with --data"
        ) from error
    return register(client, record.run_id, pair, trial=trial, **how)


def _newest(client: MlflowClient, pair: str | None, method: str) -> StudyRecord:
    """The study that is meant where none is named; says which if there are several."""
    studies = [record for record in list_studies(client, pair) if record.method == method]
    newest = next((record for record in studies if len(record.table)), None)
    if newest is None:
        of = "" if pair is None else f" of {pair}"
        raise MissingDataError(f"no study{of} by {method} with a finished trial in this store; run `tgsr study`")
    if len(studies) > 1:
        note = "%d studies match; taking the newest, %s (%s). Name another with --study RUN_ID"
        _log.info(note, len(studies), newest.name, newest.run_id)
    return newest


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
    holder = _holder(client, name, alias)
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
    header = make_header(record, pair, candidate, chosen=chosen, replaces=replaces)
    with tempfile.TemporaryDirectory(prefix="tgsr-") as temporary:
        folder = Path(temporary) / FOLDER
        folder.mkdir()
        save_files(candidate.estimator, header, folder)
        model = load_files(folder, trusted=trusted)
        _check_answer(model, pair, candidate)
        try:
            version = store_version(client, record, candidate.run_id, name, folder, model)
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
        "" if holder is None else f"{replaces} ({holder.tags.get(f'tgsr.{DESCRIBED}', 'not registered by tgsr')})"
    )
    return Registered(name, version, alias, candidate.run_id, header.facts[DESCRIBED], replaced, trusted)


def _holder(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
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
