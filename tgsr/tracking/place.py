"""Where results are kept: a home folder by default, or the tracking server that the user names."""

from __future__ import annotations

import logging
import os
import shlex
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse
from urllib.request import urlopen

from tgsr.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Place", "ensure_experiment", "local_artifact_folder", "open_client", "resolve_place"]

DATABASE, ARTIFACTS, JOURNAL = "mlflow.db", "mlruns", "optuna.journal"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Place:
    """A home folder with the addresses that follow from it.

    Attributes
    ----------
    home : Path
        Absolute folder for what is kept locally.
    tracking_uri : str
        MLflow's tracking URI.
    """

    home: Path
    tracking_uri: str

    @property
    def storage(self) -> str:
        """Optuna's embedded storage: a journal file in the home folder."""
        return str(self.home / JOURNAL)

    @property
    def ui_hint(self) -> str:
        """How to open MLflow's pages."""
        if self.tracking_uri.startswith(("http://", "https://")):
            return self.tracking_uri
        return f"mlflow ui --backend-store-uri {self.tracking_uri}   then http://127.0.0.1:5000"

    @property
    def option(self) -> str:
        """What a command typed here needs to find this place: ``--home …`` after a space, or nothing."""
        return "" if resolve_place() == self else f" --home {shlex.quote(str(self.home))}"

    @property
    def variable(self) -> str:
        """The same before MLflow's own commands: ``MLFLOW_TRACKING_URI=…`` and a space, or nothing."""
        known = os.environ.get("MLFLOW_TRACKING_URI") == self.tracking_uri
        return "" if known else f"MLFLOW_TRACKING_URI={shlex.quote(self.tracking_uri)} "

    @property
    def artifact_root(self) -> str | None:
        """Absolute artifact folder of new experiments; None leaves the choice to a tracking server."""
        if self.tracking_uri.startswith(("http://", "https://")):
            return os.environ.get("TGSR_ARTIFACT_ROOT")
        return os.environ.get("TGSR_ARTIFACT_ROOT", (self.home / ARTIFACTS).as_uri())


def resolve_place(home: str | os.PathLike[str] | None = None, tracking_uri: str | None = None) -> Place:
    """Find the home folder and the tracking URI.

    The home folder is ``home``, else ``TGSR_HOME``, else the current folder. The tracking URI is ``tracking_uri``,
    else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the home folder: the place where ``mlflow ui``, started there,
    looks by itself.
    """
    folder = Path(home or os.environ.get("TGSR_HOME") or ".").expanduser().resolve()
    explicit_home = home is not None or bool(os.environ.get("TGSR_HOME"))
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    # `mlflow run` hands its own default down: an explicit home folder goes before it only outside of a project run
    if uri is None or (
        tracking_uri is None and home is not None and explicit_home and "MLFLOW_RUN_ID" not in os.environ
    ):
        uri = f"sqlite:///{folder / DATABASE}"
    return Place(folder, _absolute(uri))


def _absolute(uri: str) -> str:
    """A relative SQLite path means another database in every folder: make it absolute once."""
    if uri.startswith(_SQLITE) and not uri.startswith(_SQLITE + "/"):
        return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).resolve())
    if "://" not in uri:
        raise TrackingError(
            f"tracking URI {uri!r}: plain folders are no longer supported by MLflow; use sqlite:///{uri}/mlflow.db"
        )
    return uri


def open_client(tracking_uri: str, *, create: bool = True) -> MlflowClient:
    """Open MLflow's client, with a SQLite database in write-ahead mode.

    Parameters
    ----------
    tracking_uri : str
    create : bool
        Make a SQLite database that is not there; False for what only reads.

    Raises
    ------
    TrackingError
        If the server or database cannot be reached or opened, or is not there.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    database = Path(tracking_uri.removeprefix(_SQLITE)) if tracking_uri.startswith(_SQLITE) else None
    if database is not None and not create and not database.exists():
        raise TrackingError(
            f"{database} is not there, so there is no study yet: run one, or name the place with --home, TGSR_HOME or "
            "MLFLOW_TRACKING_URI"
        )
    if tracking_uri.startswith(("http://", "https://")):
        _check_server(tracking_uri)
    import mlflow

    # its notes on new tables and checked examples are no news to a user
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri)
    try:
        if database is not None:
            _make_database(database)
        client = mlflow.MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
        if database is not None:
            _write_ahead(str(database))
    except Exception as error:  # MLflow wraps, SQLAlchemy and requests raise their own
        raise TrackingError(f"{_shown(tracking_uri)} cannot be opened as a tracking store: {error}") from error
    return client


def _check_server(uri: str) -> None:
    """Find out in seconds that no server answers: MLflow's own client tries for minutes."""
    try:
        urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except HTTPError:
        pass  # an answer, if only to say who may come in
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLError):
            return  # whether the certificate counts is MLflow's to decide
        raise TrackingError(
            f"{_shown(uri)}: no tracking server answers ({getattr(error, 'reason', error)}); start `mlflow server`, or "
            "change MLFLOW_TRACKING_URI"
        ) from error


def _make_database(path: Path) -> None:
    """Make MLflow's SQLite database, whole or not at all.

    MLflow builds a new database in many steps; one that was killed between them can never be opened again.
    """
    if path.exists():
        return
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


def _write_ahead(database: str) -> None:
    import sqlite3

    connection = sqlite3.connect(database, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def ensure_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """Return the id of an MLflow experiment, created once even if several processes ask for it.

    Raises
    ------
    TrackingError
        If an experiment of that name was deleted.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(5):
        found = client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage != "active":
                raise TrackingError(
                    f"the MLflow experiment {name!r} was deleted; restore it with "
                    f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or use another home folder"
                )
            return str(found.experiment_id)
        location = None if artifact_root is None else f"{artifact_root.rstrip('/')}/{name}"
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            if attempt == 4:  # not the race with another process: that one ends in found
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def local_artifact_folder(location: str) -> Path | None:
    """The folder of an artifact location on this machine, or None if it is elsewhere."""
    parsed = urlparse(location)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    if parsed.scheme == "":
        return Path(location)
    return None


def _shown(uri: str) -> str:
    """The URI without a password."""
    parsed = urlparse(uri)
    return uri.replace(f":{parsed.password}@", ":…@") if parsed.password else uri
