"""Registering from the command line: which study is meant, and where its data are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tgsr.datasets import DatabasePair, load_pair
from tgsr.errors import MissingDataError, ParameterError, ProtocolError
from tgsr.protocols import pair_name, parse_pair
from tgsr.tracking.names import Tag
from tgsr.tracking.reading import StudySummary, find_run, list_studies, read_study
from tgsr.tracking.registry import ORACLE, Registered, register

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["register_study"]

_log = logging.getLogger(__name__)


def register_study(
    client: MlflowClient,
    *,
    study: str | None = None,
    experiment: str | None = None,
    method: str = "TGSR",
    trial: str | None = None,
    data: str | None = None,
    alias: str | None = None,
    allow_oracle: bool = False,
) -> Registered:
    """Find a study and register its best trial, or the one named; see `tgsr.tracking.registry.register`.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default that of ``trial``, else the newest with a best trial: of those without target
        labels if there are any, or, with the alias ``oracle``, of the oracle's.
    experiment : str, optional
        Such as ``"V-N"``: only studies of this pair.
    method : str
        The method whose study is taken, if none is named.
    trial : str, optional
        Run id of the trial; by default the study's best.
    data : str, optional
        Folder with the databases; by default the one that the study was run with.
    alias, allow_oracle
        See `tgsr.tracking.registry.register`.

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


def _choose(client: MlflowClient, name: str | None, method: str, alias: str | None) -> StudySummary:
    """The study that is meant where none is named; says which and why if there are several."""
    from tgsr.estimators.methods import get_method

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
        _log.info(
            "%d studies match; taking %s (%s, selection %s): the newest%s. Name another with --study RUN_ID",
            len(finished), taken.name, taken.run_id, taken.selection, kind,
        )  # fmt: skip
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
