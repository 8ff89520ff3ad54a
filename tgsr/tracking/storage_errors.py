"""What databases, files and MLflow raise, in one line: what is full or not writable, and what is safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tgsr.errors import TgsrError, TrackingError
from tgsr.stopping import shielded

__all__ = ["SQLITE", "masked", "sqlite_path", "storage_errors", "storage_problem"]

SQLITE = "sqlite:///"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite database, None for anything else."""
    return Path(tracking_uri.removeprefix(SQLITE)) if tracking_uri.startswith(SQLITE) else None


# up to the last @, since a password may hold one, or a slash; files have no user, and may have an @ in their names
_USER = re.compile(r"(?<=://)(?<!sqlite://)(?<!file://)[^\s'\"<>]*@")
_SECRET = re.compile(
    r"([?&][^\s'\"<>=&#]*(?:user|pass|pwd|token|secret|key|sig|cred|auth)[^\s'\"<>=&#]*=)[^\s'\"<>&#]*", re.IGNORECASE
)


def masked(text: str) -> str:
    """Give a URL, or a text with URLs in it, without user names, passwords and other credentials in the URLs."""
    return _SECRET.sub(r"\1…", _USER.sub("…@", text))


_STORES = ("sqlite3", "sqlalchemy", "alembic", "mlflow", "pyarrow")
"""Packages whose errors are read for what is wrong with the place."""
_CAUSES = {
    r"error code 401": "the server asks who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    r"error code 403": (
        "the server does not permit this; ask its administrator for the permission EDIT on the experiment"
    ),
    r"no space left|disk is full|disk quota|file too large": "the disk is full; free some space",
    r"readonly database|read-only|permission denied|unable to open database": (
        "it is not writable; make file and folder writable, or choose another place with --home"
    ),
    r"database is locked": "another program keeps the database locked; end that program",
    r"not a database|malformed": (
        "the file is no (or a damaged) SQLite database; move it away or restore it from a backup, or choose another "
        "place with --home"
    ),
}


@contextmanager
def storage_errors(where: str, otherwise: str | None = "it cannot be used as a tracking store") -> Iterator[None]:
    """Turn what databases, files and MLflow raise into one line: what is full or not writable, and what is safe.

    A Ctrl-C waits for the end of the block: it must not fall into a transaction.

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
        with shielded():
            yield
    except TgsrError:
        raise
    except Exception as error:  # MLflow wraps; SQLAlchemy, requests and artifact stores raise their own
        what = str(sqlite_path(where) or masked(where))
        line = storage_problem(error, what)
        if line is None and otherwise is None:
            raise
        raise TrackingError(line or f"{what}: {otherwise} ({masked(str(error)).strip().splitlines()[0]})") from error


def storage_problem(error: BaseException, what: str = "") -> str | None:
    """One line on a place that is full, not writable, locked, damaged or closed to us; None on any other error.

    ``what`` is the place, where the error does not name it.
    """
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _STORES:
        return None
    at = getattr(error, "filename", None) or what
    cause = next((cause for pattern, cause in _CAUSES.items() if re.search(pattern, str(error), re.IGNORECASE)), None)
    if cause is None:
        return None
    return f"{at}{': ' * bool(at)}{cause}, then run the same command again: finished trials are safe"
