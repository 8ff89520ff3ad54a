"""Reading and writing many trials at once, through the tables of MLflow's own database.

MLflow's client commits several transactions a run: ten times what a fit costs. Here a batch of runs is one
transaction. The tables are MLflow's internals: the first run that a process writes so is read back by MLflow's public
client, and unless that finds all as it was meant, this way is not used.
"""

from __future__ import annotations

import functools
import json
import math
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tgsr.errors import TrackingError, one_line
from tgsr.evaluation.choice import METRIC
from tgsr.tracking._client import ClientWriter, trial_content
from tgsr.tracking._files import write_trial_files
from tgsr.tracking.client import local_artifact_folder
from tgsr.tracking.names import Tag
from tgsr.tracking.storage_errors import storage_errors, storage_problem
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["BulkWriter", "analyze", "connect", "query_trials"]

_LARGEST = 1.7976931348623157e308
"""How MLflow stores infinity."""

_Row = tuple[Any, ...]


def _table(name: str, columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns.split()))


_RUNS = _table(
    "runs",
    "run_uuid name artifact_uri experiment_id source_type user_id status start_time end_time lifecycle_stage "
    "source_name entry_point_name source_version",
)
_METRICS = _table("metrics", "key value timestamp run_uuid step is_nan")
_LATEST = _table("latest_metrics", "key value timestamp run_uuid step is_nan")
_PARAMS = _table("params", "key value run_uuid")
_TAGS = _table("tags", "key value run_uuid")
_TABLES = (_RUNS, _METRICS, _LATEST, _PARAMS, _TAGS)


@functools.cache
def connect(tracking_uri: str) -> sa.Engine:
    """The engine of a tracking database.

    Raises
    ------
    TrackingError
        If it is none of SQLite or PostgreSQL.
    """
    if not tracking_uri.startswith(("sqlite:", "postgres")):
        raise TrackingError("bulk writing is for databases of SQLite and PostgreSQL")
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


_proven: set[sa.Engine] = set()
"""Databases on which a run written here was read back by the public client in this process."""


class BulkWriter(ClientWriter):
    """One transaction for each call of `write`; files first, so that a run in the database is whole.

    Raises
    ------
    TrackingError
        If the store is no database of SQLite or PostgreSQL, or artifacts are not on this machine. In its methods: only
        if the tables turn out not to be as expected; nothing is written then.
    """

    name = "bulk"

    def __init__(self, client: MlflowClient, run: Run, spec: StudySpec) -> None:
        super().__init__(client, run, spec)
        location = str(run.info.artifact_uri)
        folder = local_artifact_folder(location)
        if folder is None:
            raise TrackingError(f"artifacts at {location} are not in a folder of this machine")
        self._engine, self._folder = connect(client.tracking_uri), folder.parents[1]
        self._location = location.removesuffix(f"/{self._run_id}/artifacts")

    def write(self, trials: Sequence[Trial]) -> list[str]:
        """See `ClientWriter.write`."""
        # of a grid's cell always the same: it cannot be there twice. They ascend with the number, as do a task's cells:
        # MLflow's tables are indexed by them, and ids in no order touch twice as many pages
        ids = [f"{self._run_id[:16]}{trial.number:06x}{trial.cell[:10]}" for trial in trials]
        rows = [self._rows(run_id, trial) for run_id, trial in zip(ids, trials, strict=True)]
        if self._engine not in _proven:
            self._prove(ids[0], trials[0], rows.pop(0))
        with self._engine.begin() as connection:
            _insert(connection, rows)
        return ids

    def add_metrics(self, values: Mapping[str, Mapping[str, float]], at_ms: int) -> None:
        """See `ClientWriter.add_metrics`; one transaction."""
        rows = [_metric_row(run, key, value, at_ms) for run, found in values.items() for key, value in found.items()]
        if not rows:
            return
        with _begin(self._engine) as connection:
            for table in (_METRICS, _LATEST):
                same = sa.and_(table.c.run_uuid == sa.bindparam("run"), table.c.key == sa.bindparam("name"))
                places = [{"run": run, "name": key} for key, _, _, run, *_ in rows]
                connection.execute(sa.delete(table).where(same), places)
                _insert_rows(connection, table, rows)

    def remove(self, run_ids: Sequence[str]) -> None:
        """Remove runs for good, with their files: their cells' ids are needed again."""
        with _begin(self._engine) as connection:
            for table in reversed(_TABLES):
                named = table.c.run_uuid == sa.bindparam("run")
                connection.execute(sa.delete(table).where(named), [{"run": run_id} for run_id in run_ids])
        for run_id in run_ids:
            shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def _rows(self, run_id: str, trial: Trial) -> tuple[list[_Row], ...]:
        """Write a trial's files; its rows in each of the five tables, in the order of their columns."""
        sizes = write_trial_files(self._folder / run_id / "artifacts", trial, self._spec.grouping)
        name, params, values, tags = trial_content(self._spec, self._run_id, trial)
        tags |= {Tag.FILES: json.dumps(sizes)} if sizes else {}
        place = (self._artifacts_of(run_id), int(self._experiment_id), "UNKNOWN", tags[Tag.USER])
        run = (run_id, name, *place, "FINISHED", trial.start_ms, trial.end_ms, "active", "", "", "")
        metrics = [_metric_row(run_id, key, value, trial.end_ms) for key, value in values.items()]
        return ([run], metrics, metrics, *([(*item, run_id) for item in part.items()] for part in (params, tags)))

    def _artifacts_of(self, run_id: str) -> str:
        return f"{self._location}/{run_id}/artifacts"

    def _prove(self, run_id: str, trial: Trial, rows: tuple[list[_Row], ...]) -> None:
        """Write one run and compare what MLflow's client reads with what was meant."""
        with _begin(self._engine) as connection:
            _insert(connection, [rows])
        difference = self._difference(run_id, trial)
        if difference:
            self.remove([run_id])
            raise TrackingError(f"MLflow does not read a run written in bulk as it was meant: {difference}")
        _proven.add(self._engine)

    def _difference(self, run_id: str, trial: Trial) -> str:
        """What the public client reads differently from what was meant; empty if nothing."""
        name, params, values, tags = trial_content(self._spec, self._run_id, trial)
        condition = f"attributes.run_id = '{run_id}' and tags.`{Tag.PARENT}` = '{self._run_id}'"
        found = self._client.search_runs([self._experiment_id], condition)
        if len(found) != 1:
            return f"a search finds {len(found)} runs"
        info, data = found[0].info, found[0].data
        meant = (name, "FINISHED", trial.start_ms, trial.end_ms, "active", self._artifacts_of(run_id))
        read = (info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.artifact_uri)
        # as text, for NaN; + 0.0: SQLite keeps no sign of a zero, PostgreSQL does
        metrics = {key: repr(min(max(float(value), -_LARGEST), _LARGEST) + 0.0) for key, value in values.items()}
        points = {key: self._client.get_metric_history(run_id, key) for key in metrics}
        comparisons = {
            "its attributes": (meant, read),
            "its parameters": (params, data.params),
            "its tags": (tags, {key: value for key, value in data.tags.items() if key != Tag.FILES}),
            "its metrics": (metrics, {key: repr(value + 0.0) for key, value in data.metrics.items()}),
            "its metrics' history": (
                {key: [(value, 0)] for key, value in metrics.items()},
                {key: [(repr(point.value + 0.0), point.step) for point in history] for key, history in points.items()},
            ),
        }
        return next((what for what, (expected, read) in comparisons.items() if expected != read), "")


