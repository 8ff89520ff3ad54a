"""A home folder that was copied or moved: MLflow's database has absolute paths of its old place."""

from __future__ import annotations

import sqlalchemy as sa

from tgsr.errors import TrackingError
from tgsr.tracking.client import local_artifact_folder
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
    new, changed = f"{beside.as_uri()}/", 0
    with storage_errors(config.tracking_uri):
        engine = sa.create_engine(config.tracking_uri, poolclass=sa.NullPool)
        present = set(sa.inspect(engine).get_table_names())
        with engine.begin() as connection:
            locations = connection.execute(sa.text("SELECT artifact_location FROM experiments")).scalars()
            here = (str(one) for one in locations if local_artifact_folder(str(one)) is not None)
            parts = (one.rpartition(f"/{ARTIFACTS}/") for one in here)
            olds = {f"{folder}{name}" for folder, name, _ in parts if name}
            for old in sorted(olds - {new}):
                for table, column in (one for one in _COLUMNS if one[0] in present):
                    move = (
                        f"UPDATE {table} SET {column} = :new || substr({column}, :length + 1) "
                        f"WHERE substr({column}, 1, :length) = :old"
                    )
                    done = connection.execute(sa.text(move), {"new": new, "length": len(old), "old": old})
                    changed += done.rowcount if table == "experiments" else 0
        engine.dispose()
    return changed
