"""Studies from beginning to end: each opened by its only writer, run, summed up."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joblib import cpu_count
from tqdm import tqdm

from tgsr.study._engine import Job, run
from studies.estimates import describe_estimate, estimate_seconds
from tgsr.study.executors import open_executor
from tgsr.study.options import StudyOptions
from tgsr.trials.tasks import make_plan
from studies.sinks import open_sink
from tgsr.trials.spec import StudySpec

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["StudyRequest", "run_studies", "run_study"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StudyRequest:
    """A study that is to be run, and how."""

    spec: StudySpec
    pair: DatabasePair
    options: StudyOptions


def run_study(spec: StudySpec, pair: DatabasePair, options: StudyOptions, sink: str = "mlflow") -> Any:
    """Run a study, or go on with it where it stopped; returns what its sink ends with.

    Raises
    ------
    LockedError
        If another process works on it.
    ParameterError
        If a setting is out of range.
    TrackingError
        If the tracking store or the scheduler cannot be used.
    """
    return run_studies([StudyRequest(spec, pair, options)], sink)[0]


def run_studies(requests: Iterable[StudyRequest], sink: str = "mlflow") -> list[Any]:
    """Run several studies on one executor, the next one's tasks following the last of the one before.

    Threads or scheduler and the progress bar are those of the first study's options; errors are those of `run_study`.
    """
    requests = list(requests)
    if not requests:
        return []
    first = requests[0].options
    if first.progress and len(requests) > 1 and (seconds := estimate_seconds(requests)):
        threads = 1 if first.scheduler else first.jobs or cpu_count()
        _log.info("%s", describe_estimate(seconds, threads))
    jobs: list[Job] = []
    with (
        open_executor(first.scheduler, first.jobs) as executor,
        tqdm(unit="trial", disable=not first.progress, dynamic_ncols=True) as bar,
    ):

        def opened() -> Iterator[Job]:
            for request in requests:
                jobs.append(_open(request, sink, bar))
                yield jobs[-1]

        def show(job: Job, count: int) -> None:
            if not count:
                bar.refresh()  # the time goes on
                return
            bar.update(count)
            if job.best > 0:  # a score; a distance to fixed settings says nothing
                bar.set_postfix_str(f"best {job.best:.4f}", refresh=False)

        try:
            run(opened(), executor, show)
        except BaseException as error:
            for job in jobs:
                if not job.done:
                    job.sink.abort(error)
            raise
    return [job.result for job in jobs]


def _open(request: StudyRequest, sink: str, bar: tqdm[Any]) -> Job:
    """Open a study and plan what it lacks."""
    spec, pair, options = request.spec, request.pair, request.options
    place = open_sink(sink, spec, pair, options)
    try:
        plan = make_plan(spec, options.n_trials, place.table, place.deleted)
    except BaseException as error:
        place.abort(error)
        raise
    if not bar.disable:
        there = min(len(place.table), plan.total)
        bar.set_description(spec.title, refresh=False)
        bar.total = (bar.total or 0) + plan.total
        bar.initial += there  # so that the rate counts only what is computed now
        bar.update(there)
    skip = {*place.table["cell"], *place.deleted}
    return Job(spec, pair, plan, place, skip, options.batch, options.keep)
