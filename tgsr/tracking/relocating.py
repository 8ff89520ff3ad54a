"""A home folder that was copied or moved: MLflow's database has absolute paths of its old place."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

import sqlalchemy as sa

from tgsr.errors import TrackingError
from tgsr.tracking.config import ARTIFACTS, TrackingConfig
from tgsr.tracking.storage_errors import sqlite_path, storage_errors

__all__ = ["relocate"]

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where the database names artifacts."""


def relocate(config: TrackingConfig) -> int:
    """Let the database name the artifacts beside it; returns how many experiments it had to change.

    Raises
    ------
    TrackingError
        If it is no SQLite database, or the artifacts are not beside it.
    """
    database = sqlite_path(config.tracking_uri)
    if database is None or not database.is_file():
        raise TrackingError(f"{config.home}: no mlflow.db is there to relocate; name the copied folder with --home")
    beside = database.parent / ARTIFACTS
    if not beside.is_dir():
        raise TrackingError(f"{beside} is not there: copy it, too, with its content")
    new, changed = beside.as_uri(), 0
    with storage_errors(config.tracking_uri):
        engine = sa.create_engine(config.tracking_uri, poolclass=sa.NullPool)
        present = set(sa.inspect(engine).get_table_names())
        with engine.begin() as connection:
            roots = {
                root
                for (location,) in connection.execute(sa.text("SELECT artifact_location FROM experiments"))
                if (root := _root(str(location))) is not None and root != new
            }
            for root in sorted(roots):
                for table, column in (one for one in _COLUMNS if one[0] in present):
                    done = connection.execute(
                        sa.text(
                            f"UPDATE {table} SET {column} = :new || substr({column}, :length) WHERE {column} LIKE :old"
                        ),
                        {"new": new, "length": len(root) + 1, "old": f"{root}/%"},
                    )
                    changed += done.rowcount if table == "experiments" else 0
        engine.dispose()
    return changed


def _root(location: str) -> str | None:
    """The artifact root that an experiment's location is below; None for one that is not on this machine."""
    parsed = urlparse(location)
    if parsed.scheme not in ("file", ""):
        return None
    parts = Path(unquote(parsed.path)).parts
    if ARTIFACTS not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index(ARTIFACTS)
    folder = Path(*parts[: last + 1])
    return folder.as_uri() if parsed.scheme == "file" else str(folder)
