"""Finding databases in a folder, whichever of the known formats they are in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import SUFFIX, feature_file_name, is_feature_file, load_features
from tgsr.datasets.released import is_released_name, load_released, released_databases
from tgsr.errors import DataError, MissingDataError, ProtocolError
from tgsr.protocols import Experiment, database_name

__all__ = ["DatabasePair", "Found", "find_damaged", "find_databases", "load_database", "load_pair"]


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

    @property
    def is_generated(self) -> bool:
        """Whether either database is generated."""
        return self.source.is_generated or self.target.is_generated


def find_databases(folder: str | os.PathLike[str]) -> list[Found]:
    """List the databases in a folder (not its sub-folders), sorted by name; other files are passed over.

    Raises
    ------
    MissingDataError
        If there is no such folder.
    """
    return _scan(folder)[0]


def find_damaged(folder: str | os.PathLike[str]) -> dict[Path, str]:
    """The files in a folder that should hold a database and cannot be read, with the reason, which names the file.

    Raises
    ------
    MissingDataError
        If there is no such folder.
    """
    return _scan(folder)[1]


def _scan(folder: str | os.PathLike[str]) -> tuple[list[Found], dict[Path, str]]:
    """The databases in a folder, and its damaged files; no features are read."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder; --data takes the folder that holds the feature files")
    found: list[Found] = []
    damaged: dict[Path, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            if path.name.endswith(SUFFIX) or (path.suffix == ".npz" and is_feature_file(path)):
                found.append(Found(feature_file_name(path), path, "features"))
            elif path.suffix == ".mat":
                found += [Found(name, path, "released") for name in released_databases(path)]
        except MissingDataError as error:  # a MATLAB file of something else, unless its name says that it is not
            if is_released_name(path):
                damaged[path] = str(error)
        except DataError as error:
            damaged[path] = str(error)
    return sorted(found, key=lambda entry: (entry.name, entry.path.name)), damaged


def load_database(name: str, folder: str | os.PathLike[str]) -> FeatureDataset:
    """Load a database by name or letter from a folder; our own feature files win over released ones.

    Raises
    ------
    MissingDataError
        If the folder does not hold it; the message lists what it holds, and what is damaged.
    DataError
        If the file that holds it is damaged.
    ProtocolError
        If two files of the same format hold it.
    """
    try:
        wanted = database_name(name)
    except ProtocolError:
        wanted = name  # a user's own database: known by the name in its feature file
    found, damaged = _scan(folder)
    for kind in ("features", "released"):
        matches = [entry for entry in found if entry.name == wanted and entry.format == kind]
        if len(matches) > 1:
            files = " and ".join(str(entry.path) for entry in matches)
            raise ProtocolError(f"{wanted} is in {files}; keep one of them in the folder")
        if matches:
            path = matches[0].path
            return load_features(path) if kind == "features" else load_released(path, wanted)
        # a damaged file of our own must not give way to a released one in silence
        own = [reason for path, reason in damaged.items() if path.name == f"{wanted}{SUFFIX}"]
        if own:
            raise DataError(own[0])
    held = ", ".join(f"{entry.name} ({entry.path.name})" for entry in found) or "no feature file"
    hint = "".join(f"; damaged: {reason}" for reason in damaged.values())
    raise MissingDataError(f"{folder}: {wanted} is not there; the folder holds {held}{hint}")


def load_pair(experiment: Experiment, folder: str | os.PathLike[str]) -> DatabasePair:
    """Load both databases of an experiment."""
    return DatabasePair(load_database(experiment.source, folder), load_database(experiment.target, folder))
