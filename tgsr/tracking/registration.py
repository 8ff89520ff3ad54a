"""Registering from the command line: finding the study, and what its source database adds to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgsr.datasets import load_database, load_pair
from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.estimators.spaces import get_method
from tgsr.protocols import get_experiment
from tgsr.tracking.method_registry import register_method
from tgsr.tracking.names import Tag
from tgsr.tracking.reading import find_run, list_studies, read_extraction, read_study
from tgsr.tracking.registry import Registered, register_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["register_study"]


def register_study(
    client: MlflowClient,
    *,
    study: str | None = None,
    experiment: str | None = None,
    method: str = "TGSR",
    trial: str | None = None,
    data: str | None = None,
) -> Registered:
    """Register a study's trial.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default that of ``trial``, else the newest with a best trial.
    experiment : str, optional
        Such as ``"V-N"``: only studies of this experiment.
    method : str
        The method whose newest study is taken, if none is named.
    trial : str, optional
        Run id of the trial; by default the study's best.
    data : str, optional
        Folder with the source database: its first row becomes the input example. Another method than TGSR needs both
        databases: its estimator is fitted again.

    Raises
    ------
    ParameterError
        If data are needed and not given.
    MissingDataError
        If there is no such study.
    ParameterError
        If the study is one of another experiment.
    DataError
        If ``data`` holds another source database than the study was run on.
    """
    name = None if experiment is None else get_experiment(experiment).name
    if study is None and trial is not None:
        study = find_run(client, trial).data.tags.get(Tag.PARENT)
    if study is None:
        wanted_method = get_method(method).name
        studies = [entry for entry in list_studies(client, name) if entry.method == wanted_method]
        finished = [entry for entry in studies if entry.best_run_id]
        if not finished:
            wanted = "" if name is None else f" of {name}"
            by = "" if wanted_method == "TGSR" else f" by {wanted_method}"
            raise MissingDataError(
                f"no study{wanted}{by} with a finished trial in {client.tracking_uri}; run `tgsr study`"
            )
        study = finished[0].run_id
    stored = read_study(client, study)
    if name is not None and stored.experiment != name:
        raise ParameterError(f"run {study} ({stored.name}) is no study of {name}; leave out the one or the other")
    if stored.method != "TGSR":
        if data is None:
            raise ParameterError(f"a model of {stored.method} is fitted again to be registered: give --data DIR")
        pair = load_pair(get_experiment(stored.experiment), data)
        return register_method(client, stored, pair, trial_run_id=trial)
    extraction = read_extraction(client, study)
    if data is None:
        return register_trial(client, study, trial_run_id=trial, extraction=extraction)
    source = load_database(get_experiment(stored.experiment).source, data)
    if source.digest != stored.tags.get(Tag.SOURCE_DIGEST):
        raise DataError(
            f"{source.name} in {data} is not what {stored.name!r} was run on (digest {source.digest[:12]}… for "
            f"{stored.tags.get(Tag.SOURCE_DIGEST, 'none')[:12]}…); give the folder of that study"
        )
    return register_trial(client, study, trial_run_id=trial, extraction=extraction, example=source.X[:1])
