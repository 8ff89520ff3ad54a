"""What a study still has to run: tasks that share work, always the same ones, whatever was interrupted.

A task is run whole, also where a part of it was written before an interruption: what shares a batch with a trial has a
part in its last bits, so that equal tasks give equal bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tgsr.trials.spec import DEFAULT_TRIALS, StudySpec
from tgsr.trials.trial import cell_id

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.trials.trial import Trial

__all__ = ["Plan", "Task", "grid_tasks", "make_plan"]


@dataclass(frozen=True)
class Task:
    """Settings that are fitted together, with their trials' numbers."""

    numbers: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...]


class Plan:
    """The tasks of a study that remain, of ``total`` trials; a sampled one asks for more once results are told."""

    def __init__(self, tasks: Sequence[Task], total: int) -> None:
        self.total = total
        self._tasks = list(tasks)

    def take(self) -> Task | None:
        """The next task that can start; None when there is none (now)."""
        return self._tasks.pop(0) if self._tasks else None

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take note of a task's results; a grid is what it is."""


def make_plan(spec: StudySpec, n_trials: int | None, table: pd.DataFrame, deleted: Collection[str]) -> Plan:
    """The plan of a study, given its finished trials and the cells that somebody has deleted."""
    if spec.sampler != "grid":
        from tgsr.study.sampling import SampledPlan

        return SampledPlan(spec, n_trials or DEFAULT_TRIALS, table, deleted)
    tasks, finished = grid_tasks(spec, n_trials), {*table["cell"], *deleted}
    left = [task for task in tasks if not all(cell_id(settings) in finished for settings in task.settings)]
    return Plan(left, sum(len(task.numbers) for task in tasks))


def grid_tasks(spec: StudySpec, n_trials: int | None = None) -> list[Task]:
    """The cells of a grid (``n_trials`` of them) as tasks: those that share a parameter's value together."""
    method = spec.definition
    shared: dict[Any, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, settings in spec.cells(n_trials):
        shared.setdefault(settings.get(method.shares) if method.shares else None, []).append((number, settings))
    tasks = []
    for group in shared.values():
        for start in range(0, len(group), method.batch):
            numbers, cells = zip(*group[start : start + method.batch], strict=True)
            tasks.append(Task(numbers, cells))
    return tasks
