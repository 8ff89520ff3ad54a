"""How a study stands: counts from Optuna and MLflow, who is at work, the best so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from studies.ledger import Ledger
from studies.method_spec import AnySpec, MethodSpec, read_spec
from studies.owners import Watch, abandoned_trials, owner_of
from studies.spec import SPEC
from studies.terms import Terms
from tgsr.tracking.records import settings_text

__all__ = ["StudyStatus", "list_status", "study_status"]


@dataclass(frozen=True)
class StudyStatus:
    """One study's state.

    Attributes
    ----------
    name : str
    complete, running, failed, total : int
        Trials by state, and how many the study is to have (0 where that is not known).
    abandoned : int
        Running trials whose process has ended; the study's command runs them again.
    workers : dict of str to int
        Machine and process → trials that it is running.
    best : str
        Value and cell of the best trial, empty without one.
    run_id : str
        The MLflow run.
    """

    name: str
    complete: int
    running: int
    failed: int
    total: int
    abandoned: int
    workers: dict[str, int]
    best: str
    run_id: str

    def lines(self) -> list[str]:
        """Text for the terminal."""
        of = f" of {self.total}" if self.total >= self.complete else ""
        left = f", {self.abandoned} left by processes that have ended" if self.abandoned else ""
        counts = f"{self.complete}{of} finished, {self.running} running{left}, {self.failed} failed"
        lines = [self.name, f"  {counts}; MLflow run {self.run_id}"]
        lines += [f"  {worker}: {count} running" for worker, count in self.workers.items()]
        return [*lines, f"  best: {self.best}"] if self.best else lines


def study_status(name: str, storage: BaseStorage) -> StudyStatus:
    """Read one study's state; nothing is changed."""
    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    attrs = study.user_attrs
    spec = read_spec(str(attrs[SPEC])) if SPEC in attrs else None
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    abandoned = {trial.number for trial in abandoned_trials(running, Watch(), attrs)}
    owners = [owner_of(trial) for trial in running if trial.number not in abandoned]
    workers = Counter(f"{owner.machine.split()[0]} process {owner.pid}" for owner in owners if owner is not None)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = min(complete, key=lambda trial: (-float(trial.value or 0.0), *_rank(trial, spec)), default=None)
    terms = Terms.of(study)
    total = (terms.n_trials if terms is not None else None) or 0
    if spec is not None and spec.sampler == "grid":
        total = len(spec.space.cells(total or None))
    return StudyStatus(
        name=name,
        complete=len(complete),
        running=len(owners),
        failed=states.count(TrialState.FAIL),
        total=total,
        abandoned=len(abandoned),
        workers=dict(workers),
        best="" if best is None else _best_text(best),
        run_id=str(attrs.get("mlflow_run_id", "–")),
    )


def _rank(trial: FrozenTrial, spec: AnySpec | None) -> tuple[Any, ...]:
    """What decides between equal trials."""
    return (trial.number,) if isinstance(spec, MethodSpec) else Ledger.cell(trial.params)


def _best_text(trial: FrozenTrial) -> str:
    where = settings_text(trial.params, ", ")
    return f"{trial.value or 0.0:.4f}" + (f" at {where}" if where else "")


def list_status(storage: BaseStorage) -> list[StudyStatus]:
    """State of every study in a storage."""
    return [study_status(name, storage) for name in sorted(optuna.get_all_study_names(storage))]
