"""A study from beginning to end: set up or found again, run, mirrored, summed up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import optuna
from joblib import cpu_count
from optuna.storages import BaseStorage
from tqdm import tqdm

from studies.data import share_data
from studies.fitting import Fitter
from studies.method_fitting import MethodFitter
from studies.method_spec import AnySpec, MethodSpec
from studies.session import Session, default_batch, make_sampler
from studies.spec import SPEC, StudySpec, check_matrices
from studies.storage import is_embedded, open_storage, shown
from studies.terms import Terms
from studies.turns import turn
from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.evaluation.selection import get_rule
from tgsr.tracking.database import analyze
from tgsr.tracking.names import CONFUSION, Tag, experiment_title
from tgsr.tracking.place import Place, ensure_experiment, open_client
from tgsr.tracking.reading import read_trials
from tgsr.tracking.records import StudyRun, source_tags
from tgsr.tracking.study_runs import (
    ParentSpec,
    ending,
    finish_parent,
    log_best,
    log_curves,
    log_inputs,
    log_trial_table,
    reopen_parent,
    start_parent,
)
from tgsr.tracking.views import prepare_experiment
from tgsr.tracking.writers import choose_writer
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "StudyOptions",
    "StudyResult",
    "best_row",
    "complete_mirror",
    "load_study",
    "open_session",
    "open_study",
    "open_study_run",
    "run_study",
    "wanted_trials",
]

RUN_ID, TRACKING = "mlflow_run_id", "mlflow_tracking_uri"
"""Study attributes by which a worker finds the study's run."""
_OPENINGS = "openings"
DEFAULT_TRIALS = 200


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run; nothing here changes its results.

    Attributes
    ----------
    place : Place
        Where results are kept.
    data_folder : str
        Where the databases were read from; logged with them.
    storage : str or None
        Optuna's storage; None for the journal file in the home folder.
    n_trials : int or None
        Trials of the study in all; None for the whole grid, or 200 sampled ones.
    batch : int or None
        Trials solved and written together; None for a number that suits the sampler.
    jobs : int or None
        Threads that solve; None for one a core.
    matrices : str
        Regression matrices that are kept: ``all``, ``best:n`` of each ξ, or ``none`` (the best trial's always is).
    writer : {"auto", "bulk", "client"}
    share : bool
        Put the databases onto the tracking server, for workers on other machines.
    progress : bool
    parent_run_id : str or None
        A run that the study's is a child of.
    say : callable
        Takes the messages for the user.
    """

    place: Place
    data_folder: str
    storage: str | None = None
    n_trials: int | None = None
    batch: int | None = None
    jobs: int | None = None
    matrices: str = "all"
    writer: str = "auto"
    share: bool = False
    progress: bool = True
    parent_run_id: str | None = None
    say: Callable[[str], None] = lambda _: None

    @property
    def storage_url(self) -> str:
        """The storage, with its default."""
        return self.storage or self.place.storage


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes
    ----------
    name : str
        Optuna's study name.
    run_id : str
        The parent run.
    best : dict
        The best trial's row: ``trial, run_id``, what it tried (``kappa, xi``) and metrics.
    settings : dict
        What it tried.
    table : DataFrame
        All trials.
    seconds : dict
        Time of this process by part.
    """

    name: str
    run_id: str
    best: dict[str, Any]
    settings: dict[str, Any]
    table: pd.DataFrame
    seconds: dict[str, float]


def run_study(spec: AnySpec, pair: DatabasePair, options: StudyOptions) -> StudyResult:
    """Run a study, or go on with it where it stopped.

    Raises
    ------
    ParameterError
        If a setting is out of range.
    TrackingError
        If tracking store or storage cannot be used.
    """
    spec.check_data(pair)
    check_matrices(options.matrices)
    if options.n_trials is not None and options.n_trials < 1:
        raise ParameterError(f"{options.n_trials} trials: a study needs at least 1")
    client = open_client(options.place.tracking_uri)
    storage = open_storage(options.storage_url)
    study = open_study(spec, storage)
    run = open_study_run(spec, pair, study, client, options)
    with ending(client, run.run_id):
        session = open_session(spec, pair, study, storage, client, run, options)
        with _progress_bar(session, options) as show:
            session.work(show)
        with turn(study, session.ledger.owner):
            reopen_parent(client, run.run_id)  # another process may have summed up meanwhile
            repaired = session.mirror()
            if repaired:
                options.say(f"{repaired} finished trials were missing in MLflow and have been added")
            if session.left_to_others:
                options.say(f"{session.left_to_others} trials are still being written by others; run this again then")
            result = _sum_up(session, client, options)
            finish_parent(client, run.run_id)
    return result


def complete_mirror(spec: AnySpec, pair: DatabasePair, options: StudyOptions) -> int:
    """Add to MLflow every trial that Optuna knows as finished and MLflow lacks; returns how many.

    The study's run ends in the state that it was in, unless that was wrong: finished with all trials there, running
    while somebody is at work.

    Raises
    ------
    MissingDataError
        If there is no such study.
    """
    storage = open_storage(options.storage_url, create=False)
    study = load_study(spec.name, storage)
    client = open_client(options.place.tracking_uri)
    terms = Terms.of(study)
    if terms is not None:
        writer = terms.writer if options.writer == "auto" else options.writer
        options = replace(options, n_trials=terms.n_trials, matrices=terms.matrices, writer=writer)
    known = _stored_run(client, study)
    before = "KILLED" if known is None else str(known.info.status)
    run = open_study_run(spec, pair, study, client, options)
    state = before
    try:
        session = open_session(spec, pair, study, storage, client, run, options)
        with turn(study, session.ledger.owner):
            added = session.mirror(wait=False)
            _sum_up(session, client, options)
        state = _state(session, before)
    finally:
        finish_parent(client, run.run_id, state)
    return added


def _state(session: Session, before: str) -> str:
    """The state of the study's run by what Optuna knows, and what it was where both may be."""
    session.ledger.refresh()
    session.ledger.reap()
    if session.finished() >= session.total:
        return "FINISHED"
    if session.ledger.running:
        return "RUNNING"
    return before if before in ("KILLED", "FAILED") else "KILLED"


def open_session(
    spec: AnySpec,
    pair: DatabasePair,
    study: optuna.Study,
    storage: BaseStorage,
    client: MlflowClient,
    run: StudyRun,
    options: StudyOptions,
) -> Session:
    """Prepare this process's part in a study."""
    writer, reason = choose_writer(client, run.artifact_location, options.writer)
    if reason:
        options.say(f"trials are written by MLflow's client, which is slower: {reason}")
    jobs = options.jobs or cpu_count()
    return Session(
        spec=spec,
        study=study,
        storage=storage,
        fitter=MethodFitter(spec, pair, jobs) if isinstance(spec, MethodSpec) else Fitter(spec, pair, jobs),
        writer=writer,
        run=run,
        n_trials=wanted_trials(spec, options.n_trials),
        batch=options.batch or default_batch(spec, jobs),
        keep_all=check_matrices(options.matrices) is None,
    )


def wanted_trials(spec: AnySpec, n_trials: int | None) -> int | None:
    """Trials of the study in all; None for the whole grid."""
    return DEFAULT_TRIALS if n_trials is None and spec.sampler != "grid" else n_trials


def study_run(spec: AnySpec, run_id: str, client: MlflowClient) -> StudyRun:
    """Describe the parent run for the writers."""
    info = client.get_run(run_id).info
    location = str(client.get_experiment(info.experiment_id).artifact_location)
    tags = {**spec.tags, **source_tags()}
    return StudyRun(run_id, info.experiment_id, location, spec.selection, spec.grouping, spec.common_params, tags)


def best_row(table: pd.DataFrame) -> dict[str, Any]:
    """The best trial: largest selection value, and of equal ones the smallest κ, then the smallest ξ.

    That is the first hit in the order of the released records. Of another method's the smallest number is the first.

    Raises
    ------
    TrackingError
        If no trial has finished.
    """
    if not len(table):
        raise TrackingError("the study has no finished trial; run it first")
    order = ["kappa", "xi"] if "kappa" in table else ["trial"]
    ranked = table.sort_values(["selection_value", *order], ascending=[False, *[True] * len(order)])
    row = {str(key): value for key, value in ranked.iloc[0].to_dict().items()}
    return row | {key: int(row[key]) for key in ("trial", "kappa") if key in row}


def open_study(spec: AnySpec, storage: BaseStorage) -> optuna.Study:
    """Open the study in Optuna's storage, or make it."""
    study = optuna.create_study(
        study_name=spec.name, storage=storage, direction="maximize", sampler=make_sampler(spec, 0), load_if_exists=True
    )
    if study.user_attrs.get(SPEC) is None:
        study.set_user_attr(SPEC, spec.to_json())
    if spec.sampler != "grid":
        with turn(study):
            openings = int(study.user_attrs.get(_OPENINGS, 0))
            study.set_user_attr(_OPENINGS, openings + 1)
        # commands that start together must not draw the same
        study.sampler = make_sampler(spec, len(study.get_trials(deepcopy=False)), salt=10_007 * openings)
    return study


def load_study(name: str, storage: BaseStorage) -> optuna.Study:
    """Open a study that is there.

    Raises
    ------
    MissingDataError
        If it is not.
    """
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        known = "; ".join(map(repr, optuna.get_all_study_names(storage))) or "none"
        raise MissingDataError(f"no such study: {name!r}; there are: {known}") from error


def open_study_run(
    spec: AnySpec, pair: DatabasePair, study: optuna.Study, client: MlflowClient, options: StudyOptions
) -> StudyRun:
    """Open the study's run in MLflow again, join the one that ``mlflow run`` has started, or start one."""
    with turn(study):
        run_id = _reopen(study, client, options) or _start(spec, pair, study, client, options)
        with ending(client, run_id):
            run = client.get_run(run_id)
            prepare_experiment(client, run.info.experiment_id)
            if not (run.inputs and run.inputs.dataset_inputs):
                log_inputs(client, run_id, {"source": pair.source, "target": pair.target}, options.data_folder)
            if options.share or not (is_embedded(options.storage_url) and options.place.artifact_root):
                share_data(client, run_id, pair)
            study.set_user_attr(TRACKING, options.place.tracking_uri)
            Terms(wanted_trials(spec, options.n_trials), options.matrices, options.writer).store(study)
            return study_run(spec, run_id, client)


def _reopen(study: optuna.Study, client: MlflowClient, options: StudyOptions) -> str | None:
    run = _stored_run(client, study)
    if run is None:
        return None
    run_id = str(run.info.run_id)
    ensure_experiment(client, client.get_experiment(run.info.experiment_id).name, options.place.artifact_root)
    if run.info.lifecycle_stage != "active":
        client.restore_run(run_id)
        options.say(f"run {run_id} had been deleted and is restored")
    reopen_parent(client, run_id)
    joined = os.environ.get("MLFLOW_RUN_ID")
    if options.parent_run_id is not None:
        client.set_tag(run_id, Tag.PARENT, options.parent_run_id)
    elif joined and joined != run_id:
        client.set_tag(joined, Tag.CONTINUES, run_id)
        options.say(f"going on with run {run_id}")
    return run_id


def _start(spec: AnySpec, pair: DatabasePair, study: optuna.Study, client: MlflowClient, options: StudyOptions) -> str:
    parent = ParentSpec(
        title=experiment_title(spec.experiment),
        name=spec.title,
        description=_description(spec, pair, get_rule(spec.selection).description),
        tags={
            **spec.tags,
            Tag.KIND: "study",
            Tag.SAMPLER: spec.sampler,
            Tag.STUDY: spec.name,
            Tag.STORAGE: shown(options.storage_url),
            Tag.SOURCE_DIGEST: spec.source_digest,
            Tag.TARGET_DIGEST: spec.target_digest,
            Tag.CODE_VERSION: code_version(),
        },
        params={
            **({"cells": str(len(spec.space.cells()))} if spec.sampler == "grid" else {}),
            "experiment": spec.experiment,
            "sampler": spec.sampler,
            "seed": str(spec.seed),
            **spec.space_params,
            **spec.common_params,
        },
        parent_run_id=options.parent_run_id,
    )
    run_id = start_parent(client, parent, options.place.artifact_root, join=options.parent_run_id is None)
    study.set_user_attr(RUN_ID, run_id)
    return run_id


def _stored_run(client: MlflowClient, study: optuna.Study) -> Run | None:
    """The study's run, also a deleted one; None if there is none."""
    from mlflow.exceptions import MlflowException

    known = study.user_attrs.get(RUN_ID)
    try:
        return None if known is None else client.get_run(str(known))
    except MlflowException:
        return None


def _description(spec: AnySpec, pair: DatabasePair, rule: str) -> str:
    warning = (
        "\n\n**Oracle**: these trials were ranked by the target's own labels, as in the paper; "
        "the best of them is no estimate of what the method achieves in use."
        if get_rule(spec.selection).uses_target_labels
        else ""
    )
    groups = f", groups `{spec.grouping}`" if spec.grouping else ""
    return (
        f"{spec.method}, experiment **{spec.experiment}**: train on {pair.source.name} ({len(pair.source)} samples), "
        f"test on {pair.target.name} ({len(pair.target)}). Sampler `{spec.sampler}`{groups}.\n\n"
        f"Selection `{spec.selection}`: {rule}.{warning}\n\n"
        "Trials are the child runs. Best first: sort them by `selection_value`, or filter "
        f"`tags.tgsr.experiment = '{spec.experiment}' and metrics.selection_value > 0.5`."
    )


@contextmanager
def _progress_bar(session: Session, options: StudyOptions) -> Iterator[Callable[[int], None]]:
    session.ledger.refresh()
    session.ledger.reap()
    with tqdm(
        total=session.total,
        initial=session.finished(),
        desc=session.spec.title,
        unit="trial",
        disable=not options.progress,
        dynamic_ncols=True,
    ) as bar:

        def show(finished: int) -> None:
            bar.update(finished - bar.n)
            if session.ledger.complete:
                bar.set_postfix_str(f"best {max(float(t.value or 0) for t in session.ledger.complete.values()):.4f}")

        yield show


def _sum_up(session: Session, client: MlflowClient, options: StudyOptions) -> StudyResult:
    run = session.run
    # the stored table is the last time's: the runs themselves tell what is there now
    table = read_trials(client, run.run_id, stored_table=False)
    best = best_row(table)
    settings = dict(session.ledger.complete[best["trial"]].params)
    if isinstance(session.fitter, MethodFitter):
        confusion = session.fitter.confusion(settings)
        scores = {name: value for name, value in best.items() if name not in session.spec.space.distributions}
        log_best(client, run.run_id, scores, len(table), settings)
    else:
        _keep_matrices(session, session.fitter, table, best, check_matrices(options.matrices))
        confusion = session.fitter.confusion(session.fitter.fit_alone((best["kappa"], best["xi"])))
        log_best(client, run.run_id, best, len(table))
    client.log_dict(run.run_id, confusion, CONFUSION)
    log_trial_table(client, run.run_id, table)
    if isinstance(session.spec, StudySpec) and session.spec.sampler == "grid":
        log_curves(client, run.run_id, table, best, session.spec.space.xis)
    for part, seconds in session.seconds.items():
        client.log_metric(run.run_id, f"seconds_{part}", seconds)
    analyze(client)
    return StudyResult(session.spec.name, run.run_id, best, settings, table, dict(session.seconds))


def _keep_matrices(
    session: Session, fitter: Fitter, table: pd.DataFrame, best: dict[str, Any], n_best: int | None
) -> None:
    """Store the matrices that a thinned study keeps, and the best trial's anew.

    The best trial is solved by itself: what it once shared a batch with then has no part in its last bits.
    """
    rows: list[Mapping[Any, Any]] = [best]
    if n_best:
        ranked = table.sort_values(["selection_value", "kappa"], ascending=[False, True])
        rows += ranked.groupby("xi").head(n_best).to_dict("records")
    for row in rows:
        fitted = fitter.fit_alone((int(row["kappa"]), float(row["xi"])))
        session.writer.add_coefficients(session.run, int(row["trial"]), fitted.solution.coef())
