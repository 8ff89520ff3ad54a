"""A study from beginning to end: set up or found again, run, mirrored, summed up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from studies.spec import SPEC, check_matrices
from studies.storage import is_embedded, open_storage, shown
from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.evaluation.selection import get_rule
from tgsr.tracking.database import analyze
from tgsr.tracking.names import CONFUSION, Tag, experiment_title
from tgsr.tracking.place import Place, open_client
from tgsr.tracking.reading import read_trials
from tgsr.tracking.records import StudyRun, source_tags
from tgsr.tracking.study_runs import (
    ParentSpec,
    finish_parent,
    log_best,
    log_inputs,
    log_trial_table,
    start_parent,
)
from tgsr.tracking.views import prepare_experiment
from tgsr.tracking.writers import choose_writer
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

__all__ = [
    "StudyOptions",
    "StudyResult",
    "best_row",
    "complete_mirror",
    "open_session",
    "open_study",
    "open_study_run",
    "run_study",
]

RUN_ID, TRACKING, WRITER = "mlflow_run_id", "mlflow_tracking_uri", "writer"
"""Study attributes by which a worker finds the study's run."""
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
    session = open_session(spec, pair, study, storage, client, run, options)
    try:
        with _progress_bar(session, options) as show:
            session.work(show)
        repaired = session.mirror()
        if repaired:
            options.say(f"{repaired} finished trials were missing in MLflow and have been added")
        result = _sum_up(session, client, options)
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        finish_parent(client, run.run_id, "KILLED" if stopped else "FAILED")
        raise
    finish_parent(client, run.run_id)
    return result


def complete_mirror(spec: AnySpec, pair: DatabasePair, options: StudyOptions) -> int:
    """Add to MLflow every trial that Optuna knows as finished and MLflow lacks; returns how many."""
    client = open_client(options.place.tracking_uri)
    storage = open_storage(options.storage_url, create=False)
    study = open_study(spec, storage)
    run = open_study_run(spec, pair, study, client, options)
    session = open_session(spec, pair, study, storage, client, run, options)
    added = session.mirror(wait=False)
    _sum_up(session, client, options)
    finish_parent(client, run.run_id)
    return added


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
    n_trials = options.n_trials
    if n_trials is None and spec.sampler != "grid":
        n_trials = DEFAULT_TRIALS
    jobs = options.jobs or cpu_count()
    return Session(
        spec=spec,
        study=study,
        storage=storage,
        fitter=MethodFitter(spec, pair, jobs) if isinstance(spec, MethodSpec) else Fitter(spec, pair, jobs),
        writer=writer,
        run=run,
        n_trials=n_trials,
        batch=options.batch or default_batch(spec, jobs),
        keep_all=check_matrices(options.matrices) is None,
    )


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
    n_existing = len(study.get_trials(deepcopy=False))
    study.sampler = make_sampler(spec, n_existing)
    if study.user_attrs.get(SPEC) is None:
        study.set_user_attr(SPEC, spec.to_json())
    return study


def open_study_run(
    spec: AnySpec, pair: DatabasePair, study: optuna.Study, client: MlflowClient, options: StudyOptions
) -> StudyRun:
    """Open the study's run in MLflow again, join the one that ``mlflow run`` has started, or start one."""
    known = study.user_attrs.get(RUN_ID)
    if known is not None and _usable(client, str(known)):
        run_id = str(known)
        client.update_run(run_id, status="RUNNING")
        joined = os.environ.get("MLFLOW_RUN_ID")
        if joined and joined != run_id and options.parent_run_id is None:
            client.set_tag(joined, Tag.CONTINUES, run_id)
            options.say(f"going on with run {run_id}")
        return study_run(spec, run_id, client)
    rule = get_rule(spec.selection)
    parent = ParentSpec(
        title=experiment_title(spec.experiment),
        name=spec.title,
        description=_description(spec, pair, rule.description),
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
            "experiment": spec.experiment,
            "sampler": spec.sampler,
            "seed": str(spec.seed),
            **spec.space_params,
            **spec.common_params,
        },
        parent_run_id=options.parent_run_id,
    )
    run_id = start_parent(client, parent, options.place.artifact_root, join=options.parent_run_id is None)
    prepare_experiment(client, client.get_run(run_id).info.experiment_id)
    log_inputs(client, run_id, {"source": pair.source, "target": pair.target}, options.data_folder)
    if options.share or not (is_embedded(options.storage_url) and options.place.artifact_root):
        share_data(client, run_id, pair)
    study.set_user_attr(RUN_ID, run_id)
    study.set_user_attr(TRACKING, options.place.tracking_uri)
    return study_run(spec, run_id, client)


def _usable(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


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
    log_trial_table(client, run.run_id, table, best)
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
