"""Tasks: settings that are fitted together because they share work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import cell_id

__all__ = ["Task", "batches", "grid_tasks"]

Task = tuple[tuple[int, Mapping[str, Any]], ...]
"""Numbers and settings of trials that are fitted together."""


def batches(spec: StudySpec, numbered: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Task]:
    """Numbered settings as tasks, as large as the method wants them, each of settings that share work."""
    method = spec.definition
    shared: dict[Any, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, settings in numbered:
        shared.setdefault(settings.get(method.shares) if method.shares else None, []).append((number, settings))
    for group in shared.values():
        for start in range(0, len(group), method.batch):
            yield tuple(group[start : start + method.batch])


def grid_tasks(spec: StudySpec, n_trials: int | None = None, done: Collection[str] = ()) -> list[Task]:
    """The cells of a grid (``n_trials`` of them) as tasks, without those whose cells are all done.

    A task is run whole, also where a part of it was written before an interruption, so that equal tasks do equal work.
    """
    tasks = batches(spec, spec.cells(n_trials))
    return [task for task in tasks if not done or any(cell_id(settings) not in done for _, settings in task)]
