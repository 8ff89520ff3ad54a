"""The engine: one coordinator takes tasks from plans, hands them to an executor, and alone writes what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from studies.plans import Plan, Task
    from studies.spec import StudySpec
    from tgsr.datasets import DatabasePair
    from tgsr.tracking._trial import Trial

__all__ = ["Executor", "Job", "Sink", "run"]

_PATIENCE_SECONDS = 5.0
"""What is finished is written after so long, also when it is few."""
_TICK_SECONDS = 1.0
"""A sign of life is given after so long, also when nothing is finished."""


class Sink(Protocol):
    """Where trials go; a trial is there whole, or not at all."""

    def write(self, trials: Sequence[Trial]) -> None:
        """Write finished trials, of which none is there yet."""
        ...


class Executor(Protocol):
    """Who fits; see `studies.executors`."""

    @property
    def capacity(self) -> int:
        """Tasks that it should have at a time to be busy."""
        ...

    def submit(self, spec: StudySpec, pair: DatabasePair, task: Task, keep: int | None) -> Future[list[Trial]]:
        """Begin a task."""
        ...

    def wait(self, futures: set[Future[list[Trial]]], timeout: float) -> set[Future[list[Trial]]]:
        """Wait until one or more are done, or time is up; returns those."""
        ...


@dataclass
class Job:
    """One study at work.

    Attributes
    ----------
    spec : StudySpec
    pair : DatabasePair
    plan : Plan
    sink : Sink
    skip : set of str
        Cells that are not to be written: they are there, or somebody deleted them.
    batch : int
        Trials that are written together.
    keep : int or None
        See `studies.fitting.Fitter.fit`.
    close : callable
        Called once, when everything is written.
    """

    spec: StudySpec
    pair: DatabasePair
    plan: Plan
    sink: Sink
    skip: set[str]
    batch: int = 256
    keep: int | None = None
    close: Callable[[], None] = lambda: None
    seconds: dict[str, float] = field(default_factory=lambda: {"fit": 0.0, "track": 0.0})
    best: float = float("-inf")
    _buffer: list[Trial] = field(default_factory=list)
    _open: int = 0
    _flushed: float = field(default_factory=time.monotonic)

    def receive(self, trials: Sequence[Trial]) -> int:
        """Take a task's results; returns how many of them are new."""
        self._open -= 1
        new = [trial for trial in trials if trial.cell not in self.skip]
        self.skip.update(trial.cell for trial in new)
        self.plan.tell(trials)
        self._buffer += new
        self.best = max([self.best, *(trial.metrics["selection_value"] for trial in new)])
        self.seconds["fit"] += sum(trial.metrics["fit_seconds"] for trial in trials)
        return len(new)

    def flush(self, *, always: bool = False) -> None:
        """Write what is finished, if that is due."""
        due = len(self._buffer) >= self.batch or time.monotonic() - self._flushed > _PATIENCE_SECONDS
        if self._buffer and (due or always):
            started = time.perf_counter()
            batch, self._buffer = sorted(self._buffer, key=lambda trial: trial.number), []
            self.sink.write(batch)
            self.seconds["track"] += time.perf_counter() - started
            self._flushed = time.monotonic()

    def take(self) -> Task | None:
        """The next task."""
        task = self.plan.take()
        self._open += task is not None
        return task

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way."""
        return self._open == 0


def run(
    jobs: Iterator[Job], executor: Executor, on_trials: Callable[[Job, int], None] = lambda _job, _count: None
) -> None:
    """Run studies to their ends; the next is begun when the earlier ones no longer fill the executor.

    Whatever ends it early, what was finished is written.

    Parameters
    ----------
    jobs : iterator of Job
        Opened one by one, each closed as soon as it is complete.
    executor : Executor
    on_trials : callable, optional
        Called with a job and the number of its new trials; 0 where time went by without any.
    """
    active: list[Job] = []
    waiting: dict[Future[list[Trial]], Job] = {}
    try:
        while True:
            _fill(active, jobs, executor, waiting)
            if not waiting:
                return
            done = executor.wait(set(waiting), _TICK_SECONDS)
            for future in done:
                job = waiting.pop(future)
                on_trials(job, job.receive(future.result()))
            for job in active:
                job.flush()
                if not done:
                    on_trials(job, 0)
    finally:
        for future in waiting:
            future.cancel()
        for job in active:
            job.flush(always=True)


def _fill(active: list[Job], jobs: Iterator[Job], executor: Executor, waiting: dict[Future[list[Trial]], Job]) -> None:
    """Give the executor as much as it can hold, closing jobs that are complete and opening the next."""
    index = 0
    while len(waiting) < executor.capacity:
        if index == len(active):
            job = next(jobs, None)
            if job is None:
                return
            active.append(job)
        job = active[index]
        task = job.take()
        if task is not None:
            waiting[executor.submit(job.spec, job.pair, task, job.keep)] = job
        elif job.idle:
            job.flush(always=True)
            del active[index]
            job.close()
        else:
            index += 1
