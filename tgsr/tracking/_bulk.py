"""Reading and writing many trials at once, through the tables of MLflow's own database.

MLflow's client commits several transactions a run: ten times what a fit costs. Here a batch of runs is one
transaction. The tables are MLflow's internals: this way is used only where the five that it touches have exactly the
columns that it was tested with, whatever version the rest of the database is of, and the first run that a process
writes so is read back by MLflow's public client before the others follow.
"""

from __future__ import annotations

import functools
import itertools
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tgsr.errors import TrackingError
from tgsr.tracking._client import ClientWriter, StoredRun, trial_metrics, trial_name, trial_params, trial_tags
from tgsr.tracking._files import sizes_text, write_trial_files
from tgsr.tracking.client import local_artifact_folder
from tgsr.tracking.names import Tag
from tgsr.tracking.storage_errors import storage_errors
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["BulkWriter", "analyze", "connect", "open_bulk_writer", "query_deleted", "query_trials"]

_TRIALS_A_STATEMENT = 64
_FILE_THREADS = 2
_LARGEST = 1.7976931348623157e308
"""How MLflow stores infinity."""

_Row = tuple[Any, ...]
_METADATA = sa.MetaData()


def _table(name: str, columns: str) -> sa.Table:
    """A table from columns written as ``name type, …``; a question mark behind the type allows NULL."""
    types = {"text": sa.String, "int": sa.BigInteger, "float": sa.Float, "bool": sa.Boolean}
    parsed = [column.split() for column in columns.split(",")]
    return sa.Table(
        name, _METADATA, *(sa.Column(key, types[kind.rstrip("?")](), nullable="?" in kind) for key, kind in parsed)
    )


_RUNS = _table(
    "runs",
    "run_uuid text, name text?, source_type text?, source_name text?, entry_point_name text?, user_id text?, "
    "status text?, start_time int?, end_time int?, source_version text?, lifecycle_stage text?, artifact_uri text?, "
    "experiment_id int?, deleted_time int?",
)
_METRICS = _table("metrics", "key text, value float, timestamp int, run_uuid text, step int, is_nan bool")
_LATEST = _table("latest_metrics", "key text, value float, timestamp int?, run_uuid text, step int, is_nan bool")
_PARAMS = _table("params", "key text, value text, run_uuid text")
_TAGS = _table("tags", "key text, value text?, run_uuid text")
_TABLES = (_RUNS, _METRICS, _LATEST, _PARAMS, _TAGS)


def connect(tracking_uri: str) -> sa.Engine:
    """Connect to a tracking database whose five tables are as tested.

    Raises
    ------
    TrackingError
        If it is no database, or one of the tables has other columns: the difference is named.
    """
    if not tracking_uri.startswith(("sqlite:", "postgres")):
        raise TrackingError("bulk writing is for databases of SQLite and PostgreSQL")
    engine = _engine(tracking_uri)
    difference = _difference(engine)
    if difference:
        raise TrackingError(f"the tracking database is not as tested: {difference}")
    return engine


@functools.cache
def _engine(tracking_uri: str) -> sa.Engine:
    with storage_errors(tracking_uri):
        # rows are handed to the driver as tuples: psycopg would like names
        style = {"paramstyle": "format"} if tracking_uri.startswith("postgres") else {}
        engine = sa.create_engine(tracking_uri, **style)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _tune)
        return engine


def _tune(connection: Any, _record: Any) -> None:
    # keep the indexes' pages in memory, and write them back less often
    for setting in ("busy_timeout=20000", "foreign_keys=ON", "cache_size=-65536", "wal_autocheckpoint=8000"):
        connection.execute(f"PRAGMA {setting}")


