"""Where results are kept: a home folder by default, or the tracking server that the user names."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse, urlsplit, urlunsplit
from urllib.request import urlopen

from tgsr.errors import TgsrError, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "TrackingConfig",
    "ask_server",
    "ensure_experiment",
    "is_server",
    "local_artifact_folder",
    "masked",
    "open_client",
    "resolve_config",
    "retry",
    "sqlite_path",
    "storage_errors",
    "storage_problem",
]

T = TypeVar("T")
DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
_SQLITE = "sqlite:///"
_PATIENCE_SECONDS = 30.0
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class TrackingConfig:
    """The folder of what is kept locally, and MLflow's tracking URI, which may hold a password: show `masked` of it."""

    home: Path
    tracking_uri: str

    @property
    def ui_hint(self) -> str:
        """How to open MLflow's pages; a password is left to the environment."""
        if is_server(self.tracking_uri):
            return masked(self.tracking_uri)
        secret = masked(self.tracking_uri) != self.tracking_uri
        address = '"$MLFLOW_TRACKING_URI"' if secret else shlex.quote(self.tracking_uri)
        return f"mlflow ui --backend-store-uri {address}   then http://127.0.0.1:5000"

    @property
    def option(self) -> str:
        """What a command typed here needs to find this place: ``--home …`` after a space, or nothing."""
        return "" if resolve_config() == self else f" --home {shlex.quote(str(self.home))}"

    @property
    def variable(self) -> str:
        """The same before MLflow's own commands: ``MLFLOW_TRACKING_URI=…`` and a space, or nothing."""
        known = os.environ.get("MLFLOW_TRACKING_URI") == self.tracking_uri
        return "" if known else f"MLFLOW_TRACKING_URI={shlex.quote(masked(self.tracking_uri))} "

    @property
    def artifact_root(self) -> str | None:
        """Artifact folder of new experiments, as a URI; None leaves the choice to a tracking server."""
        own = None if is_server(self.tracking_uri) else (self.home / ARTIFACTS).as_uri()
        return os.environ.get("TGSR_ARTIFACT_ROOT", own)


def resolve_config(home: str | os.PathLike[str] | None = None, tracking_uri: str | None = None) -> TrackingConfig:
    """Find the home folder and the tracking URI.

    The home folder is ``home``, else ``TGSR_HOME``, else the current folder. The tracking URI is ``tracking_uri``,
    else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the home folder: the place where ``mlflow ui``, started there,
    looks by itself.

    Raises
    ------
    TrackingError
        If the tracking URI is a plain folder.
    """
    folder = Path(home or os.environ.get("TGSR_HOME") or ".").expanduser().resolve()
    # `mlflow run` hands its own default down: an explicit home folder goes before it only outside of a project run
    inherited = os.environ.get("MLFLOW_TRACKING_URI") if home is None or "MLFLOW_RUN_ID" in os.environ else None
    return TrackingConfig(folder, _absolute(tracking_uri or inherited or f"{_SQLITE}{folder / DATABASE}"))


