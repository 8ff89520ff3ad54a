"""Writing many trials in one transaction, through the tables of MLflow's own database.

MLflow's client commits several transactions a run: ten times what a fit costs. Here a batch of runs is one
transaction. The tables are MLflow's internals, so that this way is used only with a database of exactly a schema
version that it was tested with; ``tests/tracking`` compares what it writes with the public client and the fluent
interface. Anything else goes through the public client.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from tgsr.errors import TrackingError
from tgsr.files import atomic_path
from tgsr.tracking.artifacts import present_folders, save_coefficients, write_trial_files
from tgsr.tracking.names import COEFFICIENTS, Tag
from tgsr.tracking.place import local_artifact_folder
from tgsr.tracking.records import Record, StudyRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["KNOWN_SCHEMAS", "BulkWriter", "open_bulk_writer", "schema_version", "trial_run_id"]

KNOWN_SCHEMAS: dict[str, str] = {"dc11669786a5": "3.17"}
"""Schema version (alembic's head) → MLflow version of the databases that bulk writing was tested with."""

_ROWS_A_STATEMENT = 2000
_IDS_A_QUERY = 500
_FILE_THREADS = 2
_ATTEMPTS = 3


class _Store(Protocol):
    engine: Any

    def ManagedSessionMaker(self, read_only: bool = True) -> AbstractContextManager[Any]: ...


def trial_run_id(study_run_id: str, number: int) -> str:
    """The run id of a trial: the same for the same trial, so that no trial can be written twice.

    Ids ascend with the trial's number: MLflow's tables are indexed by them, and rows that arrive in the order of an
    index cost the same at trial 20,000 as at trial 200, where random ids touch pages all over the database.
    """
    return f"{uuid.uuid5(uuid.UUID(study_run_id), 'trials').hex[:22]}{number:010x}"


def open_bulk_writer(client: MlflowClient, artifact_location: str) -> BulkWriter:
    """Open the bulk way for a client's store.

    Raises
    ------
    TrackingError
        If the store is no database of a known schema version, or artifacts are not on this machine.
    """
    if client.tracking_uri.startswith(("http://", "https://")):
        raise TrackingError("a tracking server is written to by its API")
    folder = local_artifact_folder(artifact_location)
    if folder is None:
        raise TrackingError(f"artifacts at {artifact_location} are not in a folder of this machine")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    if not isinstance(store, SqlAlchemyStore):
        raise TrackingError(f"{type(store).__name__} is no database")
    version = schema_version(store.engine)
    if version not in KNOWN_SCHEMAS:
        raise TrackingError(
            f"the database has MLflow's schema {version}, bulk writing knows "
            f"{', '.join(f'{key} (MLflow {value})' for key, value in KNOWN_SCHEMAS.items())}"
        )
    return BulkWriter(store, folder, artifact_location)


def schema_version(engine: Any) -> str:
    """Schema version recorded in the database, "unknown" if there is none."""
    import sqlalchemy

    try:
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).fetchall()
    except sqlalchemy.exc.SQLAlchemyError:
        return "unknown"
    return str(rows[0][0]) if len(rows) == 1 else "unknown"


