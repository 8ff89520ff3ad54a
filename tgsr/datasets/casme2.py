"""CASME II as it is delivered: ``Cropped/sub01/EP02_01f/`` or ``CASME2_RAW_selected/…`` and the coding sheet."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tgsr.datasets.clips import VIDEO_SUFFIXES, ClipCollection, frame_files, frame_number
from tgsr.datasets.sheet import Row, Sheet, read_sheet
from tgsr.datasets.tree import Collector, existing_folder, find_sheet, find_trees, folders, is_cropped, leads_out
from tgsr.errors import DataError, MissingDataError, TgsrError
from tgsr.protocols import CLASS_NAMES

__all__ = ["CASME2_EMOTIONS", "load_casme2"]

CASME2_EMOTIONS: dict[str, str] = {
    "happiness": "positive",
    "disgust": "negative",
    "repression": "negative",
    "surprise": "surprise",
}
"""The sheet's "Estimated Emotion" → class. Pass another map to `load_clips` for another selection."""

_OUTSIDE = {*CASME2_EMOTIONS, "others", "other", "sadness", "fear", "tense", "anger", "contempt"}
_SUBJECT = re.compile(r"sub0*(\d+)", re.IGNORECASE)
_SHEET = r"(?!~\$)casme2?[-_ ]?(ii)?[-_ ]?coding.*\.(xlsx|csv)"
# The published sheet lists 255 clips; that of row 60, counted from 0 as others who correct it do, has a wrong offset.
_PUBLISHED_ROWS, _WRONG_ROW, _RIGHT_OFFSET = 255, 60, 91


def load_casme2(
    root: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    label_map: Mapping[str, str] | None = None,
) -> ClipCollection:
    """Find the clips of CASME II that belong to the protocol.

    Parameters
    ----------
    root : path
        The folder with ``sub01`` … or one up to four folders above it; cropped trees win over raw ones.
    annotations : path, optional
        The sheet; by default ``CASME2-coding-*.xlsx`` in the tree or above it.
    label_map : mapping, optional
        Estimated emotion (lower case) → class; by default `CASME2_EMOTIONS`. Emotions of the sheet that are not in it,
        or have an empty class, are not part of the protocol: they are counted in the notes.

    Raises
    ------
    MissingDataError
        If there is no such tree or no sheet: the folders' names say nothing of the emotion.
    DataError
        If several trees fit, the sheet cannot be used, or the map leads to an unknown class.
    """
    root = existing_folder(root)
    emotions = {name.strip().lower(): target for name, target in (label_map or CASME2_EMOTIONS).items()}
    unknown = sorted(set(emotions.values()) - {*CLASS_NAMES, ""})
    if unknown:
        raise DataError(f"label map leads to {', '.join(unknown)}; the classes are {', '.join(CLASS_NAMES)}")
    tree = _find_tree(root)
    path = Path(annotations) if annotations is not None else find_sheet(root, tree, _SHEET)
    if path is None:
        raise MissingDataError(
            f"{root}: no CASME2-coding-20140508.xlsx from {tree} up to two folders above {root}; put it there, or name "
            "it with --annotations"
        )
    sheet = read_sheet(path, ("subject", "filename", "estimated emotion"))
    collector = Collector("CASME2", root, is_cropped(tree, root))
    collector.notes.append(f"emotions and frames from {path}")
    _add_rows(collector, sheet, _clips_on_disk(collector, tree), emotions)
    return collector.finish()


def _find_tree(root: Path) -> Path:
    trees = find_trees(root, lambda folder: any(_SUBJECT.fullmatch(child.name) for child in folders(folder)))
    if len(trees) > 1:
        raise DataError(f"{root}: CASME II is in {' and in '.join(map(str, trees))}; name one of them with --root")
    if not trees:
        raise MissingDataError(f"{root}: CASME II is not there; expected Cropped/sub01/EP02_01f/ or the like below it")
    return trees[0]


def _clips_on_disk(collector: Collector, tree: Path) -> dict[tuple[int, str], list[Path]]:
    """Folders and videos by subject and clip name (lower case)."""
    found: dict[tuple[int, str], list[Path]] = {}
    for subject in folders(tree):
        match = _SUBJECT.fullmatch(subject.name)
        if not match:
            collector.note_strays(tree, [subject])
            continue
        if leads_out(subject, collector.root):
            reason = f"a link that leads out of {collector.root}; copy the folder into the tree"
            collector.skip(subject.name, subject, reason)
            continue
        entries = [*folders(subject), *sorted(p for p in subject.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)]
        for path in entries:
            name = path.stem if path.is_file() else path.name
            found.setdefault((int(match.group(1)), name.lower()), []).append(path)
        collector.note_strays(subject, [p for p in sorted(subject.iterdir()) if p not in entries])
    return found


