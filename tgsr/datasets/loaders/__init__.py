"""The clips of any database: those delivered with a sheet or in folders of emotions, of other packages, of one's own.

A loader of one's own is a callable ``load(root, annotations, label_map) -> ClipCollection``, registered by an entry
point of the group ``tgsr.loaders`` whose name is the database's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap, clip_list, load_folder, load_table
from tgsr.datasets._sheet import read_sheet
from tgsr.datasets.clips import ClipCollection
from tgsr.datasets.loaders.coded import CODED
from tgsr.datasets.loaders.smic import load_smic
from tgsr.errors import DataError, MissingDataError, ParameterError, ProtocolError, TgsrError
from tgsr.protocols import check_database, database_name

__all__ = ["GROUP", "LOADERS", "Loader", "canonical_name", "find_loader", "load_clips", "loader_name"]

Loader = Callable[[Path, Path | None, LabelMap | None], ClipCollection]

GROUP = "tgsr.loaders"
"""The entry point group of other packages' loaders."""

LOADERS: dict[str, Loader] = {
    **{name: partial(load_smic, name) for name in ("SMIC_HS", "SMIC_VIS", "SMIC_NIR")},
    **{database.name: database.load for database in CODED},
}


def loader_name(database: str) -> str | None:
    """The name of a database that has a loader, given in any case or as it is written, such as ``CAS(ME)^2``."""
    try:
        return database_name(database)
    except ProtocolError:
        text = database.strip().upper().replace("²", "2").replace("³", "3")
        key = re.sub(r"[^A-Z0-9]+", "_", text).strip("_")
        others = {entry.name.upper(): entry.name for entry in entry_points(group=GROUP)}
        return key if key in LOADERS else others.get(key)


def canonical_name(database: str) -> str:
    """The name that a database is written under: that of a loader where it means one, else the user's own, checked."""
    return loader_name(database) or check_database(database)


def find_loader(name: str) -> Loader:
    """The loader of a database, by the name that `loader_name` gives.

    One of another package that cannot be imported is a `ParameterError`.
    """
    if name in LOADERS:
        return LOADERS[name]
    (entry,) = entry_points(group=GROUP, name=name)
    try:
        return partial(entry.load())
    except (ImportError, AttributeError) as error:
        raise ParameterError(f"loader {entry.value} of database {name} cannot be imported: {error}") from error


def load_clips(
    database: str,
    root: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    label_map: LabelMap | None = None,
) -> ClipCollection:
    """Find the clips of a database on disk; no frame is read.

    Parameters
    ----------
    database : str
        One that has a loader (`tgsr.datasets.loaders.LOADERS`), in any case; or any name for a user's own.
    root : path
        The folder that holds the database as it is delivered, cropped or raw.
    annotations : path, optional
        The annotation sheet, where it is not found by itself; or a CSV with the columns ``clip`` and ``label``, which
        then decides alone what the clips are (see `tgsr.datasets._clip_list.load_table`). For a user's own database, by
        default ``clips.csv`` in ``root``; without it, all clips below ``root`` are a target without labels.
    label_map : str, mapping or path, optional
        Emotion or label → class; or the name of a protocol that has such a map for the database: ``cdmer`` (the
        default), ``megc2019``.

    Returns
    -------
    ClipCollection
        Usable clips; what was skipped, naming the file and the reason; and notes: files passed over, numbers of clips
        that differ from the protocol's, corrected mistakes of the sheets.

    Raises
    ------
    MissingDataError
        If the folder, the database in it, or a sheet that is needed is not there.
    DataError
        If a sheet is damaged or lacks a column, or the folder holds the database twice.
    ParameterError
        If there is no such label map for the database.
    ProtocolError
        If the name of one's own database has other characters than letters, digits, ``_`` and ``.``.
    """
    known, root = loader_name(database), Path(root)
    annotations = None if annotations is None else Path(annotations)
    try:
        table = _table(root, annotations, known is not None)
        if table is not None:
            return load_table(canonical_name(database), table, None if root == table else root, label_map)
        if known is not None:
            return find_loader(known)(root, annotations, label_map)
        collection = load_folder(canonical_name(database), root)
        note = f"{root}: no clips.csv, so its clips are a target without labels"
        return replace(collection, notes=(*collection.notes, note))
    except TgsrError:
        raise
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error


def _table(root: Path, annotations: Path | None, known: bool) -> Path | None:
    """The CSV that lists the clips, if that is how this database is described."""
    named = clip_list(root)
    if annotations is None or named == root:
        return named if not known or named == root else None
    if not known and not annotations.is_file():
        raise MissingDataError(f"{annotations}: no such table; it needs the column clip and, where known, label")
    if known:
        try:
            read_sheet(annotations, ("clip", "label"))
        except TgsrError:  # the database's own sheet, or one that its loader will say what is wrong with
            return None
    return annotations
