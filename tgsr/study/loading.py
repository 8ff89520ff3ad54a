"""Stored studies, read back as Optuna's: in memory, or in any storage of Optuna's for its tools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import optuna
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.evaluation.choice import Choice
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.names import Tag
from tgsr.tracking.records import StudyRecord, list_studies, read_study
from tgsr.tracking.storage_errors import masked
from tgsr.trials.spec import frozen_trials

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Study", "check_storage", "fill_storage", "find_study", "load_study"]


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


def load_study(
    study: str | None = None, *, pair: str | None = None, config: TrackingConfig | None = None, by: str | None = None
) -> Study:
    """Read a study back from MLflow as an `optuna.Study`; nothing is fitted.

    Parameters
    ----------
    study : str, optional
        Its run id, or its name; by default the newest.
    pair : str, optional
        Only studies of this pair, such as ``"V-N"``.
    config : TrackingConfig, optional
        Where results are kept; by default the place that the command line uses here.
    by : str, optional
        The rule (or ``"oracle"``) that ranks the trials; by default the study's own choice.

    Raises
    ------
    MissingDataError
        If there is no such study.
    """
    client = open_client((config or resolve_config()).tracking_uri, create=False)
    return Study(find_study(client, study, pair), by)


def find_study(
    client: MlflowClient, study: str | None = None, pair: str | None = None, method: str | None = None
) -> StudyRecord:
    """The study of a run id; or the newest, of those of a name, pair or method where one is given.

    Raises
    ------
    MissingDataError
        If there is none.
    ParameterError
        If the run is a study of another pair or method.
    """
    if study and re.fullmatch("[0-9a-f]{32}", study):
        return read_study(client, study, pair, method)
    for one in list_studies(client, pair):
        if study in (None, one.name, one.tags.get(Tag.STUDY)) and method in (None, one.method):
            return one
    raise MissingDataError("no such study is stored there; `tgsr trials --list` shows them, --home names the place")


def fill_storage(record: StudyRecord, url: str, by: str) -> None:
    """Add to a study in an Optuna storage those of its finished trials that it lacks.

    The storage is ``sqlite:///…``, ``postgresql://…`` or another URL of SQLAlchemy's; a path is a journal file.

    Raises
    ------
    TrackingError
        If the storage cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = f"{record.spec.name} by {by}"
    try:
        study = optuna.create_study(study_name=name, storage=_open(url), direction="maximize", load_if_exists=True)
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        # by their cells: a storage gives an integer of an axis back as a float
        there = {trial.user_attrs.get("cell") for trial in done}
        trials = frozen_trials(record.spec, record.table, by)
        study.add_trials([trial for trial in trials if trial.user_attrs["cell"] not in there])
    except Exception as error:  # SQLAlchemy, its drivers and Optuna raise their own
        reason = masked(str(error)).strip().partition("\n")[0]
        raise TrackingError(
            f"Optuna's storage {masked(url)} cannot be filled ({reason}); MLflow has all trials: repair the storage "
            "or name another one, and run the same command again"
        ) from error


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