def _difference(engine: sa.Engine) -> str:
    """How the five tables differ from those tested; empty if they do not."""
    with storage_errors(engine.url.render_as_string()):
        inspector = sa.inspect(engine)
        present = set(inspector.get_table_names())
        for table in _TABLES:
            if table.name not in present:
                return f"no table {table.name}"
            found = {c["name"]: (_kind(c["type"]), bool(c["nullable"])) for c in inspector.get_columns(table.name)}
            tested = {c.name: (_kind(c.type), bool(c.nullable)) for c in table.columns}
            differing = sorted(key for key in found.keys() | tested.keys() if found.get(key) != tested.get(key))
            if differing:
                return f"column {table.name}.{differing[0]}"
    return ""


def _kind(column_type: Any) -> str:
    for family in (sa.Boolean, sa.Integer, sa.Float, sa.String):
        if isinstance(column_type, family):
            return family.__name__
    return str(column_type)


def open_bulk_writer(client: MlflowClient, run: Run, spec: StudySpec) -> BulkWriter:
    """Open the bulk way for a study, given its run.

    Raises
    ------
    TrackingError
        If the store is no database with the tables that were tested, or artifacts are not on this machine.
    """
    folder = local_artifact_folder(str(run.info.artifact_uri))
    if folder is None:
        raise TrackingError(f"artifacts at {run.info.artifact_uri} are not in a folder of this machine")
    return BulkWriter(client, run, spec, connect(client.tracking_uri), folder.parents[1])


_proven: set[sa.Engine] = set()
"""Databases on which a run written here was read back by the public client in this process."""


