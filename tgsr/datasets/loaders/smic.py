"""SMIC as it is delivered: ``{HS,VIS,NIR}/s<k>/micro/{negative,positive,surprise}/<clip>/`` of frames or a video.

The extended release has no folders of emotions: ``HS_long/SMIC_HS_E/s20/s20_ne_01/``, classes in the clips' names.
"""

from __future__ import annotations

import re
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap
from tgsr.datasets._sheet import Row, read_sheet
from tgsr.datasets._texts import subject_number
from tgsr.datasets._tree import Collector, existing_folder, find_tree, folders, is_cropped
from tgsr.datasets.clips import ClipCollection
from tgsr.errors import ParameterError
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS

__all__ = ["load_smic"]

_SUBJECT = re.compile(r"s0*(\d+)", re.IGNORECASE)
_EXTENDED = re.compile(r"s\d+_(ne|po|sur)_\d+", re.IGNORECASE)
_SHORT = {"ne": "negative", "po": "positive", "sur": "surprise"}


def load_smic(
    database: str, root: Path, annotations: Path | None = None, label_map: LabelMap | None = None
) -> ClipCollection:
    """Find the clips of one camera of SMIC.

    Labels are the folders' names; the sheet, where there is one, must agree, and gives raw clips their onset and
    offset. ``non_micro`` beside ``micro`` is left alone.

    Of label maps only the names of protocols are taken, ``cdmer`` and ``megc2019``, which have the same classes. The
    other arguments and the errors are those of `tgsr.datasets.load_clips`.
    """
    if label_map not in (None, "cdmer", "megc2019"):
        raise ParameterError("a label map is of no use for SMIC: its folders are negative, positive and surprise")
    root, camera = existing_folder(root), database.removeprefix("SMIC_")

    def is_tree(folder: Path) -> bool:
        named = re.search(rf"(^|[^A-Za-z]){camera}([^A-Za-z]|$)", folder.resolve().name, re.IGNORECASE)
        return named is not None and any(
            _SUBJECT.fullmatch(path.name) and (_micro(path) or _extended(path)) for path in folders(folder)
        )

    tree = find_tree(root, is_tree, f"SMIC {camera}", f"{camera}/s<number>/micro/<emotion>/<clip>/")
    collector = Collector(database, root, is_cropped(tree, root))
    sheet = annotations or collector.find_sheet(tree, rf".*{camera}.*annotation.*\.(xlsx|csv)")
    rows = {} if sheet is None else _read_rows(sheet, collector)
    if sheet is None and not collector.cropped:
        collector.notes.append(f"{tree}: no annotation sheet; every frame of a raw clip is used")
    strays = []
    for folder in folders(tree):
        if match := _SUBJECT.fullmatch(folder.name):
            _add_subject(collector, f"s{match.group(1)}", folder, rows)
        else:
            strays.append(folder)
    collector.note_strays(tree, sorted(strays))
    if rows:
        _compare(collector, rows, sheet)
    return collector.finish(EXPECTED_COUNTS[database], str(label_map or "cdmer"))


def _micro(subject: Path) -> Path | None:
    return next((folder for folder in folders(subject) if folder.name.lower() == "micro"), None)


def _extended(subject: Path) -> list[Path]:
    return [path for path in folders(subject) if _EXTENDED.fullmatch(path.name)]


def _add_subject(collector: Collector, subject: str, folder: Path, rows: dict[str, Row]) -> None:
    if collector.skips_link(subject, folder):
        return
    if micro := _micro(folder):
        for emotion in folders(micro):
            for path in collector.entries(emotion):
                _add_clip(collector, subject, emotion.name.strip().lower(), path, rows)
    elif clips := _extended(folder):
        for path in clips:
            _add_clip(collector, subject, _SHORT[path.name.lower().split("_")[1]], path, rows)
    else:
        collector.notes.append(f"{folder}: no folder micro; nothing of this subject is used")


def _add_clip(collector: Collector, subject: str, label: str, path: Path, rows: dict[str, Row]) -> None:
    clip_id = f"{subject}/{path.stem if path.is_file() else path.name}"
    if label not in CLASS_NAMES:
        return collector.skip(clip_id, path, f"unknown emotion {label!r}; expected {', '.join(CLASS_NAMES)}")
    row = rows.get(clip_id.lower())
    if row is None:
        return collector.add(clip_id, path, subject, label)
    stated = row.text("emotion").lower()
    if stated not in ("", label):
        return collector.skip(clip_id, path, f"the folder says {label}, row {row.number} of the sheet says {stated}")
    # a sheet of several cameras has columns for each
    cameras = (collector.database.removeprefix("SMIC_").lower(), "nir", "vis", "hs")
    onset, offset = (row.integer(frame, *(f"{frame}f{camera}" for camera in cameras)) for frame in ("onset", "offset"))
    if None in (onset, offset) and not collector.cropped:
        reason = f"row {row.number} of the sheet gives no onset and offset frame (columns OnsetF and OffsetF)"
        return collector.skip(clip_id, path, reason)
    return collector.add(clip_id, path, subject, label, onset, offset, stated=f"row {row.number} of the sheet")


def _read_rows(path: Path, collector: Collector) -> dict[str, Row]:
    """The rows of the sheet by the clips' ids in small letters."""
    rows: dict[str, Row] = {}
    sheet = read_sheet(path, ("subject", "filename"))
    collector.notes.append(f"onset, offset and emotions compared with {sheet.source}")
    for row in sheet.rows:
        subject, name = subject_number(row.text("subject")), row.text("filename")
        clip_id = f"s{subject}/{name}".lower()
        if subject is None or not name:
            collector.notes.append(f"{path}: row {row.number} names no subject and clip; passed over")
        elif (first := rows.setdefault(clip_id, row)) is not row:
            collector.notes.append(f"{path}: row {row.number} repeats {clip_id} of row {first.number}")
    return rows


def _compare(collector: Collector, rows: dict[str, Row], sheet: Path | None) -> None:
    """Report what is in the sheet and not on disk, and the reverse."""
    on_disk = {name.lower() for name in (*collector.clips, *(entry.clip for entry in collector.skipped))}
    for clip_id, row in rows.items():
        if clip_id not in on_disk:
            reason = f"row {row.number} of {sheet} lists this {row.text('emotion')} clip, but it is not on disk"
            collector.skip(clip_id, collector.root, reason)
    for clip_id, clip in collector.clips.items():
        if clip_id.lower() not in rows:
            collector.notes.append(f"{clip.path}: not in {sheet}; used with its folder's emotion, {clip.label}")
