"""One call that finds the clips of any database."""

from __future__ import annotations

import os
from pathlib import Path

from tgsr.datasets.clips import ClipCollection
from tgsr.datasets.table import LabelMap, load_table, read_label_map
from tgsr.errors import DataError, MissingDataError, ParameterError, ProtocolError, TgsrError
from tgsr.protocols import database_name

__all__ = ["load_clips"]

_TABLE = "clips.csv"


def load_clips(
    database: str,
    root: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    label_map: LabelMap | None = None,
) -> ClipCollection:
    """Find the labelled clips of a database on disk; no frame is read.

    Parameters
    ----------
    database : str
        One of the four databases by name or letter, or any name for a user's own.
    root : path
        The folder that holds the database as it is delivered, cropped or raw.
    annotations : path, optional
        The annotation sheet, where it is not found by itself; or a CSV with the columns ``clip`` and ``label``, which
        then decides alone what the clips are (see `tgsr.datasets.table.load_table`). A user's own database needs
        one, by default ``clips.csv`` in ``root``.
    label_map : mapping or path, optional
        Label → class, for CASME II and for tables.

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
        If a label map is given for SMIC, whose folders are the labels.
    """
    try:
        return _load(database, root, annotations, label_map)
    except TgsrError:
        raise
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error


def _load(
    database: str,
    root: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None,
    label_map: LabelMap | None,
) -> ClipCollection:
    try:
        name, known = database_name(database), True
    except ProtocolError:
        name, known = database, False
    table = _table(root, annotations, known)
    if table is not None:
        folder = None if Path(root) == table else root
        return load_table(name, table, folder, label_map)
    if name == "CASME2":
        from tgsr.datasets.casme2 import load_casme2

        return load_casme2(root, annotations, None if label_map is None else read_label_map(label_map))
    from tgsr.datasets.smic import load_smic

    if label_map is not None:
        raise ParameterError("a label map is of no use for SMIC: its folders are negative, positive and surprise")
    return load_smic(name, root, annotations)


def _table(root: str | os.PathLike[str], annotations: str | os.PathLike[str] | None, known: bool) -> Path | None:
    """The CSV that lists the clips, if that is how this database is described."""
    if Path(root).suffix.lower() == ".csv":
        return Path(root)
    if not known:
        path = Path(annotations) if annotations is not None else Path(root) / _TABLE
        if not path.is_file():
            raise MissingDataError(
                f"{path}: no such table; a database of your own needs a CSV with the columns clip and label"
            )
        return path
    if annotations is None or Path(annotations).suffix.lower() != ".csv" or not Path(annotations).is_file():
        return None
    with Path(annotations).open(encoding="utf-8-sig", errors="replace") as stream:
        columns = {name.strip().lower() for name in stream.readline().split(",")}
    return Path(annotations) if {"clip", "label"} <= columns else None