class BulkWriter(ClientWriter):
    """One transaction for each call of `write`; files first, so that a run in the database is whole."""

    name = "bulk"

    def __init__(self, client: MlflowClient, run: Run, spec: StudySpec, engine: sa.Engine, folder: Path) -> None:
        super().__init__(client, run, spec)
        self._engine, self._folder = engine, folder
        self._location = str(run.info.artifact_uri).removesuffix(f"/{self._run_id}/artifacts")

    def runs(self) -> Iterator[StoredRun]:
        """See `ClientWriter.runs`."""
        keys = (Tag.CELL, Tag.FILES, Tag.DISCARDED)
        query = (
            sa.select(_RUNS.c.run_uuid, _RUNS.c.status, _RUNS.c.lifecycle_stage, _TAGS.c.key, _TAGS.c.value)
            .join(_TAGS, sa.and_(_TAGS.c.run_uuid == _RUNS.c.run_uuid, _TAGS.c.key.in_(keys)), isouter=True)
            .where(_RUNS.c.run_uuid.in_(_children(self._run_id)))
        )
        facts: dict[tuple[str, str, bool], dict[str, str]] = {}
        with self._engine.connect() as connection:
            for run_id, status, stage, key, value in connection.execute(query):
                facts.setdefault((run_id, status, stage != "active"), {})[key] = value
        for (run_id, status, is_deleted), tags in sorted(facts.items()):
            yield StoredRun(run_id, status == "FINISHED", is_deleted, tags)

    def write(self, trials: Sequence[Trial]) -> list[str]:
        """See `ClientWriter.write`."""
        # of a grid's cell always the same: it cannot be there twice. They ascend with the number, as do a task's cells:
        # MLflow's tables are indexed by them, and ids in no order touch twice as many pages
        ids = [f"{self._run_id[:16]}{trial.number:06x}{trial.cell[:10]}" for trial in trials]
        entries = list(zip(ids, trials, strict=True))
        with ThreadPoolExecutor(_FILE_THREADS) as pool:
            # rows go into the open transaction while the files of later trials are still being written
            files = pool.map(self._write_files, entries)
            rows = (self._rows(*entry, sizes) for entry, sizes in zip(entries, files, strict=True))
            if self._engine not in _proven:
                self._prove(*entries[0], next(rows))
            with self._engine.begin() as connection:
                while chunk := list(itertools.islice(rows, _TRIALS_A_STATEMENT)):
                    _insert(connection, chunk)
        return ids

    def add_metrics(self, values: Mapping[str, Mapping[str, float]], at_ms: int) -> None:
        """See `ClientWriter.add_metrics`; one transaction."""
        entries = [(run_id, key, value) for run_id, found in values.items() for key, value in found.items()]
        if not entries:
            return
        rows = [_metric_row(run_id, key, value, at_ms) for run_id, key, value in entries]
        places = [{"run": run_id, "name": key} for run_id, key, _ in entries]
        with self._engine.begin() as connection:
            for table in (_METRICS, _LATEST):
                same = sa.and_(table.c.run_uuid == sa.bindparam("run"), table.c.key == sa.bindparam("name"))
                connection.execute(sa.delete(table).where(same), places)
                _insert_rows(connection, table, rows)

    def remove(self, run_ids: Sequence[str]) -> None:
        """Remove runs for good, with their files: their cells' ids are needed again."""
        with self._engine.begin() as connection:
            for table in reversed(_TABLES) if run_ids else ():
                named = table.c.run_uuid == sa.bindparam("run")
                connection.execute(sa.delete(table).where(named), [{"run": run_id} for run_id in run_ids])
        for run_id in run_ids:
            shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def _write_files(self, entry: tuple[str, Trial]) -> dict[str, int]:
        return write_trial_files(self._folder / entry[0] / "artifacts", entry[1], self._spec.grouping)

    def _rows(self, run_id: str, trial: Trial, files: Mapping[str, int]) -> tuple[list[_Row], ...]:
        """The rows of a trial in each of the five tables, in the order of their columns."""
        tags = trial_tags(self._spec, self._run_id, trial)
        run = {
            "run_uuid": run_id,
            "name": tags[Tag.RUN_NAME],
            "artifact_uri": self._artifacts_of(run_id),
            "experiment_id": int(self._experiment_id),
            "source_type": "UNKNOWN",
            "user_id": tags[Tag.USER],
            "status": "FINISHED",
            "start_time": trial.start_ms,
            "end_time": trial.end_ms,
            "lifecycle_stage": "active",
            **dict.fromkeys(("source_name", "entry_point_name", "source_version"), ""),
        }
        metrics = [_metric_row(run_id, key, value, trial.end_ms) for key, value in trial_metrics(trial).items()]
        params = [(key, value, run_id) for key, value in trial_params(self._spec, trial).items()]
        tags |= {Tag.FILES: sizes_text(files)} if files else {}
        return (
            [tuple(run.get(column.name) for column in _RUNS.columns)],
            metrics,
            metrics,
            params,
            [(key, value, run_id) for key, value in tags.items()],
        )

    def _artifacts_of(self, run_id: str) -> str:
        return f"{self._location}/{run_id}/artifacts"

    def _prove(self, run_id: str, trial: Trial, rows: tuple[list[_Row], ...]) -> None:
        """Write one run and compare what MLflow's client reads with what was meant."""
        with self._engine.begin() as connection:
            _insert(connection, [rows])
        difference = self._read_back(run_id, trial)
        if difference:
            self.remove([run_id])
            raise TrackingError(f"MLflow does not read a run written in bulk as it was meant: {difference}")
        _proven.add(self._engine)

    def _read_back(self, run_id: str, trial: Trial) -> str:
        """What the public client reads differently from what was meant; empty if nothing."""
        condition = f"attributes.run_id = '{run_id}' and tags.`{Tag.PARENT}` = '{self._run_id}'"
        found = self._client.search_runs([self._experiment_id], condition)
        if len(found) != 1:
            return f"a search finds {len(found)} runs"
        info, data = found[0].info, found[0].data
        meant = (trial_name(self._spec, trial), "FINISHED", trial.start_ms, trial.end_ms, "active")
        # + 0.0: SQLite keeps no sign of a zero, PostgreSQL does
        scores = {key: min(max(float(value), -_LARGEST), _LARGEST) + 0.0 for key, value in trial_metrics(trial).items()}
        tags = {key: data.tags[key] for key in data.tags if key != Tag.FILES}
        comparisons: dict[str, tuple[Any, Any]] = {
            "its attributes": (
                meant,
                (info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage),
            ),
            "its folder": (self._artifacts_of(run_id), info.artifact_uri),
            "its parameters": (trial_params(self._spec, trial), dict(data.params)),
            "its tags": (trial_tags(self._spec, self._run_id, trial), tags),
            "its metrics": (
                sorted(map(repr, scores.items())),
                sorted(repr((key, value + 0.0)) for key, value in data.metrics.items()),
            ),
        }
        for key, value in list(scores.items())[:1]:
            history = [(repr(point.value + 0.0), point.step) for point in self._client.get_metric_history(run_id, key)]
            comparisons["a metric's history"] = ([(repr(value), 0)], history)
        return next((what for what, (expected, read) in comparisons.items() if expected != read), "")


