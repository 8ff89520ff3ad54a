"""A user's own database: a CSV with a line for each clip, or a folder of clips without labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tgsr.datasets._clips import IMAGE_SUFFIXES, ClipCollection
from tgsr.datasets._sheet import Row, Sheet, read_sheet
from tgsr.datasets._tree import Collector, all_folders, existing_folder, is_cropped, videos
from tgsr.errors import DataError, MissingDataError
from tgsr.names import name_problem
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS

__all__ = ["LabelMap", "load_folder", "load_table", "read_label_map"]

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
    """Find the clips that a CSV lists; its columns are described in this folder's README.md.

    Paths are relative to ``root``, by default the table's folder; clips outside it are skipped. For the label map see
    `read_label_map`.

    Raises
    ------
    MissingDataError, DataError
        If the table or the folder is not there, or the table cannot be used.
    """
    table = Path(table)
    sheet = read_sheet(table, ("clip",))
    labelled = _has_labels(sheet)
    folder = existing_folder(root if root is not None else table.parent)
    mapping = read_label_map(label_map) if label_map is not None else None
    collector = Collector(database, folder, cropped=True)
    outside: Counter[str] = Counter()
    repeated = Counter(row.text("clip") for row in sheet.rows)
    for row in sheet.rows:
        name, label = row.text("clip"), row.text("label")
        target = label if mapping is None else mapping.get(label.lower())
        if target or not labelled:
            _add_row(collector, table, row, target if labelled else None, several=repeated[name] > 1)
        elif target is None or not label:
            collector.skip(name, table, f"row {row.number}: label {label!r} is not in the label map")
        else:
            outside[label] += 1
    if outside:
        counted = ", ".join(f"{count} {label}" for label, count in sorted(outside.items()))
        collector.notes.append(f"{table}: left out by the label map: {counted}")
    return collector.finish(EXPECTED_COUNTS.get(database), "" if mapping is None else "own", _class_names(collector))


def _add_row(collector: Collector, table: Path, row: Row, label: str | None, several: bool) -> None:
    name = row.text("clip")
    path = collector.root / name
    onset, offset = row.integer("onset"), row.integer("offset")
    clip_id = f"{name}@{onset or ''}-{offset or ''}" if several else name
    cropped = row.text("cropped").lower()
    problem = ""
    unsafe = list(filter(None, map(name_problem, (clip_id, label or "", row.text("subject")))))
    if unsafe:
        problem = unsafe[0]
    elif not name:
        problem = "no clip named"
    elif cropped not in _TRUE | _FALSE:
        problem = f"cropped must be yes or no, got {cropped!r}"
    elif (row.text("onset") and onset is None) or (row.text("offset") and offset is None):
        problem = f"onset {row.text('onset')!r} and offset {row.text('offset')!r} must be frame numbers"
    elif not path.exists():
        problem = f"{path} is not there"
    if problem:
        collector.skip(clip_id if clip_id.isprintable() else ascii(clip_id), table, f"row {row.number}: {problem}")
        return
    stated, raw = f"row {row.number} of {table}", cropped in _FALSE
    collector.add(
        clip_id, path, row.text("subject") or None, label, onset, offset, stated=stated, cropped=not raw, cut=True
    )


def load_folder(database: str, root: str | os.PathLike[str]) -> ClipCollection:
    """Every folder of frames and every video file below a folder: a target without labels.

    Raises
    ------
    MissingDataError
        If there is no such folder, or no clip in it.
    """
    root = existing_folder(root)
    collector = Collector(database, root, cropped=True)
    for folder in all_folders(root):
        clips = [path for path in videos(folder) if path.is_file()]
        if any(path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") for path in folder.iterdir()):
            clips.append(folder)
        for path in clips:
            name = path.relative_to(root).as_posix() if path != root else root.resolve().name
            collector.add(name, path, None, None, cropped=is_cropped(folder, root))
    if not collector.clips and not collector.skipped:
        raise MissingDataError(
            f"{root}: no clips.csv with the columns clip and label, and no folder of frames or video file either"
        )
    collector.notes.append(f"{root}: no clips.csv, so its clips are a target without labels")
    return collector.finish()


def _has_labels(sheet: Sheet) -> bool:
    if "label" in sheet.columns:
        return True
    alike = {"class", "emotion", "labels", "estimated emotion"} & set(sheet.columns)
    if alike:
        raise DataError(f"{sheet.path}: no column label; is it {alike.pop()}? Rename it, or remove it for a target")
    return False


def _class_names(collector: Collector) -> tuple[str, ...]:
    """The protocol's classes where they suffice, else the table's own, sorted."""
    labels = {clip.label for clip in collector.clips.values() if clip.label is not None}
    if labels <= set(CLASS_NAMES):
        return CLASS_NAMES
    names = tuple(sorted(labels))
    collector.notes.append(f"own classes: {', '.join(names)}; a label map makes them those of other databases")
    return names
