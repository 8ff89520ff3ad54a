"""A study as Optuna's own: in memory, or in any storage of Optuna's for its tools."""

from __future__ import annotations

import optuna
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from tgsr.errors import ParameterError, TrackingError
from tgsr.evaluation.choice import Choice
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.storage_errors import masked
from tgsr.trials.frozen import frozen_trials

__all__ = ["Study", "check_storage", "fill_storage"]


class Study(optuna.Study):
    """An `optuna.Study` with all of a stored study's trials.

    A trial's value is that of the rule that chooses; its scores and the values of all rules are user attributes
    (``metrics.macro_f1``, ``rules.circular``, …). Optuna's own tools work on it: ``best_trial``,
    ``trials_dataframe()``, `optuna.visualization`, `optuna.importance`.

    Parameters
    ----------
    record : StudyRecord
    by : str, optional
        The rule, or ``"oracle"``; by default the study's own choice.

    Attributes
    ----------
    record : StudyRecord
        The study in MLflow: its run, specification and files.
    by : str
    """

    def __init__(self, record: StudyRecord, by: str | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.record, self.by = record, by or record.default_choice
        storage = InMemoryStorage()
        storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], record.spec.name)
        super().__init__(record.spec.name, storage, sampler=optuna.samplers.RandomSampler(seed=record.spec.seed))
        self.add_trials(frozen_trials(record.spec, record.table, self.by))

    @property
    def table(self) -> pd.DataFrame:
        """The trials as a table: ``params.…``, ``metrics.…``, ``rules.…``; see `tgsr.evaluation.choice`."""
        return self.record.table

    def choose(self, by: str | None = None) -> Choice:
        """The best trial by a rule or ``"oracle"``; nothing is fitted."""
        return self.record.choose(by or self.by)

    def ranked_by(self, by: str) -> Study:
        """The same study with another rule's values; nothing is fitted."""
        return Study(self.record, by)


def fill_storage(record: StudyRecord, url: str, by: str) -> int:
    """Add to a study in an Optuna storage those of its finished trials that it lacks; returns how many.

    The storage is ``sqlite:///…``, ``postgresql://…`` or another URL of SQLAlchemy's; a path is a journal file.

    Raises
    ------
    ParameterError
        If it is MLflow's own database: Optuna's tables do not belong there.
    TrackingError
        If the storage cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_storage(url)
    try:
        study = optuna.create_study(
            study_name=f"{record.spec.name} by {by}", storage=_open(url), direction="maximize", load_if_exists=True
        )
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        there = {
            trial.user_attrs.get("cell") for trial in done
        }  # a storage gives an integer of an axis back as a float
        lacking = [
            trial for trial in frozen_trials(record.spec, record.table, by) if trial.user_attrs["cell"] not in there
        ]
        study.add_trials(lacking)
    except Exception as error:  # SQLAlchemy, its drivers and Optuna raise their own
        reason = masked(str(error)).strip().partition("\n")[0]
        raise TrackingError(
            f"Optuna's storage {masked(url)} cannot be filled ({reason}); MLflow has all trials: repair the storage "
            "or name another one, and run the same command again"
        ) from error
    return len(lacking)


def check_storage(url: str) -> None:
    """Refuse MLflow's database as a storage of Optuna's: both have tables of the same names.

    Raises
    ------
    ParameterError
    """
    if "://" not in url:
        return
    import sqlalchemy as sa

    try:
        tables = set(sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names())
    except Exception:  # a storage that cannot be opened is said when it is filled
        return
    if {"experiments", "runs", "latest_metrics"} <= tables:
        raise ParameterError(
            f"--storage {masked(url)} is MLflow's own database; give Optuna one of its own, such as sqlite:///optuna.db"
        )


def _open(url: str) -> BaseStorage | str:
    if "://" in url:
        return url
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    return JournalStorage(JournalFileBackend(url, lock_obj=JournalFileOpenLock(url)))
