"""MLflow's client, opened with care: a database is made whole, a server that is not there is noticed in seconds."""

from __future__ import annotations

import logging
import os
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse, urlsplit, urlunsplit
from urllib.request import urlopen

from tgsr.errors import TrackingError, one_line
from tgsr.tracking.config import ARTIFACTS, TrackingConfig, is_server
from tgsr.tracking.storage_errors import SQLITE, masked, sqlite_path, storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "ask_server",
    "ensure_experiment",
    "experiment_ids",
    "local_artifact_folder",
    "open_client",
    "retry",
    "search_runs",
]

T = TypeVar("T")
_PATIENCE_SECONDS = 30.0
_CONNECT_SECONDS = 10
_MOST = 50_000
"""As many experiments as MLflow lists at once."""
_OURS = "name LIKE 'tgsr/%'"


def open_client(tracking_uri: str, *, create: bool = True) -> MlflowClient:
    """Open MLflow's client, with a SQLite database in write-ahead mode, which is made unless ``create`` is False.

    The caller's own tracking URI and environment stay as they are.

    Raises
    ------
    TrackingError
        If the server or database cannot be reached or opened, or is not there; or its folder was copied or moved, so
        that its files would be looked for in the old place.
    """
    database = sqlite_path(tracking_uri)
    if database is None:
        _check_reachable(tracking_uri)
    elif not create and not database.exists():
        raise TrackingError(
            f"{database} is not there, so there is no study yet: run one, or name the place with --home, TGSR_HOME or "
            "MLFLOW_TRACKING_URI"
        )
    import mlflow

    # its notes on new tables and checked examples are no news to a user
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with storage_errors(tracking_uri, "it cannot be opened as a tracking store"):
        if database is not None:
            if not database.exists():
                _make_database(database)
            _write_ahead(database)  # before MLflow, which tries for half a minute to open what is no database
        client = mlflow.MlflowClient(tracking_uri, registry_uri=tracking_uri)
        for experiment in client.search_experiments(max_results=_MOST, filter_string=_OURS):
            if database is not None:  # elsewhere, files are not beside it
                _check_location(str(experiment.artifact_location), experiment.name, database)
    return client


def ask_server(uri: str) -> Mapping[str, str]:
    """Ask a tracking server whether it is there, without its user and password; returns its answer's headers."""
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health", query="")
    try:
        answer = urlopen(urlunsplit(bare), timeout=_CONNECT_SECONDS)
    except HTTPError as error:  # an answer, if only to say who may come in
        answer = error
    with answer:
        return {key.lower(): value for key, value in answer.headers.items()}


def _check_reachable(uri: str) -> None:
    """Find out in seconds that no server or database answers: MLflow's own client tries for minutes."""
    import sqlalchemy as sa

    waiting = {"connect_timeout": _CONNECT_SECONDS} if uri.startswith("postgres") else {}
    try:
        if is_server(uri):
            ask_server(uri)
        else:
            sa.create_engine(uri, poolclass=sa.NullPool, connect_args=waiting).connect().close()
    except Exception as error:  # drivers raise their own, or are not there
        cause = getattr(error, "reason", None) or getattr(error, "orig", error)
        if isinstance(cause, ssl.SSLError):
            return  # whether the certificate counts is MLflow's to decide
        what, remedy = "the database cannot be reached", "start it"
        if is_server(uri):
            what, remedy = "no tracking server answers", "start `mlflow server`"
        reason = one_line(masked(str(cause)))
        raise TrackingError(f"{masked(uri)}: {what} ({reason}); {remedy}, or change MLFLOW_TRACKING_URI") from error


def _make_database(path: Path) -> None:
    """Make MLflow's SQLite database, whole or not at all.

    MLflow builds a new database in many steps; one that was killed between them can never be opened again.
    """
    from mlflow.store.tracking import sqlalchemy_store

    untyped: Any = sqlalchemy_store
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as temporary:
        fresh = Path(temporary) / path.name
        store = untyped.SqlAlchemyStore(f"{SQLITE}{fresh}", (path.parent / ARTIFACTS).as_uri())
        store.engine.dispose()
        try:
            os.link(fresh, path)  # unlike a rename, it leaves alone what another process has made meanwhile
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            fresh.replace(path)


def _write_ahead(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=_PATIENCE_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def ensure_experiment(client: MlflowClient, name: str, config: TrackingConfig) -> str:
    """Return the id of an MLflow experiment, created once even if several processes ask for it.

    Raises
    ------
    TrackingError
        If an experiment of that name was deleted.
    """
    root = config.artifact_root

    def find_or_create() -> str:
        found = client.get_experiment_by_name(name)
        if found is None:
            location = None if root is None else f"{root.rstrip('/')}/{name}"
            return str(client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"the MLflow experiment {name!r} was deleted; restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or use another home folder"
            )
        return str(found.experiment_id)

    return retry(find_or_create)


def _check_location(location: str, name: str, database: Path) -> None:
    """A home folder that was copied or moved still names its old place: nothing is written or read there unasked."""
    folder = local_artifact_folder(location)
    if folder is None or "TGSR_ARTIFACT_ROOT" in os.environ:
        return
    old, ours, rest = folder.as_posix().rpartition(f"/{ARTIFACTS}/{name}")
    if ours and not rest and folder.resolve() != (database.parent / ARTIFACTS / name).resolve():
        old = f"{old}/{ARTIFACTS}"
        raise TrackingError(
            f"{database}: its results lie in {old}; if {database.parent} is a copy of that folder, or was moved, run "
            f"`tgsr relocate --home {database.parent}` once; otherwise set TGSR_ARTIFACT_ROOT={Path(old).as_uri()}"
        )


def experiment_ids(client: MlflowClient) -> list[str]:
    """Ids of all active experiments of tgsr, however many there are."""
    found = client.search_experiments(max_results=_MOST, filter_string=_OURS)
    return [str(one.experiment_id) for one in found]


def search_runs(
    client: MlflowClient, experiment_ids: Sequence[str], condition: str, view: str = "active_only"
) -> Iterator[Run]:
    """Search runs, page by page, newest first; ``view`` is one of MLflow's: also ``"deleted_only"``, ``"all"``.

    Raises
    ------
    TrackingError
        If the store cannot be searched.
    """
    from mlflow.entities import ViewType

    kind = ViewType.from_string(view)
    token: str | None = ""
    while token is not None and experiment_ids:
        with storage_errors(client.tracking_uri, "runs cannot be searched"):
            page = client.search_runs(list(experiment_ids), condition, kind, max_results=5000, page_token=token or None)
        yield from page
        token = page.token or None


def retry(call: Callable[[], T]) -> T:
    """Make a call again where MLflow refuses it: it looks first and inserts then, and loses to who inserts between."""
    from mlflow.exceptions import MlflowException

    for attempt in range(1, 5):
        try:
            return call()
        except MlflowException:
            time.sleep(0.1 * attempt)
    return call()


def local_artifact_folder(location: str) -> Path | None:
    """The folder of an artifact location on this machine, or None if it is elsewhere."""
    parsed = urlparse(location)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(location) if parsed.scheme == "" else None