def is_server(tracking_uri: str) -> bool:
    """Whether it is a tracking server's address, not a database's."""
    return tracking_uri.startswith(("http://", "https://"))


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite database, None for anything else."""
    return Path(tracking_uri.removeprefix(_SQLITE)) if tracking_uri.startswith(_SQLITE) else None


def _absolute(uri: str) -> str:
    """A relative SQLite path means another database in every folder: make it absolute once."""
    path = sqlite_path(uri)
    if path is not None:
        return _SQLITE + str(path.resolve())
    if "://" not in uri:
        raise TrackingError(
            f"tracking URI {uri!r}: plain folders are no longer supported by MLflow; use sqlite:///{uri}/mlflow.db"
        )
    return uri


# up to the last @, since a password may hold one, or a slash; files have no user, and may have an @ in their names
_USER = re.compile(r"(?<=://)(?<!sqlite://)(?<!file://)[^\s'\"<>]*@")
_SECRET = re.compile(
    r"([?&][^\s'\"<>=&#]*(?:user|pass|pwd|token|secret|key|sig|cred|auth)[^\s'\"<>=&#]*=)[^\s'\"<>&#]*", re.IGNORECASE
)


def masked(text: str) -> str:
    """Give a URL, or a text with URLs in it, without user names, passwords and other credentials in the URLs."""
    return _SECRET.sub(r"\1…", _USER.sub("…@", text))


def open_client(tracking_uri: str, *, create: bool = True) -> MlflowClient:
    """Open MLflow's client, with a SQLite database in write-ahead mode, which is made unless ``create`` is False.

    Raises
    ------
    TrackingError
        If the server or database cannot be reached or opened, or is not there.
    """
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    database = sqlite_path(tracking_uri)
    if database is not None and not create and not database.exists():
        raise TrackingError(
            f"{database} is not there, so there is no study yet: run one, or name the place with --home, TGSR_HOME or "
            "MLFLOW_TRACKING_URI"
        )
    if is_server(tracking_uri):
        _check_server(tracking_uri)
    elif database is not None and database.exists():
        with storage_errors(tracking_uri):
            _write_ahead(database)  # before MLflow, which tries for half a minute to open what is no database
    import mlflow

    # its notes on new tables and checked examples are no news to a user
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri)
    with storage_errors(tracking_uri, "it cannot be opened as a tracking store"):
        if database is not None and not database.exists():
            _make_database(database)
            _write_ahead(database)
        client = mlflow.MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
    return client


_STORES = ("sqlite3", "sqlalchemy", "alembic", "mlflow", "pyarrow")
"""Packages whose errors are read for what is wrong with the place."""
_CAUSES = (
    (
        r"error code 401",
        "the server asks who you are",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    (
        r"error code 403",
        "the server does not permit this",
        "ask its administrator for the permission EDIT on the experiment",
    ),
    (r"no space left|disk is full|disk quota|file too large", "the disk is full", "free some space"),
    (
        r"readonly database|read-only|permission denied|unable to open database",
        "it is not writable",
        "make file and folder writable, or choose another place with --home",
    ),
    (r"database is locked", "another program keeps the database locked", "end that program"),
    (
        r"not a database|malformed",
        "the file is no (or a damaged) SQLite database",
        "move it away or restore it from a backup, or choose another place with --home",
    ),
)


@contextmanager
def storage_errors(where: str, otherwise: str | None = "it cannot be used as a tracking store") -> Iterator[None]:
    """Turn what databases, files and MLflow raise into one line: what is full or not writable, and what is safe.

    Parameters
    ----------
    where : str
        Tracking URI or folder that is written to.
    otherwise : str, optional
        What to say of an error of another kind; None lets it pass.

    Raises
    ------
    TrackingError
    """
    try:
        yield
    except TgsrError:
        raise
    except Exception as error:  # MLflow wraps; SQLAlchemy, requests and artifact stores raise their own
        path = sqlite_path(where)
        what = str(path) if path else masked(where)
        line = storage_problem(error, what)
        if line is None and otherwise is None:
            raise
        raise TrackingError(line or f"{what}: {otherwise} ({masked(str(error)).strip().splitlines()[0]})") from error


def storage_problem(error: BaseException, what: str = "") -> str | None:
    """One line on a place that is full, not writable, locked, damaged or closed to us; None on any other error.

    Parameters
    ----------
    error : exception
    what : str, optional
        The place, where the error does not name it.
    """
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _STORES:
        return None
    at = error.filename if isinstance(error, OSError) and error.filename else what
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, str(error), re.IGNORECASE):
            start = f"{at}: " if at else ""
            return f"{start}{cause}; {remedy}, then run the same command again: finished trials are safe"
    return None


def ask_server(uri: str) -> Mapping[str, str]:
    """Ask a tracking server whether it is there, without its user and password; returns its answer's headers."""
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health", query="")
    try:
        answer = urlopen(urlunsplit(bare), timeout=10)
    except HTTPError as error:  # an answer, if only to say who may come in
        answer = error
    with answer:
        return {key.lower(): value for key, value in answer.headers.items()}


def _check_server(uri: str) -> None:
    """Find out in seconds that no server answers: MLflow's own client tries for minutes."""
    try:
        ask_server(uri)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLError):
            return  # whether the certificate counts is MLflow's to decide
        raise TrackingError(
            f"{masked(uri)}: no tracking server answers ({masked(str(getattr(error, 'reason', error)))}); start "
            "`mlflow server`, or change MLFLOW_TRACKING_URI"
        ) from error


def _make_database(path: Path) -> None:
    """Make MLflow's SQLite database, whole or not at all.

    MLflow builds a new database in many steps; one that was killed between them can never be opened again.
    """
    from mlflow.store.tracking import sqlalchemy_store

    untyped: Any = sqlalchemy_store
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as temporary:
        fresh = Path(temporary) / path.name
        store = untyped.SqlAlchemyStore(f"sqlite:///{fresh}", (path.parent / ARTIFACTS).as_uri())
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


def ensure_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """Return the id of an MLflow experiment, created once even if several processes ask for it.

    Raises
    ------
    TrackingError
        If an experiment of that name was deleted.
    """

    def find_or_create() -> str:
        found = client.get_experiment_by_name(name)
        if found is None:
            location = None if artifact_root is None else f"{artifact_root.rstrip('/')}/{name}"
            return str(client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"the MLflow experiment {name!r} was deleted; restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or use another home folder"
            )
        return str(found.experiment_id)

    return retry(find_or_create)


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
