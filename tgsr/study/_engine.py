"""The engine: one coordinator takes tasks from plans, hands them to an executor, and alone writes what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tgsr.study.executors import Executor
    from tgsr.trials.tasks import Plan, Task
    from studies.sinks import Sink
    from tgsr.trials.spec import StudySpec
    from tgsr.datasets import DatabasePair
    from tgsr.trials.trial import Trial

__all__ = ["Job", "run"]

_PATIENCE_SECONDS = 5.0
"""What is finished is written after so long, also when it is few."""
_TICK_SECONDS = 1.0
"""A sign of life is given after so long, also when nothing is finished."""


@dataclass
class Job:
    """One study at work.

    Attributes
    ----------
    skip : set of str
        Cells that are not to be written: they are there, or somebody deleted them.
    batch : int
        Trials that are written together.
    keep : int or None
        See `tgsr.trials.fitter.Fitter.fit`.
    result
        What the sink ends with, once the job is `done`.
    """

    spec: StudySpec
    pair: DatabasePair
    plan: Plan
    sink: Sink
    skip: set[str]
    batch: int = 256
    keep: int | None = None
    done: bool = False
    result: Any = None
    best: float = float("-inf")
    n_open: int = 0
    _seconds: dict[str, float] = field(default_factory=lambda: {"fit": 0.0, "track": 0.0})
    _buffer: list[Trial] = field(default_factory=list)
    _flushed: float = field(default_factory=time.monotonic)

    def receive(self, trials: Sequence[Trial]) -> int:
        """Take a task's results; returns how many of them are new."""
        self.n_open -= 1
        new = [trial for trial in trials if trial.cell not in self.skip]
        self.skip.update(trial.cell for trial in new)
        self.plan.tell(trials)
        self._buffer += new
        self.best = max([self.best, *(trial.metrics["selection_value"] for trial in new)])
        self._seconds["fit"] += sum(trial.metrics["fit_seconds"] for trial in trials)
        return len(new)

    def flush(self, *, always: bool = False) -> None:
        """Write what is finished, if that is due."""
        due = len(self._buffer) >= self.batch or time.monotonic() - self._flushed > _PATIENCE_SECONDS
        if self._buffer and (due or always):
            started = time.perf_counter()
            batch, self._buffer = sorted(self._buffer, key=lambda trial: trial.number), []
            self.sink.write(batch)
            self._seconds["track"] += time.perf_counter() - started
            self._flushed = time.monotonic()

    def take(self) -> Task | None:
        """The next task."""
        task = self.plan.take()
        self.n_open += task is not None
        return task

    def finish(self) -> None:
        """Write the rest and let the sink sum up."""
        self.flush(always=True)
        self.result = self.sink.finish(self._seconds)
        self.done = True


def run(
    jobs: Iterator[Job], executor: Executor, on_trials: Callable[[Job, int], None] = lambda _job, _count: None
) -> None:
    """Run studies to their ends; the next is begun when the earlier ones no longer fill the executor.

    Jobs are taken one by one, and each is finished as soon as it is complete; ``on_trials`` is called with a job and
    the number of its new trials, 0 where time went by without any. Whatever ends it, what was finished is written.
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
    """Give the executor as much as it can hold, finishing jobs that are complete and opening the next."""
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
        elif job.n_open:
            index += 1
        else:
            del active[index]
            job.finish()