def _add_rows(
    collector: Collector, sheet: Sheet, on_disk: dict[tuple[int, str], list[Path]], emotions: Mapping[str, str]
) -> None:
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    conflicting = _conflicting(sheet)
    seen: set[tuple[int, str]] = set()
    for row in sheet.rows:
        number, name = _subject_number(row), row.text("filename")
        if number is None or not name:
            collector.notes.append(f"{sheet.path}: row {row.number} names no subject and clip; passed over")
            continue
        clip_id, key = f"sub{number:02d}/{name}", (number, name.lower())
        paths, emotion = on_disk.get(key, []), row.text("estimated emotion").lower()
        where = paths[0] if paths else sheet.path
        if key in conflicting:
            collector.skip(clip_id, where, f"row {row.number} of {sheet.path}: the clip has rows of several emotions")
        elif key in seen:
            collector.notes.append(f"{sheet.path}: row {row.number} repeats {clip_id}")
        elif emotions.get(emotion):
            inside[emotion] += 1
            _add_clip(collector, sheet, row, clip_id, f"sub{number:02d}", emotions[emotion], paths)
        elif emotion in emotions or emotion in _OUTSIDE:
            outside[emotion] += 1
        else:
            collector.skip(clip_id, where, f"unknown emotion {emotion!r} in row {row.number} of {sheet.path}")
        seen.add(key)
    for title, counts in (("selected", inside), ("not part of the protocol", outside)):
        if counts:
            counted = ", ".join(f"{count} {emotion}" for emotion, count in sorted(counts.items()))
            collector.notes.append(f"{sheet.path}: {title}: {counted}")
    for key in sorted(set(on_disk) - seen):
        for path in on_disk[key]:
            collector.skip(f"sub{key[0]:02d}/{path.name}", path, f"not in {sheet.path}, so its emotion is unknown")


def _add_clip(
    collector: Collector, sheet: Sheet, row: Row, clip_id: str, subject: str, label: str, paths: list[Path]
) -> None:
    if not paths:
        reason = f"row {row.number} of {sheet.path} lists this {label} clip, but it is not on disk"
        return collector.skip(clip_id, sheet.path, reason)
    onset, offset = row.integer("onsetframe"), _offset(collector, sheet, row, clip_id, paths[0])
    if not collector.cropped and (onset is None or offset is None):
        return collector.skip(clip_id, paths[0], f"row {row.number} of {sheet.path} gives no onset and offset frame")
    if onset is not None and offset is not None and offset <= onset:
        reason = f"row {row.number} of {sheet.path}: offset {offset} is not after onset {onset}"
        return collector.skip(clip_id, paths[0], reason)
    for path in paths:
        collector.add(clip_id, path, subject, label, onset, offset)
    return None


def _offset(collector: Collector, sheet: Sheet, row: Row, clip_id: str, path: Path) -> int | None:
    """The row's offset frame; the one known to be wrong in the published sheet is corrected.

    In a sheet of another length that row may be any clip's: there it is corrected only if it cannot be right.
    """
    onset, apex, offset = (row.integer(name) for name in ("onsetframe", "apexframe", "offsetframe"))
    if row not in sheet.rows[_WRONG_ROW : _WRONG_ROW + 1] or onset is None or onset >= _RIGHT_OFFSET:
        return offset
    fits = offset is not None and max(onset + 1, apex or 0) <= offset <= (_last_frame(path) or offset)
    if offset == _RIGHT_OFFSET or (fits and len(sheet.rows) != _PUBLISHED_ROWS):
        return offset
    collector.notes.append(
        f"{sheet.path}: row {row.number} ({clip_id}) has offset frame {row.text('offsetframe') or 'none'} for onset "
        f"{onset}; corrected to {_RIGHT_OFFSET}, a known mistake of the sheet"
    )
    return _RIGHT_OFFSET


def _last_frame(path: Path) -> int | None:
    try:
        frames, _ = frame_files(path)
    except TgsrError:
        return None
    return frame_number(frames[-1]) if frames else None


def _subject_number(row: Row) -> int | None:
    text = row.text("subject").lower().removeprefix("sub")
    return int(text) if text.isdecimal() else None


def _conflicting(sheet: Sheet) -> set[tuple[int, str]]:
    """Clips that the sheet lists with more than one emotion."""
    stated: dict[tuple[int, str], set[str]] = {}
    for row in sheet.rows:
        number = _subject_number(row)
        if number is not None:
            stated.setdefault((number, row.text("filename").lower()), set()).add(row.text("estimated emotion").lower())
    return {key for key, labels in stated.items() if len(labels) > 1}
