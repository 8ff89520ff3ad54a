"""Studies from beginning to end: one coordinator hands tasks to an executor, and alone writes what comes back.

What is lacking is run: trials that are not there, values of rules that trials lack. Whatever ends it, what was finished
is written, and the same call goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.choice import ORACLE, RULE, names_of
from tgsr.evaluation.rules import ALWAYS, check_choice_name, get_rules
from tgsr.models.consensus import describe_consensus
from tgsr.reports.building import log_study_page
from tgsr.stopping import handle_signals, raise_if_stopped
from tgsr.study.executors import Executor, Work, open_executor
from tgsr.study.loading import Study, check_storage, fill_storage
from tgsr.study.options import RunOptions
from tgsr.tracking.client import open_client
from tgsr.tracking.names import Tag
from tgsr.tracking.records import StudyRecord, with_rule
from tgsr.tracking.runs import project_run
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.fitter import compared_values, make_context
from tgsr.trials.spec import DEFAULT_TRIALS, StudySpec
from tgsr.trials.tasks import batches, grid_tasks
from tgsr.trials.trial import Trial, decode_predictions

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["Job", "Request", "run_jobs", "run_studies", "run_study"]

Request = tuple[StudySpec, "DatabasePair", RunOptions]
"""A study that is to be run, on what, and how."""

_BATCH = 256
"""Trials that are written together."""
_PATIENCE_SECONDS = 5.0
"""What is finished is written after so long, also when it is few."""
_TICK_SECONDS = 0.25
"""So often the coordinator looks whether it is to stop."""


def run_study(spec: StudySpec, pair: DatabasePair, options: RunOptions) -> Study:
    """Run a study, or go on with it where it stopped; returns it as an `optuna.Study`.

    Raises
    ------
    LockedError
        If another process works on it.
    ParameterError
        If a setting is out of range, or a rule does not suit.
    TrackingError
        If the tracking store or the scheduler cannot be used.
    """
    (record,) = run_studies([(spec, pair, options)])
    return Study(record, options.choose)


def run_studies(requests: Iterable[Request]) -> list[StudyRecord]:
    """Run several studies on one executor, the next one's tasks following the last of the one before.

    Threads or scheduler and the progress bar are those of the first study's options; errors are those of `run_study`.
    """
    requests = list(requests)
    if not requests:
        return []
    first = requests[0][2]
    begun: list[_StudyJob] = []
    with (
        handle_signals(),
        tqdm(unit="trial", disable=not first.progress, dynamic_ncols=True) as bar,
        open_executor(first.scheduler, first.jobs) as executor,
    ):

        def jobs() -> Iterator[_StudyJob]:
            for request in requests:
                begun.append(_StudyJob(*request, bar))
                yield begun[-1]

        try:
            run_jobs(jobs(), executor, bar)
        except BaseException as error:
            for job in begun:
                job.abort(error)
            raise
    return [job.record for job in begun if job.record is not None]


class Job:
    """Tasks that belong together, and what becomes of their results."""

    tasks: list[Work]

    def take(self) -> Work | None:
        """The next task that can start; None when there is none (now)."""
        return self.tasks.pop(0) if self.tasks else None

    def receive(self, result: Any) -> None:
        """Take a task's result."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what is finished, if that is due."""

    def finish(self) -> None:
        """All results are there."""


def run_jobs(jobs: Iterator[Job], executor: Executor, bar: tqdm[Any]) -> None:
    """Run jobs to their ends; the next is begun when the earlier ones no longer fill the executor."""
    active: list[Job] = []
    under_way: dict[Work, Job] = {}
    while True:
        _fill(active, jobs, executor, under_way)
        if not under_way:
            return
        for work, result in executor.wait(_TICK_SECONDS):
            under_way.pop(work).receive(result)
        bar.refresh()  # its clock goes on while no task ends
        raise_if_stopped()
        for job in active:
            job.flush()


def _fill(active: list[Job], jobs: Iterator[Job], executor: Executor, under_way: dict[Work, Job]) -> None:
    """Give the executor as much as it can hold, finishing jobs that are complete and beginning the next."""
    index = 0
    while len(under_way) < executor.capacity:
        if index == len(active):
            job = next(jobs, None)
            if job is None:
                return
            active.append(job)
        work = active[index].take()
        if work is not None:
            executor.submit(work)
            under_way[work] = active[index]
        elif active[index] in under_way.values():
            index += 1
        else:
            active.pop(index).finish()


