"""Finding databases in a folder, whichever of the known formats they are in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tgsr.datasets._pair import DatabasePair, pool
from tgsr.datasets._released import is_released_name, load_released, released_databases
from tgsr.datasets._tree import is_hidden
from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import SUFFIX, feature_file_name, is_feature_file, load_features
from tgsr.datasets.loaders import loader_name
from tgsr.errors import DataError, MissingDataError, ProtocolError
from tgsr.protocols import database_name

__all__ = ["Found", "check_clash", "find_damaged", "find_databases", "load_database", "load_found", "load_pair"]


@dataclass(frozen=True)
class Found:
    """A database found in a folder: its name, its file, and the format (``"released"`` or ``"features"``)."""

    name: str
    path: Path
    format: str


def find_databases(folder: str | os.PathLike[str]) -> list[Found]:
    """List the databases in a folder (not its sub-folders), sorted by name; other files are passed over.

    A folder that is not there is a `MissingDataError`.
    """
    return _scan(folder)[0]


def find_damaged(folder: str | os.PathLike[str]) -> dict[Path, str]:
    """The files in a folder that should hold a database and cannot be read, with the reason, which names the file."""
    return _scan(folder)[1]


def _scan(folder: str | os.PathLike[str]) -> tuple[list[Found], dict[Path, str]]:
    """The databases in a folder, and its damaged files; no features are read."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder; --data takes the folder that holds the feature files")
    found: list[Found] = []
    damaged: dict[Path, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not is_hidden(path)):
        try:
            if path.name.endswith(SUFFIX) or (path.suffix.lower() == ".npz" and is_feature_file(path)):
                found.append(Found(feature_file_name(path), path, "features"))
            elif path.suffix.lower() == ".mat":
                found += [Found(name, path, "released") for name in released_databases(path)]
        except MissingDataError as error:  # a MATLAB file of something else, unless its name says that it is not
            if is_released_name(path):
                damaged[path] = str(error)
        except DataError as error:
            damaged[path] = str(error)
    return sorted(found, key=lambda entry: (entry.name, entry.path.name)), damaged


def load_database(name: str | os.PathLike[str], folder: str | os.PathLike[str]) -> FeatureDataset:
    """Load a database by name or letter from a folder, or from the feature file named.

    In the folder our own feature files win over released ones.

    Parameters
    ----------
    name : str or path
        A name or letter; or a ``.npz`` or ``.mat`` file, from here or in the folder.
    folder : path

    Raises
    ------
    MissingDataError
        If it is not there; the message lists what the folder holds, and what is damaged.
    DataError
        If the file that holds it is damaged.
    ProtocolError
        If two files of the same format hold it.
    """
    path = Path(name)
    if path.suffix.lower() in (".npz", ".mat"):
        path = path if path.is_file() else Path(folder) / name
        return load_released(path) if path.suffix.lower() == ".mat" else load_features(path)
    found, damaged = _scan(folder)
    wanted = _wanted(str(name), {entry.name for entry in found})
    matches = [entry for entry in found if entry.name == wanted]
    ours = [entry for entry in matches if entry.format == "features"]
    # a damaged file of our own must not give way to a released one in silence
    lost = [reason for path, reason in damaged.items() if path.name == f"{wanted}{SUFFIX}"]
    if lost and not ours:
        raise DataError(lost[0])
    if matches:
        return load_found((ours or matches)[0], matches)
    held = ", ".join(f"{entry.name} ({entry.path.name})" for entry in found) or "no feature file"
    hint = "".join(f"; damaged: {reason}" for reason in damaged.values())
    raise MissingDataError(f"{folder}: {wanted} is not there; the folder holds {held}{hint}")


def load_found(found: Found, beside: Sequence[Found] = ()) -> FeatureDataset:
    """Load a database from the file that `find_databases` found it in; see `load_database` for the errors.

    ``beside``: what else the folder holds, of which none may be the same database in the same format.
    """
    same = [str(entry.path) for entry in beside if (entry.name, entry.format) == (found.name, found.format)]
    if len(same) > 1:
        raise ProtocolError(f"{found.name} is in {' and '.join(same)}; keep one of them in the folder")
    return load_features(found.path) if found.format == "features" else load_released(found.path, found.name)


def check_clash(dataset: FeatureDataset, given: str, path: Path) -> None:
    """Refuse to write a database where its folder has another one of that name, in whatever spelling.

    It is a `ProtocolError` if another file of the folder holds it; or if ``path`` itself does, with other content, and
    ``given`` (how the user spelt the name) is not its name: ``nir`` of one's own must not replace SMIC_NIR.
    """
    for entry in find_databases(path.parent) if path.parent.is_dir() else []:
        if entry.format != "features" or entry.name.casefold() != dataset.name.casefold():
            continue
        if entry.path.name != path.name or entry.name != dataset.name:
            raise ProtocolError(f"{entry.path} holds {entry.name} already; choose another name or folder, or remove it")
        if given != dataset.name and load_found(entry).digest != dataset.digest:
            raise ProtocolError(
                f"{given} means {dataset.name}, and {path} holds another one; choose another name, or replace it with "
                f"--database {dataset.name}"
            )


def _wanted(name: str, held: set[str]) -> str:
    """The name that is meant: one of the four, else one that the folder holds, in any case."""
    try:
        return database_name(name)
    except ProtocolError:
        meant = (name.strip().lower(), str(loader_name(name)).lower())
        alike = {entry for entry in held if entry.lower() in meant}
        return name if name in alike or len(alike) != 1 else alike.pop()


def load_pair(source: str, target: str, folder: str | os.PathLike[str]) -> DatabasePair:
    """Load source and target of a cross-database experiment.

    Parameters
    ----------
    source, target : str
        Names, letters or feature files, see `load_database`. Several sources are joined by ``+``, as in
        ``"CASME2+SAMM"``: see `tgsr.datasets.pool`.
    folder : path
        The folder with the feature files.

    Raises
    ------
    MissingDataError
        If a database is not there.
    DataError
        If a file is damaged, or the databases cannot be paired (see `DatabasePair`).
    ProtocolError
        If the target is also a source.
    """
    names = [source] if Path(source).is_file() else source.split("+")
    pooled = pool([load_database(name, folder) for name in names])
    goal = load_database(target, folder)
    if goal.name in pooled.name.split("+"):
        raise ProtocolError(f"{goal.name} is source and target; name two databases")
    return DatabasePair(pooled, goal)