def _insert(connection: sa.Connection, trials: Sequence[tuple[list[_Row], ...]]) -> None:
    for table, parts in zip(_TABLES, zip(*trials, strict=True), strict=True):
        _insert_rows(connection, table, [row for part in parts for row in part])


def _insert_rows(connection: sa.Connection, table: sa.Table, rows: list[_Row]) -> None:
    if rows:  # tuples to the driver: making and unpacking a dictionary a row costs as much as inserting it
        connection.exec_driver_sql(str(sa.insert(table).compile(dialect=connection.dialect)), rows)


def _metric_row(run_id: str, key: str, value: float, at: int) -> _Row:
    is_nan = math.isnan(value)
    # as MLflow's own store does: NaN is a flag, infinity the largest float
    stored = 0.0 if is_nan else min(max(float(value), -_LARGEST), _LARGEST)
    return key, stored, at, run_id, 0, is_nan


def _children(parent_run_id: str) -> Any:
    """Ids of a study's trials, as a subquery."""
    above, kind = _TAGS.alias("above"), _TAGS.alias("kind")
    return (
        sa.select(above.c.run_uuid)
        .join(kind, sa.and_(kind.c.run_uuid == above.c.run_uuid, kind.c.key == Tag.KIND, kind.c.value == "trial"))
        .where(above.c.key == Tag.PARENT, above.c.value == parent_run_id)
    )


def query_trials(engine: sa.Engine, parent_run_id: str, keys: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the tags named by ``keys`` and the metrics of a study's finished, active trials: tables by run id.

    These are two queries; MLflow's search takes a minute for a whole grid.
    """
    import pandas as pd

    whole = sa.select(_RUNS.c.run_uuid).where(
        _RUNS.c.run_uuid.in_(_children(parent_run_id)),
        _RUNS.c.status == "FINISHED",
        _RUNS.c.lifecycle_stage == "active",
    )
    tags = sa.select(_TAGS).where(_TAGS.c.key.in_(keys), _TAGS.c.run_uuid.in_(whole))
    value = sa.case((_LATEST.c.is_nan, sa.null()), else_=_LATEST.c.value).label("value")
    metrics = sa.select(_LATEST.c.run_uuid, _LATEST.c.key, value).where(_LATEST.c.run_uuid.in_(whole))
    with engine.connect() as connection:
        texts, numbers = (
            pd.read_sql(query, connection).pivot(index="run_uuid", columns="key", values="value")
            for query in (tags, metrics)
        )
    return texts, numbers.astype("float64")


def query_deleted(engine: sa.Engine, parent_run_id: str) -> set[str]:
    """Ids of a study's trials that are deleted."""
    query = sa.select(_RUNS.c.run_uuid).where(
        _RUNS.c.lifecycle_stage != "active", _RUNS.c.run_uuid.in_(_children(parent_run_id))
    )
    with engine.connect() as connection:
        return {str(run_id) for (run_id,) in connection.execute(query)}


def analyze(client: MlflowClient) -> None:
    """Let the database gather statistics: without them SQLite sorts by a metric in quadratic time."""
    try:
        engine = connect(client.tracking_uri)
    except TrackingError:
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
