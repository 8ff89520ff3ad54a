"""Optuna: sampled studies by ask and tell in memory, and a study's trials in any storage of Optuna's.

MLflow holds the trials. A sampled study's history is built from them, and the sampler is seeded anew for every batch,
so that a study that was interrupted asks for the same settings as one that was not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tgsr.trials.tasks import Plan, Task
from tgsr.trials.spec import StudySpec
from tgsr.errors import TrackingError
from tgsr.evaluation.choice import setting_columns
from tgsr.trials.trial import cell_id
from tgsr.tracking.config import masked

if TYPE_CHECKING:
    from tgsr.trials.trial import Trial

__all__ = ["SampledPlan", "fill_storage", "frozen_trials"]

_BATCH = 8
"""Trials that are asked for before the first of them is told."""
_TOGETHER = 4
"""Of these, how many a task has."""
_TRIES = 50
_SHOWN = ("trial", "run_id", "macro_f1", "accuracy")


class SampledPlan(Plan):
    """Trials that a sampler asks for, a batch at a time, given those that are finished and cells that were deleted.

    Settings that were tried before are not tried again: another draw takes their place.
    """

    def __init__(self, spec: StudySpec, n_trials: int, table: pd.DataFrame, deleted: Collection[str]) -> None:
        super().__init__([], n_trials)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec, self._distributions = spec, spec.distributions()
        self._study = optuna.create_study(direction="maximize")
        done = table.sort_values("trial") if len(table) else table
        # a batch that is not whole is asked for again, so that what comes after it is as if nothing had happened
        whole = len(done) if len(done) >= n_trials else len(done) // _BATCH * _BATCH
        history = frozen_trials(spec, done.iloc[:whole])
        self._study.add_trials(history)
        self._known = {cell_id(trial.params) for trial in history} | set(deleted)
        self._told = len(history)
        self._asked: dict[str, optuna.Trial] = {}

    def take(self) -> Task | None:
        """See `Plan`."""
        if not self._tasks and not self._asked and self._told < self.total:
            self._ask(min(_BATCH, self.total - self._told))
        return super().take()

    def tell(self, trials: Sequence[Trial]) -> None:
        """See `Plan`."""
        for trial in trials:
            self._study.tell(self._asked.pop(trial.cell), float(trial.metrics["selection_value"]))
        self._told += len(trials)

    def _ask(self, count: int) -> None:
        kind = optuna.samplers.TPESampler if self._spec.sampler == "tpe" else optuna.samplers.RandomSampler
        self._study.sampler = kind(seed=self._seed(self._told))
        found: list[dict[str, Any]] = []
        for _ in range(_TRIES * count):
            trial = self._study.ask(self._distributions)
            cell = cell_id(trial.params)
            if cell in self._known:
                self._study.tell(trial, state=TrialState.FAIL)
                if self._study.trials[-1].number % _BATCH == 0:  # a sampler that insists gets random company
                    self._study.sampler = optuna.samplers.RandomSampler(seed=self._seed(trial.number))
                continue
            self._known.add(cell)
            self._asked[cell] = trial
            found.append(dict(trial.params))
            if len(found) == count:
                break
        if len(found) < count:  # a small space is exhausted
            self.total = self._told + len(found)
        for start in range(0, len(found), _TOGETHER):
            part = found[start : start + _TOGETHER]
            numbers = tuple(range(self._told + start, self._told + start + len(part)))
            self._tasks.append(Task(numbers, tuple(part)))

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence([self._spec.seed, number]).generate_state(1)[0])


def frozen_trials(spec: StudySpec, table: pd.DataFrame) -> list[FrozenTrial]:
    """A study's finished trials as Optuna's, in their order; those without a value are left out."""
    distributions = spec.distributions()
    names = [name for name in setting_columns(table) if name in distributions]
    trials = []
    for row in (row for row in table.to_dict("records") if np.isfinite(row["selection_value"])):
        params = {name: _param(row[name], distributions[name]) for name in names if not pd.isna(row[name])}
        trials.append(
            create_trial(
                params=params,
                distributions={name: distributions[name] for name in params},
                value=float(row["selection_value"]),
                user_attrs={name: row[name] for name in _SHOWN if name in row and not pd.isna(row[name])},
            )
        )
    return trials


def fill_storage(spec: StudySpec, table: pd.DataFrame, url: str) -> int:
    """Add to a study in an Optuna storage those of its finished trials that it lacks; returns how many.

    The storage is ``sqlite:///…``, ``postgresql://…`` or another URL of SQLAlchemy's; a path is a journal file.

    Raises
    ------
    TrackingError
        If the storage cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(study_name=spec.name, storage=_open(url), direction="maximize", load_if_exists=True)
        there = {cell_id(trial.params) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
        lacking = [trial for trial in frozen_trials(spec, table) if cell_id(trial.params) not in there]
        study.add_trials(lacking)
    except Exception as error:  # SQLAlchemy, its drivers and Optuna raise their own
        raise TrackingError(
            f"Optuna's storage {masked(url)} cannot be filled ({masked(str(error))}); MLflow has all trials: repair or "
            "remove it, and run the same command again"
        ) from error
    return len(lacking)


def _open(url: str) -> optuna.storages.BaseStorage | str:
    if "://" in url:
        return url
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    return JournalStorage(JournalFileBackend(url, lock_obj=JournalFileOpenLock(url)))


def _param(value: Any, distribution: BaseDistribution) -> Any:
    """A table's value as the distribution knows it: a column of integers with gaps is one of floats."""
    choices = getattr(distribution, "choices", ())
    return next((choice for choice in choices if choice == value), value.item() if hasattr(value, "item") else value)
