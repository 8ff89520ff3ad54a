"""Where results are kept: a home folder by default, or the tracking server that the user names."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from tgsr.errors import TrackingError
from tgsr.tracking.storage_errors import SQLITE, masked, sqlite_path

__all__ = ["ARTIFACTS", "TrackingConfig", "is_server", "resolve_config"]

_DATABASE, ARTIFACTS = "mlflow.db", "mlruns"


@dataclass(frozen=True)
class TrackingConfig:
    """The folder of what is kept locally, and MLflow's tracking URI, which may hold a password: show `masked` of it."""

    home: Path
    tracking_uri: str

    @property
    def ui_command(self) -> str:
        """The command that shows MLflow's pages; a password is left to the environment. Empty for a server."""
        if is_server(self.tracking_uri):
            return ""
        secret = masked(self.tracking_uri) != self.tracking_uri
        address = '"$MLFLOW_TRACKING_URI"' if secret else shlex.quote(self.tracking_uri)
        return f"mlflow ui --backend-store-uri {address}"

    @property
    def ui_address(self) -> str:
        """Where MLflow's pages are: the server's address, or that of `ui_command`."""
        return masked(self.tracking_uri).rstrip("/") if is_server(self.tracking_uri) else "http://127.0.0.1:5000"

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
        """Artifact folder of new experiments, as a URI; None leaves the choice to a tracking server.

        It is beside a SQLite database, so that both are copied together; for other databases it is in the home folder.
        """
        database = sqlite_path(self.tracking_uri)
        folder = self.home if database is None else database.parent
        own = None if is_server(self.tracking_uri) else (folder / ARTIFACTS).as_uri()
        return os.environ.get("TGSR_ARTIFACT_ROOT", own)


def resolve_config(home: str | os.PathLike[str] | None = None, tracking_uri: str | None = None) -> TrackingConfig:
    """Find the home folder and the tracking URI.

    The home folder is ``home``, else ``TGSR_HOME``, else the current folder. The tracking URI is ``tracking_uri``,
    else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the home folder: the place where ``mlflow ui``, started there,
    looks by itself.

    Raises
    ------
    TrackingError
        If the tracking URI is a plain folder, or a folder's name holds ``%``, ``?`` or ``#``.
    """
    folder = Path(home or os.environ.get("TGSR_HOME") or ".").expanduser().resolve()
    # `mlflow run` hands its own default down: an explicit home folder goes before it only outside of a project run
    inherited = os.environ.get("MLFLOW_TRACKING_URI") if home is None or "MLFLOW_RUN_ID" in os.environ else None
    uri = tracking_uri or inherited or f"{SQLITE}{folder / _DATABASE}"
    database = sqlite_path(uri)
    if database is not None:  # a relative path means another database in every folder: make it absolute once
        uri = f"{SQLITE}{database.resolve()}"
    elif "://" not in uri:
        raise TrackingError(
            f"tracking URI {uri!r}: plain folders are no longer supported by MLflow; use sqlite:///{uri}/mlflow.db"
        )
    for place in (str(folder), uri if database is not None else ""):
        # MLflow and its database library read these as parts of an address
        if not is_server(uri) and set("%?#") & set(place):
            raise TrackingError(
                f"{place}: MLflow cannot keep results below a folder with %, ? or # in its name; choose another one "
                "with --home"
            )
    return TrackingConfig(folder, uri)


def is_server(tracking_uri: str) -> bool:
    """Whether it is a tracking server's address, not a database's."""
    return tracking_uri.startswith(("http://", "https://"))
