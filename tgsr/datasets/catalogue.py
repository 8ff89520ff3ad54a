"""Finding databases in a folder, whichever of the known formats they are in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import feature_file_name, is_feature_file, load_features
from tgsr.datasets.released import load_released, released_variables
from tgsr.errors import DataError, MissingDataError, ProtocolError
from tgsr.protocols import DATABASES, Experiment, database_name

__all__ = ["DatabasePair", "Found", "find_databases", "load_database", "load_pair"]


@dataclass(frozen=True)
class Found:
    """A database found in a folder: its name, its file, and the format (``"released"`` or ``"features"``)."""

    name: str
    path: Path
    format: str


@dataclass(frozen=True)
class DatabasePair:
    """Source and target of one cross-database experiment."""

    source: FeatureDataset
    target: FeatureDataset

    def __post_init__(self) -> None:
        if self.source.class_names != self.target.class_names:
            raise DataError(
                f"{self.source.name} has the classes {self.source.class_names}, "
                f"{self.target.name} has {self.target.class_names}; map them to the same classes first"
            )


def find_databases(folder: str | os.PathLike[str]) -> list[Found]:
    """List the databases in a folder (not its sub-folders), sorted by name; other files are passed over.

    Raises
    ------
    MissingDataError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder; --data takes the folder that holds the feature files")
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz" and is_feature_file(path):
            found.append(Found(feature_file_name(path), path, "features"))
        elif path.suffix == ".mat":
            try:
                variables = released_variables(path)
            except DataError:
                continue  # named again by load_database, if its database is what was asked for
            found += [
                Found(_known(variable.removesuffix("_micro_feature")), path, "released")
                for variable in variables
                if variable.endswith("_micro_feature")
            ]
    return sorted(found, key=lambda entry: (entry.name, entry.path.name))


def load_database(name: str, folder: str | os.PathLike[str]) -> FeatureDataset:
    """Load a database by name or letter from a folder; our own feature files win over released ones.

    Raises
    ------
    MissingDataError
        If the folder does not hold it; the message lists what it holds.
    ProtocolError
        If two files of the same format hold it.
    """
    try:
        wanted = database_name(name)
    except ProtocolError:
        wanted = name  # a user's own database: known by the name in its feature file
    found = find_databases(folder)
    for kind in ("features", "released"):
        matches = [entry for entry in found if entry.name == wanted and entry.format == kind]
        if len(matches) > 1:
            files = " and ".join(str(entry.path) for entry in matches)
            raise ProtocolError(f"{wanted} is in {files}; keep one of them in the folder")
        if matches:
            path = matches[0].path
            return load_features(path) if kind == "features" else load_released(path, wanted)
    held = ", ".join(f"{entry.name} ({entry.path.name})" for entry in found) or "no feature file"
    damaged = [path.name for path in sorted(Path(folder).glob("*.mat")) if _damaged(path)]
    hint = f"; unreadable: {', '.join(damaged)}" if damaged else ""
    raise MissingDataError(f"{folder}: {wanted} is not there; the folder holds {held}{hint}")


def load_pair(experiment: Experiment, folder: str | os.PathLike[str]) -> DatabasePair:
    """Load both databases of an experiment."""
    return DatabasePair(load_database(experiment.source, folder), load_database(experiment.target, folder))


def _known(prefix: str) -> str:
    return prefix.upper() if prefix.upper() in DATABASES.values() else prefix


def _damaged(path: Path) -> bool:
    try:
        released_variables(path)
    except DataError:
        return True
    return False
