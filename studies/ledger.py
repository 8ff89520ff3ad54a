"""What has run and who runs what: Optuna's study as the truth, shared by any number of processes.

A batch of cells is claimed by creating RUNNING trials that carry cell and owner in one write each. Trial numbers are
given in sequence by the storage, so that of two trials for one cell the lower number holds it, and the other gives
way: no lock is needed, and the same works with a journal file, a database and Optuna's proxy. Trials of a process
that has died are failed; their cells are free again. Sampled trials carry their owner from their first write, too: a
running trial without one is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from studies.owners import HEARTBEAT_SECONDS, OWNER, Owner, Watch, abandoned_trials, owner_of
from studies.storage import hold

__all__ = ["Claim", "Ledger", "SettingsLedger"]

AnyCell = tuple[Any, ...]
"""What one trial is to try: (κ, ξ), or for a `SettingsLedger` pairs of parameter and value."""


@dataclass(frozen=True)
class Claim:
    """A cell that this process is to solve, with its trial's number and the storage's id for it."""

    number: int
    trial_id: int
    cell: AnyCell


class Ledger:
    """One process's view of a study's trials.

    Parameters
    ----------
    study : optuna.Study
    storage : BaseStorage
        The study's storage.
    distributions : mapping
        Distributions of ``kappa`` and ``xi``.
    watch : Watch, optional
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        distributions: dict[str, BaseDistribution],
        watch: Watch | None = None,
    ) -> None:
        self.study = study
        self.owner = Owner.this_process()
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._distributions = distributions
        self._watch = watch or Watch()
        self._beaten = -HEARTBEAT_SECONDS
        self._beats = 0
        self.complete: dict[int, FrozenTrial] = {}
        """Finished trials by number."""
        self.running: dict[int, FrozenTrial] = {}
        """Running trials by number, whoever runs them."""
        self.failed = 0
        self._done: dict[AnyCell, int] = {}
        self._settled = 0

    def refresh(self) -> None:
        """Read what is new; what was settled is not looked at again."""
        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        open_numbers = sorted(self.running)
        self.running = {}
        for number in [*open_numbers, *range(self._settled, len(trials))]:
            trial = trials[number]
            if trial.state == TrialState.COMPLETE:
                self.complete[number] = trial
                self._done.setdefault(self.cell(trial.params), number)
            elif trial.state.is_finished():
                self.failed += 1
            else:
                self.running[number] = trial
        self._settled = len(trials)

    @staticmethod
    def cell(params: Mapping[str, Any]) -> AnyCell:
        """The (κ, ξ) of a trial's parameters; (0, 0) while its sampler has not set them."""
        return int(params.get("kappa", 0)), float(params.get("xi", 0.0))

    @staticmethod
    def params(cell: AnyCell) -> dict[str, Any]:
        """The parameters of a cell."""
        return {"kappa": cell[0], "xi": cell[1]}

    def is_done(self, cell: AnyCell) -> bool:
        """Whether a finished trial has this cell."""
        return cell in self._done

    def beat(self) -> None:
        """Give a sign of life, at most every `HEARTBEAT_SECONDS`."""
        if monotonic() - self._beaten >= HEARTBEAT_SECONDS:
            self._beats += 1
            self._storage.set_study_user_attr(self._study_id, self.owner.beat_key, self._beats)
            self._beaten = monotonic()

    def reap(self) -> int:
        """Fail the running trials whose process has died, so that their cells are free. Returns how many."""
        others = [trial for trial in self.running.values() if not self._is_mine(trial)]
        reaped = sum(self._finish(trial._trial_id, TrialState.FAIL) for trial in self._abandoned(others))
        if reaped:
            self.refresh()
        return reaped

    def abandoned(self, numbers: Iterable[int]) -> list[int]:
        """Of finished trials those whose process is this one, is unknown, or has died."""
        trials = [self.complete[number] for number in numbers]
        mine = {trial.number for trial in trials if self._is_of_this_process(trial)}
        return sorted(mine | {trial.number for trial in self._abandoned(trials)})

    def _abandoned(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        if not trials:
            return []
        return abandoned_trials(trials, self._watch, self._storage.get_study_user_attrs(self._study_id))

    def _is_of_this_process(self, trial: FrozenTrial) -> bool:
        owner = owner_of(trial)
        return owner is not None and owner.is_same_process(self.owner)

    def _is_mine(self, trial: FrozenTrial) -> bool:
        owner = owner_of(trial)
        return owner is not None and owner.key == self.owner.key

    def claim(self, cells: Sequence[AnyCell], size: int) -> list[Claim]:
        """Claim up to ``size`` of the cells that nobody has finished or is at work on.

        Several processes start at different places, so that they seldom want the same cells.
        """
        self.refresh()
        busy = {self.cell(trial.params) for trial in self.running.values()}
        free = [cell for cell in cells if cell not in self._done and cell not in busy]
        if self.running and free:
            # others are at work: take a stretch elsewhere, whole stretches so that the solver shares work
            stretches = max(1, len(free) // size)
            start = size * int(np.random.default_rng(int(self.owner.key, 16) + self._settled).integers(stretches))
            free = free[start:] + free[:start]
        claims = self._create(free[:size])
        self.refresh()
        holders: dict[AnyCell, int] = {}
        for number, trial in self.running.items():
            cell = self.cell(trial.params)
            holders[cell] = min(holders.get(cell, number), number)
        kept = []
        for claim in claims:
            if self._done.get(claim.cell) is None and holders.get(claim.cell, claim.number) == claim.number:
                kept.append(claim)
            else:
                self._finish(claim.trial_id, TrialState.FAIL)
        return kept

    def ask(self, size: int, total: int) -> list[Claim]:
        """Ask the study's sampler for cells; what others have asked beyond ``total`` at the same time is given back."""
        claims = []
        for _ in range(size):
            # Study.ask would create the trial without its owner: a process that ends then leaves it running for ever
            trial_id = self._storage.create_new_trial(
                self._study_id, create_trial(state=TrialState.RUNNING, user_attrs={OWNER: self.owner.to_text()})
            )
            # a fresh Study, as Study.ask would look at the trials anew
            study = optuna.Study(self.study.study_name, self._storage, sampler=self.study.sampler)
            trial = optuna.Trial(study, trial_id)
            for name, distribution in self._distributions.items():
                trial._suggest(name, distribution)
            claims.append(Claim(trial.number, trial_id, self.cell(trial.params)))
        self.refresh()
        counted = set(sorted([*self.complete, *self.running])[:total])
        for claim in claims:
            if claim.number not in counted:
                self._finish(claim.trial_id, TrialState.FAIL)
        return [claim for claim in claims if claim.number in counted]

    def tell(self, claims: Iterable[Claim], values: Iterable[float]) -> list[bool]:
        """Finish trials; False where a trial was taken away meanwhile (its process was believed dead)."""
        with hold(self._storage):
            return [
                self._finish(claim.trial_id, TrialState.COMPLETE, float(value))
                for claim, value in zip(claims, values, strict=True)
            ]

    def release(self) -> None:
        """Give back what was claimed and not finished, as the storage knows it: a claim may have been cut off."""
        self.refresh()
        with hold(self._storage):
            for trial in self.running.values():
                if self._is_mine(trial):
                    self._finish(trial._trial_id, TrialState.FAIL)

    def _create(self, cells: Sequence[AnyCell]) -> list[Claim]:
        attrs = {OWNER: self.owner.to_text()}
        with hold(self._storage):
            ids = [
                self._storage.create_new_trial(
                    self._study_id,
                    create_trial(
                        state=TrialState.RUNNING,
                        params=params,
                        distributions={name: self._distributions[name] for name in params},
                        user_attrs=attrs,
                    ),
                )
                for params in map(self.params, cells)
            ]
        return [
            Claim(self._storage.get_trial_number_from_id(trial_id), trial_id, cell)
            for trial_id, cell in zip(ids, cells, strict=True)
        ]

    def _finish(self, trial_id: int, state: TrialState, value: float | None = None) -> bool:
        try:
            self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])
        except optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True


class SettingsLedger(Ledger):
    """The same for parameters of any names, which may differ from trial to trial: a cell is (name, value) pairs."""

    @staticmethod
    def cell(params: Mapping[str, Any]) -> AnyCell:
        """The parameters as pairs, sorted by name."""
        return tuple(sorted(params.items()))

    @staticmethod
    def params(cell: AnyCell) -> dict[str, Any]:
        """The parameters of a cell."""
        return dict(cell)
