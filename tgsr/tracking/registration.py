"""Registering from the command line: finding the study, and what its source database adds to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgsr.datasets import load_database
from tgsr.errors import MissingDataError
from tgsr.protocols import get_experiment
from tgsr.tracking.reading import list_studies, read_study
from tgsr.tracking.registry import Registered, register_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["register_study"]


def register_study(
    client: MlflowClient,
    *,
    study: str | None = None,
    experiment: str | None = None,
    trial: str | None = None,
    data: str | None = None,
) -> Registered:
    """Register a study's trial.

    Parameters
    ----------
    client : MlflowClient
    study : str, optional
        Run id of the study; by default the newest finished one.
    experiment : str, optional
        Narrows that down to one experiment.
    trial : str, optional
        Run id of the trial; by default the study's best.
    data : str, optional
        Folder with the source database: gives the input example and the way features are made from clips.

    Raises
    ------
    MissingDataError
        If there is no such study.
    """
    if study is None:
        name = None if experiment is None else get_experiment(experiment).name
        finished = [entry for entry in list_studies(client, name) if entry.best_run_id]
        if not finished:
            wanted = "" if name is None else f" of {name}"
            raise MissingDataError(f"no study{wanted} with a finished trial in {client.tracking_uri}; run `tgsr study`")
        study = finished[0].run_id
    if data is None:
        return register_trial(client, study, trial_run_id=trial)
    source = load_database(get_experiment(read_study(client, study).experiment).source, data)
    return register_trial(client, study, trial_run_id=trial, extraction=source.parameters, example=source.X[:1])
