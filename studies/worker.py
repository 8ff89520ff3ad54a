"""A worker: joins a study by its name and storage, and helps until it is done."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import optuna
from tqdm import tqdm

from studies.data import fetch_pair
from studies.method_spec import read_spec
from studies.session import Session, make_sampler
from studies.spec import SPEC
from studies.storage import open_storage, shown
from studies.study import RUN_ID, TRACKING, StudyOptions, open_session, study_run
from tgsr.errors import MissingDataError, TrackingError
from tgsr.tracking.place import open_client

__all__ = ["WorkerOptions", "join_study", "run_worker"]


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker takes part.

    Attributes
    ----------
    options : StudyOptions
        As for `run_study`; ``n_trials`` None takes what the study was started with for a grid.
    data_folder : str or None
        Folder with the feature files; None fetches them from the tracking server.
    tracking_uri : str or None
        None uses the one that the study was started with.
    """

    options: StudyOptions
    data_folder: str | None = None
    tracking_uri: str | None = None


def run_worker(study_name: str, worker: WorkerOptions) -> int:
    """Work on a study until it is done. Returns the number of trials that this worker ran.

    Raises
    ------
    MissingDataError
        If the study or its databases are not found.
    TrackingError
        If the study cannot be joined.
    """
    session = join_study(study_name, worker)
    session.ledger.refresh()
    session.ledger.reap()
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

        session.work(show)
    return session.written


def join_study(study_name: str, worker: WorkerOptions) -> Session:
    """Open a study that another process has started."""
    options = worker.options
    storage = open_storage(options.storage_url, create=False)
    try:
        study = optuna.load_study(study_name=study_name, storage=storage)
    except KeyError as error:
        known = ", ".join(repr(name) for name in optuna.get_all_study_names(storage)) or "none"
        raise MissingDataError(f"no study {study_name!r} in {shown(options.storage_url)}; it holds {known}") from error
    attrs = study.user_attrs
    if SPEC not in attrs or RUN_ID not in attrs:
        raise TrackingError(f"study {study_name!r} is not set up yet; start it with `tgsr study`, then its workers")
    spec = read_spec(str(attrs[SPEC]))
    place = replace(options.place, tracking_uri=worker.tracking_uri or str(attrs[TRACKING]))
    client = open_client(place.tracking_uri)
    study.sampler = make_sampler(spec, len(study.get_trials(deepcopy=False)), salt=os.getpid())
    pair = fetch_pair(client, str(attrs[RUN_ID]), spec, worker.data_folder)
    run = study_run(spec, str(attrs[RUN_ID]), client)
    return open_session(spec, pair, study, storage, client, run, replace(options, place=place))
