"""Optuna's samplers: what a sampled study asks for next.

MLflow holds the trials. The sampler's history is built from them, and it is seeded anew for every batch, so that a
study that was interrupted asks for the same settings as one that was not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import TrialState

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import column_of
from tgsr.evaluation.rules import check_choice_name
from tgsr.trials.spec import StudySpec, frozen_trials
from tgsr.trials.tasks import Task
from tgsr.trials.trial import cell_id

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.trials.trial import Trial

__all__ = ["SettingsSampler"]

_BATCH = 8
"""Trials that are asked for before the first of them is told."""
_TOGETHER = 4
"""Of these, how many a task has."""
_TRIES = 50


class SettingsSampler:
    """Asks Optuna for tasks, a batch at a time, and tells it what they gave, up to ``n_trials`` in all.

    ``table`` has the trials that are finished, ``deleted`` the cells that somebody has deleted. Settings that were
    tried before are not tried again: another draw takes their place.
    """

    def __init__(self, spec: StudySpec, n_trials: int, table: pd.DataFrame, deleted: Collection[str]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec, self._distributions, self.total = spec, spec.distributions(), n_trials
        self._study = optuna.create_study(direction="maximize")
        # a batch that is not whole is asked for again, so that what comes after it is as if nothing had happened
        whole = len(table) if len(table) >= n_trials else len(table) // _BATCH * _BATCH
        self._by = check_choice_name(spec.objective)
        self._study.add_trials(frozen_trials(spec, table.iloc[:whole], self._by))
        self._known = {*table["cell"].iloc[:whole], *deleted}
        self._told = whole
        self._asked: dict[str, optuna.Trial] = {}

    def ask(self) -> list[Task]:
        """The next batch of tasks; none while one is under way, or when there are enough."""
        count = min(_BATCH, self.total - self._told)
        if self._asked or count <= 0:
            return []
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
        numbered = list(enumerate(found, self._told))
        return [tuple(numbered[start : start + _TOGETHER]) for start in range(0, len(numbered), _TOGETHER)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take note of a task's results."""
        kind, _, name = column_of(self._by).partition(".")
        for trial in trials:
            value = (trial.metrics if kind == "metrics" else trial.rules).get(name)
            if value is None:
                raise ParameterError(f"{self._spec.method} has no {name} to be sampled by; name another rule")
            state = TrialState.COMPLETE if np.isfinite(value) else TrialState.FAIL
            self._study.tell(self._asked.pop(trial.cell), float(value) if np.isfinite(value) else None, state)
        self._told += len(trials)

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence([self._spec.seed, number]).generate_state(1)[0])