class _StudyJob(Job):
    """One study at work: what it lacks, what has come back and is not yet written."""

    def __init__(self, spec: StudySpec, pair: DatabasePair, options: RunOptions, bar: tqdm[Any]) -> None:
        self._spec, self._pair, self._options, self._bar = spec, pair, options, bar
        if options.storage is not None:
            check_storage(options.storage)
        self._objective = check_choice_name(spec.objective) if spec.is_sampled else ""
        objective = (spec.objective,) if self._objective not in ("", ORACLE, *ALWAYS) else ()
        # subjects that are left out one by one are no settings to choose among
        self._rules = () if spec.sampler == "subjects" else tuple(dict.fromkeys((*ALWAYS, *objective, *options.rules)))
        if options.choose == ORACLE and not pair.target.is_labelled:
            raise ParameterError("--choose oracle needs the target's labels, and this target has none; name a rule")
        self.record: StudyRecord | None = None
        self._seconds = {"fit": 0.0, "track": 0.0}
        self._trials: list[Trial] = []
        self._values: dict[str, dict[str, float]] = {}
        self._flushed = time.monotonic()
        self._store = StudyStore(
            spec,
            pair,
            options.config,
            data_folder=options.data_folder,
            parent_run_id=options.parent_run_id or project_run(open_client(options.config.tracking_uri)),
            restore=options.restore,
        )
        try:
            self._check_choice()
            self._plan()
        except BaseException as error:
            self._store.abort(error)
            raise

    def take(self) -> Work | None:
        """See `Job`."""
        if not self.tasks and self._sampler is not None:
            self.tasks += [self._fit(task) for task in self._sampler.ask()]
        return super().take()

    def receive(self, result: Any) -> None:
        """Take trials, or values of rules for trials that are there."""
        if isinstance(result, dict):
            self._values |= result
            return
        if self._sampler is not None:
            self._sampler.tell(result)
        new = [trial for trial in result if trial.cell not in self._there]
        self._there.update(trial.cell for trial in new)
        self._trials += new
        self._seconds["fit"] += sum(trial.metrics["fit_seconds"] for trial in result)
        self._bar.update(len(new))

    def flush(self, *, always: bool = False) -> None:
        """See `Job`."""
        count = len(self._trials) + len(self._values)
        if not count or not (always or count >= _BATCH or time.monotonic() - self._flushed > _PATIENCE_SECONDS):
            return
        started = time.perf_counter()
        trials, self._trials = sorted(self._trials, key=lambda trial: trial.number), []
        self._store.write(trials)
        values, self._values = self._values, {}
        self._store.add_values(values)
        self._seconds["track"] += time.perf_counter() - started
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """Write the rest, let the rules vote that compare all trials, sum up, and let go of the study."""
        self.flush(always=True)
        table = self._compare_all(self._store.read_table())
        record = self._store.record(table)
        by = self._options.choose or record.tags.get(Tag.CHOOSE) or self._objective or record.default_choice
        if not self._store.is_summed_up(by):
            metrics, files = describe_consensus(record, self._pair, by) if self._rules else ({}, {})
            seconds = {f"seconds_{part}": value for part, value in self._seconds.items()}
            self._store.finish(by, table, metrics={**seconds, **metrics}, files=files)
            if self._options.page:
                log_study_page(self._store.record(table))
        self.record = self._store.record(table)
        self._store.close()
        if self._options.storage is not None:
            fill_storage(self.record, self._options.storage, by)

    def abort(self, error: BaseException) -> None:
        """Write what is finished, and let go of the study."""
        if self.record is None:
            try:
                self.flush(always=True)
            finally:
                self._store.abort(error)

    def _plan(self) -> None:
        spec, store, options = self._spec, self._store, self._options
        table = store.table
        self._there = {*table["cell"], *store.deleted}
        self.tasks = [Work(spec, self._pair, *lacking) for lacking in _lacking_values(spec, table, self._rules)]
        self._sampler = None
        if spec.is_sampled:
            from tgsr.study.sampling import SettingsSampler

            self._sampler = SettingsSampler(spec, options.n_trials or DEFAULT_TRIALS, table, store.deleted)
            total = self._sampler.total
        else:
            total = len(spec.cells(options.n_trials))
            self.tasks += [self._fit(task) for task in grid_tasks(spec, options.n_trials, self._there)]
        if not self._bar.disable:
            there = min(len(table), total)
            self._bar.set_description(spec.title, refresh=False)
            self._bar.total = (self._bar.total or 0) + total
            self._bar.initial += there  # so that the rate counts only what is computed now
            self._bar.update(there)

    def _fit(self, task: Any) -> Work:
        keep = self._options.matrices == "all"
        return Work(self._spec, self._pair, self._rules, "fit", (task, keep))

    def _check_choice(self) -> None:
        """Find out before the work that nothing can be chosen so."""
        choose = self._options.choose
        known = {*(rule.name for rule in get_rules(self._rules)), *names_of(self._store.table, RULE)}
        if choose not in (None, ORACLE, *known):
            raise ParameterError(f"--choose {choose}: no such rule; use oracle or one of {', '.join(sorted(known))}")

    def _compare_all(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give trials the values of rules that compare all of them, where these are not what they should be."""
        if not len(table) or table["predictions"].isna().any():
            return table
        codes = [decode_predictions(text) for text in table["predictions"]]
        outcomes = [Outcome({}, one) for one in codes]
        found = compared_values(get_rules(self._rules), make_context(self._spec, self._pair), outcomes)
        for name, values in found.items():
            changed = (_column(table, RULE + name) != values).to_numpy()
            if changed.any():
                entries = zip(table["cell"][changed], values[changed], strict=True)
                self._store.add_values({cell: {name: float(value)} for cell, value in entries})
                # as it would be read again, which takes seconds of a whole grid
                table = with_rule(table, name, values)
        return table


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column, of NaN where the table has none of this name."""
    return table.reindex(columns=[name])[name]


def _lacking_values(
    spec: StudySpec, table: pd.DataFrame, rules: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], str, tuple[Any, ...]]]:
    """Tasks that give trials which are there the values that they lack: rules, call, and its arguments."""
    missing = {}
    for given, rule in zip(rules, get_rules(rules), strict=True):
        column = RULE + rule.name
        # what every trial should have and none has is what the method does not allow
        impossible = given in ALWAYS and column not in table and any(RULE + name in table for name in ALWAYS)
        if not rule.compares_all and not impossible and _column(table, column).isna().any():
            missing[given] = _column(table, column).isna()
    if not missing:
        return
    part = table[pd.concat(missing, axis=1).any(axis=1)]
    settings = [json.loads(text) for text in part["settings"]]
    codes = [decode_predictions(text) for text in part["predictions"]]
    for task in batches(spec, enumerate(settings)):
        yield tuple(missing), "values", ([one for _, one in task], [codes[index] for index, _ in task])
