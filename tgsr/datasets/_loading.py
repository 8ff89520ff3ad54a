"""One call that finds the clips of any database."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap, clip_list, load_folder, load_table
from tgsr.datasets._clips import ClipCollection
from tgsr.datasets._sheet import read_sheet
from tgsr.datasets.loaders import canonical_name, find_loader, loader_name
from tgsr.errors import DataError, MissingDataError, TgsrError

__all__ = ["load_clips"]


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
    known = loader_name(database)
    try:
        table = _table(root, annotations, known is not None)
        if table is not None:
            folder = None if Path(root) == table else root
            return load_table(canonical_name(database), table, folder, label_map)
        if known is None:
            collection = load_folder(canonical_name(database), root)
            note = f"{root}: no clips.csv, so its clips are a target without labels"
            return replace(collection, notes=(*collection.notes, note))
        return find_loader(known)(Path(root), None if annotations is None else Path(annotations), label_map)
    except TgsrError:
        raise
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error


def _table(root: str | os.PathLike[str], annotations: str | os.PathLike[str] | None, known: bool) -> Path | None:
    """The CSV that lists the clips, if that is how this database is described."""
    named = clip_list(Path(root))
    if annotations is None or named == Path(root):
        return named if not known or named == Path(root) else None
    path = Path(annotations)
    if not known:
        if path.is_file():
            return path
        raise MissingDataError(f"{path}: no such table; it needs the column clip and, where known, label")
    try:
        read_sheet(path, ("clip", "label"))
    except TgsrError:  # the database's own sheet, or one that its loader will say what is wrong with
        return None
    return path
