"""A worker: joins a study by its name and storage, and helps until it is done."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import optuna
from tqdm import tqdm

from studies.data import fetch_pair
from studies.method_spec import read_spec
from studies.session import Session, make_sampler
from studies.spec import SPEC
from studies.storage import open_storage
from studies.study import RUN_ID, TRACKING, StudyOptions, load_study, open_session, study_run
from studies.terms import Terms
from tgsr.errors import TrackingError
from tgsr.tracking.place import open_client
from tgsr.tracking.study_runs import finish_parent, reopen_parent

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["WorkerOptions", "join_study", "run_worker"]

_PATIENCE_SECONDS = 60.0
"""A study that is being set up is waited for so long."""


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker takes part.

    Attributes
    ----------
    options : StudyOptions
        As for `run_study`; ``n_trials`` None and ``writer`` ``"auto"`` take what the study was last started with,
        ``matrices`` does not count.
    data_folder : str or None
        Folder with the feature files; None fetches them from the tracking server.
    tracking_uri : str or None
        None uses the one that the study was started with.
    matrices : str or None
        Regression matrices that are kept; None as the study was last started with.
    """

    options: StudyOptions
    data_folder: str | None = None
    tracking_uri: str | None = None
    matrices: str | None = None


def run_worker(study_name: str, worker: WorkerOptions) -> int:
    """Work on a study until it is done. Returns the number of trials that this worker ran.

    Raises
    ------
    MissingDataError
        If the study or its databases are not found.
    TrackingError
        If the study cannot be joined.
    """
    session, client = join_study(study_name, worker)
    session.ledger.refresh()
    session.ledger.reap()
    run_id = session.run.run_id
    goes_on = session.finished() < session.total and client.get_run(run_id).info.status == "FINISHED"
    if goes_on:
        reopen_parent(client, run_id)
    with tqdm(
        total=session.total,
        initial=session.finished(),
        desc=f"worker {os.getpid()}: {session.spec.title}",
        unit="trial",
        disable=not worker.options.progress,
        dynamic_ncols=True,
    ) as bar:

        def show(finished: int) -> None:
            bar.update(finished - bar.n)

        try:
            session.work(show)
        finally:
            if goes_on:
                finish_parent(client, run_id, "KILLED")
                worker.options.say("the study was finished and has gone on; its own command sums it up again")
    return session.written


def join_study(study_name: str, worker: WorkerOptions) -> tuple[Session, MlflowClient]:
    """Open a study that another process has started, on the terms that it was started with."""
    storage = open_storage(worker.options.storage_url, create=False)
    study = load_study(study_name, storage)
    terms = _wait_for_terms(study)
    attrs = study.user_attrs
    spec = read_spec(str(attrs[SPEC]))
    given = worker.options
    options = replace(
        given,
        place=replace(given.place, tracking_uri=worker.tracking_uri or str(attrs[TRACKING])),
        n_trials=given.n_trials or terms.n_trials,
        matrices=worker.matrices or terms.matrices,
        writer=terms.writer if given.writer == "auto" else given.writer,
    )
    client = open_client(options.place.tracking_uri)
    study.sampler = make_sampler(spec, len(study.get_trials(deepcopy=False)), salt=os.getpid())
    pair = fetch_pair(client, str(attrs[RUN_ID]), spec, worker.data_folder)
    run = study_run(spec, str(attrs[RUN_ID]), client)
    return open_session(spec, pair, study, storage, client, run, options), client


def _wait_for_terms(study: optuna.Study) -> Terms:
    given_up = time.monotonic() + _PATIENCE_SECONDS
    while (terms := Terms.of(study)) is None:
        if RUN_ID not in study.user_attrs or time.monotonic() > given_up:
            raise TrackingError(
                f"study {study.study_name!r} is not set up yet; start it with `tgsr study`, then its workers"
            )
        time.sleep(0.5)
    return terms