@contextmanager
def _begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction; what tables refuse that are not proven yet is told from what is wrong with the place."""
    try:
        with engine.begin() as connection:
            yield connection
    except sa.exc.DatabaseError as error:
        if engine in _proven or storage_problem(error):
            raise
        raise TrackingError(f"the tables of the database are not as expected: {one_line(error.orig)}") from error


def _insert(connection: sa.Connection, trials: Sequence[tuple[list[_Row], ...]]) -> None:
    # not strict: of no trials there are no tables
    for table, parts in zip(_TABLES, zip(*trials, strict=True), strict=False):
        _insert_rows(connection, table, [row for part in parts for row in part])


def _insert_rows(connection: sa.Connection, table: sa.TableClause, rows: list[_Row]) -> None:
    if rows:  # tuples to the driver: making and unpacking a dictionary a row costs as much as inserting it
        connection.exec_driver_sql(str(sa.insert(table).compile(dialect=connection.dialect)), rows)


def _metric_row(run_id: str, key: str, value: float, at: int) -> _Row:
    is_nan = math.isnan(value)
    # as MLflow's own store does: NaN is a flag, infinity the largest float
    stored = 0.0 if is_nan else min(max(float(value), -_LARGEST), _LARGEST)
    return key, stored, at, run_id, 0, is_nan


def query_trials(engine: sa.Engine, study: str, tags: Collection[str], view: str, *, metrics: bool) -> pd.DataFrame:
    """See `tgsr.tracking.records.read_trials`: a few queries, where MLflow's search takes a minute for a whole grid."""
    import pandas as pd

    above, kind = _TAGS.alias("above"), _TAGS.alias("kind")
    is_child = sa.and_(above.c.run_uuid == _RUNS.c.run_uuid, above.c.key == Tag.PARENT, above.c.value == study)
    is_trial = sa.and_(kind.c.run_uuid == _RUNS.c.run_uuid, kind.c.key == Tag.KIND, kind.c.value == "trial")
    is_finished, is_deleted = _RUNS.c.status == "FINISHED", _RUNS.c.lifecycle_stage != "active"
    wanted = {"all": sa.true(), "finished": sa.and_(is_finished, sa.not_(is_deleted)), "deleted": is_deleted}[view]
    ids = sa.select(_RUNS.c.run_uuid).join(above, is_child).join(kind, is_trial).where(wanted)
    runs = ids.add_columns(is_finished.label("is_finished"), is_deleted.label("is_deleted"))
    parts = {"": sa.select(_TAGS).where(_TAGS.c.key.in_(tags), _TAGS.c.run_uuid.in_(ids))}
    if metrics:
        value = sa.case((_LATEST.c.is_nan, sa.null()), else_=_LATEST.c.value).label("value")
        parts[METRIC] = sa.select(_LATEST.c.run_uuid, _LATEST.c.key, value).where(_LATEST.c.run_uuid.in_(ids))

    def read(query: sa.Select[Any]) -> pd.DataFrame:
        result = connection.execute(query)
        # the driver's own tuples: SQLAlchemy's rows take twice as long, and a whole grid has half a million of them
        return pd.DataFrame(result.cursor.fetchall(), columns=list(result.keys()))

    with engine.connect() as connection:
        table = read(runs).set_index("run_uuid").astype(bool)  # SQLite's are numbers
        for prefix, query in parts.items():
            found = read(query).pivot(index="run_uuid", columns="key", values="value")
            table = table.join(found.add_prefix(prefix))
    return table.rename_axis("run_id").reset_index()


def analyze(client: MlflowClient) -> None:
    """Let the database gather statistics: without them SQLite sorts by a metric in quadratic time."""
    try:
        engine = connect(client.tracking_uri)
    except TrackingError:
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
