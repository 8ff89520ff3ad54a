"""Tasks: settings that are fitted together because they share work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import cell_id

__all__ = ["Task", "grid_tasks"]

Task = tuple[tuple[int, Mapping[str, Any]], ...]
"""Numbers and settings of trials that are fitted together."""


def grid_tasks(spec: StudySpec, n_trials: int | None = None, done: Collection[str] = ()) -> list[Task]:
    """The cells of a grid (``n_trials`` of them) as tasks, without those whose cells are all done.

    A task is run whole, also where a part of it was written before an interruption, so that equal tasks do equal work.
    """
    method = spec.definition
    shared: dict[Any, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, settings in spec.cells(n_trials):
        shared.setdefault(settings.get(method.shares) if method.shares else None, []).append((number, settings))
    tasks = [
        tuple(group[start : start + method.batch])
        for group in shared.values()
        for start in range(0, len(group), method.batch)
    ]
    return [task for task in tasks if not done or any(cell_id(settings) not in done for _, settings in task)]
