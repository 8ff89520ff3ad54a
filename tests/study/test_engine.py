"""One coordinator: every trial once, studies back to back, nothing lost at an interruption."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tgsr.study._engine import Job, run
from tgsr.trials.tasks import Task
from tgsr.trials.trial import Trial, cell_id


class Threads:
    """An executor that fits nothing."""

    capacity = 4

    def __init__(self):
        self.pool, self.most, self.order = ThreadPoolExecutor(2), 0, []

    def submit(self, spec, pair, task, keep):
        self.order.append(spec)
        return self.pool.submit(self._fit, task)

    def wait(self, futures, timeout):
        self.most = max(self.most, len(futures))
        return wait(futures, timeout, "FIRST_COMPLETED").done

    @staticmethod
    def _fit(task):
        if any(cell.get("fails") for cell in task.settings):
            raise RuntimeError("no")
        return [
            Trial(n, cell_id(s), s, {"selection_value": 0.0, "fit_seconds": 0.1}, None, None, None, 0, 0)
            for n, s in zip(task.numbers, task.settings, strict=True)
        ]


class Places:
    """A plan of tasks that are given, and a sink that counts."""

    def __init__(self, tasks):
        self._tasks, self.total, self.written, self.closed = list(tasks), len(tasks), [], False

    def take(self):
        return self._tasks.pop(0) if self._tasks else None

    def tell(self, trials):
        pass

    def write(self, trials):
        assert not self.closed
        self.written += [trial.number for trial in trials]

    def finish(self, seconds):
        self.closed = True

    def job(self, name, skip=()):
        return Job(name, None, self, self, set(skip))


def _task(*numbers, **more):
    return Task(numbers, tuple({"n": number, **more} for number in numbers))


def test_studies_follow_one_another_without_a_gap_and_each_is_closed_when_complete():
    places = [Places([_task(3 * n, 3 * n + 1) for n in range(5)]) for _ in range(3)]
    executor = Threads()
    run(iter([place.job(f"study {n}") for n, place in enumerate(places)]), executor)
    assert all(place.closed for place in places)
    assert all(sorted(place.written) == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13] for place in places)
    assert executor.most == executor.capacity
    assert executor.order == sorted(executor.order)


def test_what_is_there_already_is_not_written_again():
    place = Places([_task(0, 1), _task(2, 3)])
    run(iter([place.job("study", skip={cell_id({"n": 2})})]), Threads())
    assert sorted(place.written) == [0, 1, 3]


def test_when_a_task_fails_what_was_finished_is_written():
    place = Places([_task(0), _task(1), _task(2), _task(3, fails=True), _task(4)])
    with pytest.raises(RuntimeError, match="no"):
        run(iter([place.job("study")]), Threads())
    assert not place.closed
    assert len(place.written) == len(set(place.written)) >= 1
