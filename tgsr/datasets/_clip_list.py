"""A user's own database: a CSV with a line for each clip, or a folder of clips without labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tgsr.datasets._columns import ROLES
from tgsr.datasets._frame_order import number_frames
from tgsr.datasets._images import holds_several
from tgsr.datasets._sheet import SHEET_SUFFIXES, Row, Sheet, read_sheet
from tgsr.datasets._texts import is_absent, note_alike, one_spelling, spelling_key
from tgsr.datasets._tree import (
    Collector,
    all_folders,
    existing_folder,
    find_path,
    folders,
    is_cropped,
    is_hidden,
    videos,
)
from tgsr.datasets.clips import IMAGE_SUFFIXES, ClipCollection
from tgsr.errors import DataError, MissingDataError
from tgsr.names import name_problem
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS

__all__ = ["LabelMap", "clip_list", "load_folder", "load_table", "read_label_map"]

LabelMap = Mapping[str, str] | str | os.PathLike[str]

_CROPPED = {
    **dict.fromkeys(("1", "1.0", "y", "yes", "true"), True),
    **dict.fromkeys(("0", "0.0", "n", "no", "false"), False),
    "": None,
}
_TABLE = "clips.csv"
_COLUMNS = ("clip", "label", "subject", "onset", "offset", "cropped")
_DEEPEST = 64
# pictures and films that neither OpenCV nor Pillow reads
_FOREIGN = "arw braw cine cr2 cr3 dcm dng exr hdr heic heif jxl jxr mlv nef psd r3d raw seq svg swf yuv"


def clip_list(root: Path) -> Path | None:
    """The table that says which clips a user means: the file named, or clips.csv in the folder named; None without."""
    if root.suffix.lower() in SHEET_SUFFIXES and not root.is_dir():
        return root
    return root / _TABLE if (root / _TABLE).is_file() else None


def read_label_map(label_map: LabelMap) -> dict[str, str]:
    """A label map: a mapping as it is, or a CSV with the columns ``label`` and ``class``.

    Labels are lower case. An empty class leaves a label out. A label that is mapped twice is a `DataError`; others are
    those of `read_sheet`.
    """
    if isinstance(label_map, Mapping):
        rows = [(str(label).strip(), str(target).strip(), "label map") for label, target in label_map.items()]
    else:
        sheet = read_sheet(label_map, ("label", "class"))
        rows = [(row.text("label"), row.text("class"), f"{sheet.path}: row {row.number}") for row in sheet.rows]
    mapping: dict[str, str] = {}
    for (label, stated, where), spelled in zip(rows, one_spelling([row[1] for row in rows])[0], strict=True):
        key, target = spelling_key(label), "" if is_absent(stated, "label") else spelled
        if mapping.setdefault(key, target) != target:
            raise DataError(f"{where} maps {key!r} to {target!r} and to {mapping[key]!r}")
    return mapping


def load_table(
    database: str,
    table: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    label_map: LabelMap | None = None,
    *,
    to_predict: bool = False,
) -> ClipCollection:
    """Find the clips that a CSV lists; its columns are described in this folder's README.md.

    Paths are relative to ``root``, by default the table's folder; clips outside it are skipped. For the label map see
    `read_label_map`. ``to_predict``: clips may lack a label beside others that have one, and ``cropped`` is None where
    the table does not say it. A table or folder that is not there is a `MissingDataError`, a table that cannot be used
    a `DataError`.
    """
    table = Path(table)
    sheet = read_sheet(table, ("clip",))
    labelled = _has_labels(sheet)
    subject = next((column for column in ("subject", *ROLES["subject"].split()) if column in sheet.columns), "")
    folder = existing_folder(root if root is not None else table.parent)
    mapping = read_label_map(label_map) if label_map is not None else None
    collector = Collector(database, folder, None if to_predict else True)
    listed = (row.text("label") for row in sheet.rows)
    stated = ["" if is_absent(label, "label", mapping or ()) else label for label in listed]
    spelled, respelt = one_spelling(stated)
    ids = [_clip_id(folder, row.text("clip")) for row in sheet.rows]
    outside, repeated = Counter[str](), Counter(ids)
    for row, name, label, one in zip(sheet.rows, ids, stated, spelled, strict=True):
        # several rows of one recording are told apart by their frames
        frames = "-".join("" if (at := row.integer(column)) is None else str(at) for column in ("onset", "offset"))
        clip_id, problem = f"{name}@{frames}" if repeated[name] > 1 and frames != "-" else name, ""
        target = one if mapping is None else mapping.get(spelling_key(label))
        if target or not labelled or (to_predict and not label):
            problem = _add_row(collector, table, row, subject, clip_id, target or None)
        elif not label:
            problem = "no label; give all clips one, or none"
        elif target is None:
            problem = f"label {label!r} is not in the label map"
        else:
            outside[label] += 1
        if problem:
            collector.skip(clip_id or "?", table, f"row {row.number}: {problem}")
    collector.notes += [f"clips from {sheet.source}"] if sheet.source != str(table) else []
    remarks = respelt * (mapping is None) + note_alike(clip.subject or "" for clip in collector.clips.values())
    if outside:
        counted = ", ".join(f"{count} {label}" for label, count in sorted(outside.items()))
        remarks.append(f"left out by the label map: {counted}")
    collector.notes += [f"{table}: {remark}" for remark in (*_on_columns(sheet, subject), *remarks)]
    labels = {clip.label for clip in collector.clips.values() if clip.label is not None}
    names = CLASS_NAMES if labels <= set(CLASS_NAMES) else tuple(sorted(labels))
    if names != CLASS_NAMES and not to_predict:
        collector.notes.append(f"own classes: {', '.join(names)}; a label map makes them those of other databases")
    return collector.finish(EXPECTED_COUNTS.get(database), "" if mapping is None else "own", names)


def _on_columns(sheet: Sheet, subject: str) -> list[str]:
    """Remarks on the columns of a list; ``subject`` is the one that says who is seen, empty without."""
    unused = ", ".join(column for column in sheet.columns if column not in (*_COLUMNS, subject))
    taken = [f"{subject} is taken as the subject"] if subject not in ("subject", "") else []
    return taken + ([f"columns that are not used: {unused}"] if unused else [])


def _clip_id(root: Path, name: str) -> str:
    """What a clip is called: its path below the root, in whichever way it is written, else as it is listed."""
    name = name.replace("\\", "/")
    path, above = (Path(os.path.normpath(one.absolute())) for one in (root / name, root))
    return path.relative_to(above).as_posix() if name and path.is_relative_to(above) else name


def _add_row(collector: Collector, table: Path, row: Row, subject_column: str, clip_id: str, label: str | None) -> str:
    """Add the clip of a row; what is wrong where it cannot be."""
    name, subject, cropped = row.text("clip"), row.text(subject_column), row.text("cropped").lower()
    subject = "" if is_absent(subject, "subject") else subject
    onset, offset = row.integer("onset"), row.integer("offset")
    if unsafe := next(filter(None, map(name_problem, (clip_id, label or "", subject))), ""):
        return unsafe
    if not name:
        return "no clip named"
    if cropped not in _CROPPED:
        return f"cropped must be yes or no, got {cropped!r}"
    if (row.text("onset") and onset is None) or (row.text("offset") and offset is None):
        return f"onset {row.text('onset')!r} and offset {row.text('offset')!r} must be frame numbers"
    path = find_path(collector.root, name)
    if not path.exists():
        return f"{path} is not there"
    stated = f"row {row.number} of {table}"
    collector.add(
        clip_id, path, subject or None, label, onset, offset, stated=stated, cropped=_CROPPED[cropped], cut=True
    )
    return ""


def load_folder(database: str, root: str | os.PathLike[str]) -> ClipCollection:
    """Every folder of frames and every film below a folder, or the one film that is named: a target without labels.

    A folder that is not there, or has no clip in it, is a `MissingDataError`.
    """
    root = Path(root)
    if root.is_file():
        collector = Collector(database, root.parent, is_cropped(root.parent, root.parent))
        collector.add(root.name, root, None, None)
        return collector.finish()
    root = existing_folder(root)
    collector = Collector(database, root, cropped=True)
    for folder in all_folders(root, _DEEPEST):
        for child in folders(folder):
            collector.skips_link(child.relative_to(root).as_posix(), child)
        clips, others = _clips_in(folder)
        for path in clips:
            name = path.relative_to(root).as_posix() if path != root else root.resolve().name
            collector.add(name, path, None, None, cropped=is_cropped(folder, root))
        foreign = [path for path in others if path.suffix.lower()[1:] in _FOREIGN.split()]
        if foreign:
            reason = f"pictures or films of a kind that cannot be read ({len(foreign)} files); convert them"
            collector.skip(foreign[0].relative_to(root).as_posix(), foreign[0], reason)
        collector.note_strays(folder, [path for path in others if path not in foreign])
    if not collector.clips and not collector.skipped:
        neither = f"no {_TABLE} with the columns clip and label, and no folder of frames or video file either"
        raise MissingDataError(f"{root}: {neither}")
    return collector.finish()


def _clips_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The clips that a folder holds or is, and its other files; what is beside frames is noted with them."""
    clips = [path for path in videos(folder) if path.is_file()]
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_hidden(path)]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if images and not _are_clips(images):
        return [*clips, folder], []
    return clips + images, [path for path in files if path not in clips + images]


def _are_clips(images: list[Path]) -> bool:
    """Whether each image file is a clip: a film, and not called as the parts of one are."""
    try:
        number_frames(images)
        return False
    except DataError:
        return len(images) > 1 and all(map(holds_several, images))


def _has_labels(sheet: Sheet) -> bool:
    if "label" in sheet.columns:
        return True
    if alike := [column for column in sheet.columns if column in ROLES["label"].split()]:
        raise DataError(f"{sheet.path}: no column label; is it {alike[0]}? Rename it, or remove it for a target")
    return False
