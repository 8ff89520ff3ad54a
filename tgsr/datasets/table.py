"""A user's own database: a CSV with a line for each clip."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tgsr.datasets.clips import ClipCollection
from tgsr.datasets.sheet import Row, read_sheet
from tgsr.datasets.tree import Collector, existing_folder
from tgsr.errors import DataError
from tgsr.protocols import CLASS_NAMES

__all__ = ["LabelMap", "load_table", "read_label_map"]

LabelMap = Mapping[str, str] | str | os.PathLike[str]

_TRUE, _FALSE = {"1", "yes", "true", ""}, {"0", "no", "false"}


def read_label_map(label_map: LabelMap) -> dict[str, str]:
    """A label map: a mapping as it is, or a CSV with the columns ``label`` and ``class``.

    Labels are lower case. An empty class leaves a label out.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it lacks a column, or maps a label twice.
    """
    if isinstance(label_map, Mapping):
        return {str(label).strip().lower(): str(target).strip() for label, target in label_map.items()}
    sheet = read_sheet(label_map, ("label", "class"))
    mapping: dict[str, str] = {}
    for row in sheet.rows:
        label, target = row.text("label").lower(), row.text("class")
        if mapping.setdefault(label, target) != target:
            raise DataError(f"{sheet.path}: row {row.number} maps {label!r} to {target!r} and to {mapping[label]!r}")
    return mapping


def load_table(
    database: str,
    table: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    label_map: LabelMap | None = None,
) -> ClipCollection:
    """Find the clips that a CSV lists.

    Parameters
    ----------
    database : str
        Name for the database.
    table : path
        Columns ``clip`` (a folder of frames or a video file, relative to ``root``) and ``label``; and, if known,
        ``subject``, ``onset``, ``offset`` (frame numbers; both count), ``cropped`` (yes or no; default yes).
    root : path, optional
        By default the table's folder. Clips outside it are skipped.
    label_map : mapping or path, optional
        Label → class; see `read_label_map`.

    Raises
    ------
    MissingDataError
        If the table or the folder is not there.
    DataError
        If the table cannot be used.
    """
    table = Path(table)
    sheet = read_sheet(table, ("clip", "label"))
    folder = existing_folder(root if root is not None else table.parent)
    mapping = read_label_map(label_map) if label_map is not None else None
    collector = Collector(database, folder, cropped=True)
    outside: Counter[str] = Counter()
    repeated = Counter(row.text("clip") for row in sheet.rows)
    for row in sheet.rows:
        label = row.text("label")
        target = label if mapping is None else mapping.get(label.lower())
        if not target:
            if target is None or not label:
                collector.skip(row.text("clip"), table, f"row {row.number}: label {label!r} is not in the label map")
            else:
                outside[label] += 1
            continue
        _add_row(collector, table, row, target, several=repeated[row.text("clip")] > 1)
    if outside:
        counted = ", ".join(f"{count} {label}" for label, count in sorted(outside.items()))
        collector.notes.append(f"{table}: left out by the label map: {counted}")
    return collector.finish(_class_names(collector))


def _add_row(collector: Collector, table: Path, row: Row, label: str, several: bool) -> None:
    name = row.text("clip")
    path = collector.root / name
    onset, offset = row.integer("onset"), row.integer("offset")
    clip_id = f"{name}@{onset or ''}-{offset or ''}" if several else name
    cropped = row.text("cropped").lower()
    problem = None
    if not name:
        problem = "no clip named"
    elif cropped not in _TRUE | _FALSE:
        problem = f"cropped must be yes or no, got {cropped!r}"
    elif (row.text("onset") and onset is None) or (row.text("offset") and offset is None):
        problem = f"onset {row.text('onset')!r} and offset {row.text('offset')!r} must be frame numbers"
    elif onset is not None and offset is not None and offset <= onset:
        problem = f"offset {offset} is not after onset {onset}"
    elif not path.exists():
        problem = f"{path} is not there"
    if problem is not None:
        collector.skip(clip_id or "?", table, f"row {row.number}: {problem}")
        return
    collector.add(clip_id, path, row.text("subject") or None, label, onset, offset, cropped=cropped in _TRUE, cut=True)


def _class_names(collector: Collector) -> tuple[str, ...]:
    """The protocol's classes where they suffice, else the table's own, sorted."""
    labels = {clip.label for clip in collector.clips.values()}
    if labels <= set(CLASS_NAMES):
        return CLASS_NAMES
    names = tuple(sorted(labels))
    collector.notes.append(f"own classes: {', '.join(names)}; a label map is needed to pair it with the four databases")
    return names