class BulkWriter:
    """One transaction for each call of `write`; files first, so that a run in the database is whole.

    Parameters
    ----------
    store : SqlAlchemyStore
    folder : Path
        The experiment's artifact folder.
    artifact_location : str
        The same as MLflow writes it.
    """

    name = "bulk"

    def __init__(self, store: _Store, folder: Path, artifact_location: str) -> None:
        self._store = store
        self._folder = folder
        self._location = artifact_location.rstrip("/")

    def write(self, study: StudyRun, records: Sequence[Record]) -> list[str]:
        """Write the trials; see `TrialWriter`. A trial that is there already is left as it is."""
        run_ids = [trial_run_id(study.run_id, record.number) for record in records]
        for attempt in range(_ATTEMPTS):
            known = self._known(run_ids)
            new = [(run_id, record) for run_id, record in zip(run_ids, records, strict=True) if run_id not in known]
            if attempt == 0:
                bare = [entry for entry in zip(run_ids, records, strict=True) if entry[0] in known]
                self._write_files(study, new + [entry for entry in bare if not (self._folder / entry[0]).is_dir()])
            if not new:
                break
            if self._insert_unless_taken(study, new, last=attempt == _ATTEMPTS - 1):
                break
        return run_ids

    def _write_files(self, study: StudyRun, new: Sequence[tuple[str, Record]]) -> None:
        def write(entry: tuple[str, Record]) -> None:
            write_trial_files(self._folder / entry[0] / "artifacts", entry[1], study.grouping)

        with ThreadPoolExecutor(_FILE_THREADS) as pool:
            list(pool.map(write, new))

    def _insert_unless_taken(self, study: StudyRun, new: Sequence[tuple[str, Record]], *, last: bool) -> bool:
        """Insert; False if the database refuses, as when another process has just written one of the trials."""
        from mlflow.exceptions import MlflowException

        try:
            self._insert(study, new)
        except MlflowException:
            if last:
                raise
            return False
        return True

    def written(self, study: StudyRun, numbers: Sequence[int]) -> set[int]:
        """Look the trials up; see `TrialWriter`."""
        ids = {trial_run_id(study.run_id, number): number for number in numbers}
        known = self._known(list(ids), "active")
        folders = present_folders(study)
        return {ids[run_id] for run_id in (known if folders is None else known & folders)}

    def restore(self, study: StudyRun, numbers: Sequence[int]) -> int:
        """See `TrialWriter`."""
        import sqlalchemy
        from mlflow.store.tracking.dbmodels.models import SqlRun

        deleted = sorted(self._known([trial_run_id(study.run_id, number) for number in numbers], "deleted"))
        run_uuid: Any = SqlRun.run_uuid
        with self._store.ManagedSessionMaker(read_only=False) as session:
            for start in range(0, len(deleted), _IDS_A_QUERY):
                session.execute(
                    sqlalchemy.update(SqlRun)
                    .where(run_uuid.in_(deleted[start : start + _IDS_A_QUERY]))
                    .values(lifecycle_stage="active", deleted_time=None)
                )
        return len(deleted)

    def discard(self, numbers: Sequence[int]) -> None:
        """Do nothing: a trial is one transaction, and `write` completes its files. See `TrialWriter`."""

    def add_coefficients(self, study: StudyRun, number: int, coef: npt.NDArray[np.float64]) -> None:
        """See `TrialWriter`."""
        folder = self._folder / trial_run_id(study.run_id, number) / "artifacts"
        with atomic_path(folder / COEFFICIENTS) as temporary:
            save_coefficients(temporary, coef)

    def _known(self, run_ids: Sequence[str], stage: str | None = None) -> set[str]:
        """Those of the run ids that are in the database, optionally only the active or the deleted ones."""
        import sqlalchemy
        from mlflow.store.tracking.dbmodels.models import SqlRun

        run_uuid: Any = SqlRun.run_uuid  # its type, a Column, has no in_ in SQLAlchemy's stubs for declarative 1.x
        found: set[str] = set()
        with self._store.ManagedSessionMaker(read_only=True) as session:
            for start in range(0, len(run_ids), _IDS_A_QUERY):
                query = sqlalchemy.select(run_uuid).where(run_uuid.in_(run_ids[start : start + _IDS_A_QUERY]))
                if stage is not None:
                    query = query.where(SqlRun.lifecycle_stage == stage)
                found.update(session.execute(query).scalars())
        return found

    def _insert(self, study: StudyRun, new: Sequence[tuple[str, Record]]) -> None:
        import sqlalchemy
        from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag

        metrics = [row for run_id, record in new for row in _metric_rows(run_id, record)]
        params = [
            {"run_uuid": run_id, "key": key, "value": value}
            for run_id, record in new
            for key, value in study.trial_params(record).items()
        ]
        tags = [
            {"run_uuid": run_id, "key": key, "value": value}
            for run_id, record in new
            for key, value in study.trial_tags(record).items()
        ]
        tables = (
            (SqlRun, [self._run_row(study, run_id, record) for run_id, record in new]),
            (SqlMetric, metrics),
            (SqlLatestMetric, metrics),
            (SqlParam, params),
            (SqlTag, tags),
        )
        with self._store.ManagedSessionMaker(read_only=False) as session:
            for table, rows in tables:
                for start in range(0, len(rows), _ROWS_A_STATEMENT):
                    session.execute(sqlalchemy.insert(table), rows[start : start + _ROWS_A_STATEMENT])

    def _run_row(self, study: StudyRun, run_id: str, record: Record) -> dict[str, Any]:
        return {
            "run_uuid": run_id,
            "name": study.trial_name(record),
            "artifact_uri": f"{self._location}/{run_id}/artifacts",
            "experiment_id": int(study.experiment_id),
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": study.tags.get(Tag.USER, "unknown"),
            "status": "FINISHED",
            "start_time": record.start_ms,
            "end_time": record.end_ms,
            "deleted_time": None,
            "source_version": "",
            "lifecycle_stage": "active",
        }


def _metric_rows(run_id: str, record: Record) -> list[dict[str, Any]]:
    rows = []
    for key, value in record.metrics.items():
        is_nan = value != value
        # as MLflow's own store does: NaN is a flag, infinity the largest float
        stored = 0.0 if is_nan else min(max(float(value), -1.7976931348623157e308), 1.7976931348623157e308)
        rows.append(
            {"run_uuid": run_id, "key": key, "value": stored, "is_nan": is_nan, "timestamp": record.end_ms, "step": 0}
        )
    return rows
