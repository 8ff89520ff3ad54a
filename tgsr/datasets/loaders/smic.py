"""SMIC as it is delivered: ``{HS,VIS,NIR}/s<k>/micro/{negative,positive,surprise}/<clip>/`` of frames or a video.

The extended release has no folders of emotions: ``HS_long/SMIC_HS_E/s20/s20_ne_01/``, classes in the clips' names.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from tgsr.datasets._clip_list import LabelMap
from tgsr.datasets._clips import ClipCollection
from tgsr.datasets._sheet import Row, read_sheet, subject_number
from tgsr.datasets._tree import Collector, existing_folder, find_sheet, find_tree, folders, is_cropped
from tgsr.errors import ParameterError
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS

__all__ = ["load_hs", "load_nir", "load_smic", "load_vis"]

_SUBJECT = re.compile(r"s0*(\d+)", re.IGNORECASE)
_EXTENDED = re.compile(r"s\d+_(ne|po|sur)_\d+", re.IGNORECASE)
_SHORT = {"ne": "negative", "po": "positive", "sur": "surprise"}
_PROTOCOLS = ("cdmer", "megc2019")


def load_smic(
    database: str,
    root: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    label_map: LabelMap | None = None,
) -> ClipCollection:
    """Find the clips of one camera of SMIC.

    Labels are the folders' names; the sheet, where there is one, must agree, and gives raw clips their onset and
    offset. ``non_micro`` beside ``micro`` is left alone.

    Of label maps only the names of protocols are taken, ``cdmer`` and ``megc2019``, which have the same classes. The
    other arguments and the errors are those of `tgsr.datasets.load_clips`.
    """
    if label_map is not None and label_map not in _PROTOCOLS:
        raise ParameterError("a label map is of no use for SMIC: its folders are negative, positive and surprise")
    root = existing_folder(root)
    camera = database.removeprefix("SMIC_")
    tree = _find_tree(root, camera)
    collector = Collector(database, root, is_cropped(tree, root))
    sheet = (
        Path(annotations)
        if annotations is not None
        else find_sheet(root, tree, rf".*{camera}.*annotation.*\.(xlsx|csv)")
    )
    rows = _read_rows(sheet, collector) if sheet is not None else {}
    if sheet is None and not collector.cropped:
        collector.notes.append(f"{tree}: no annotation sheet; every frame of a raw clip is used")
    subjects = [folder for folder in folders(tree) if _SUBJECT.fullmatch(folder.name)]
    for subject in subjects:
        _add_subject(collector, subject, rows)
    collector.note_strays(tree, [folder for folder in sorted(folders(tree)) if folder not in subjects])
    if rows:
        _compare(collector, rows, sheet)
    return collector.finish(EXPECTED_COUNTS[database], str(label_map or "cdmer"))


load_hs = partial(load_smic, "SMIC_HS")
load_vis = partial(load_smic, "SMIC_VIS")
load_nir = partial(load_smic, "SMIC_NIR")


def _find_tree(root: Path, camera: str) -> Path:
    def is_tree(folder: Path) -> bool:
        named = re.search(rf"(^|[^A-Za-z]){camera}([^A-Za-z]|$)", folder.resolve().name, re.IGNORECASE)
        return named is not None and any(_SUBJECT.fullmatch(p.name) and _holds_clips(p) for p in folders(folder))

    return find_tree(root, is_tree, f"SMIC {camera}", f"{camera}/s<number>/micro/<emotion>/<clip>/")


def _holds_clips(subject: Path) -> bool:
    return _micro(subject) is not None or any(_EXTENDED.fullmatch(folder.name) for folder in folders(subject))


def _micro(subject: Path) -> Path | None:
    return next((folder for folder in folders(subject) if folder.name.lower() == "micro"), None)


def _add_subject(collector: Collector, folder: Path, rows: dict[str, Row]) -> None:
    match = _SUBJECT.fullmatch(folder.name)
    subject = f"s{match.group(1)}" if match else folder.name
    if collector.skips_link(subject, folder):
        return
    micro = _micro(folder)
    if micro is None:
        clips = [path for path in folders(folder) if _EXTENDED.fullmatch(path.name)]
        if not clips:
            collector.notes.append(f"{folder}: no folder micro; nothing of this subject is used")
        for path in clips:
            _add_clip(collector, subject, _SHORT[path.name.lower().split("_")[1]], path, rows)
        return
    for emotion in folders(micro):
        for path in collector.entries(emotion):
            _add_clip(collector, subject, emotion.name.strip().lower(), path, rows)


def _add_clip(collector: Collector, subject: str, label: str, path: Path, rows: dict[str, Row]) -> None:
    name = path.stem if path.is_file() else path.name
    clip_id = f"{subject}/{name}"
    if label not in CLASS_NAMES:
        return collector.skip(clip_id, path, f"unknown emotion {label!r}; expected {', '.join(CLASS_NAMES)}")
    row = rows.get(clip_id.lower())
    stated = row.text("emotion").lower() if row else ""
    if row is not None and stated and stated != label:
        return collector.skip(clip_id, path, f"the folder says {label}, row {row.number} of the sheet says {stated}")
    onset = row.integer("onsetf", "onsetf nir", "onsetf vis", "onsetf hs") if row else None
    offset = row.integer("offsetf", "offsetf nir", "offsetf vis", "offsetf hs") if row else None
    stated = f"row {row.number} of the sheet" if row else ""
    return collector.add(clip_id, path, subject, label, onset, offset, stated=stated)


def _read_rows(path: Path, collector: Collector) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    sheet = read_sheet(path, ("subject", "filename"))
    collector.notes.append(f"onset, offset and emotions compared with {sheet.source}")
    for row in sheet.rows:
        subject, name = subject_number(row.text("subject")), row.text("filename")
        if subject is None or not name:
            collector.notes.append(f"{path}: row {row.number} names no subject and clip; passed over")
            continue
        clip_id = f"s{subject}/{name}".lower()
        if clip_id in rows:
            collector.notes.append(f"{path}: row {row.number} repeats {clip_id} of row {rows[clip_id].number}")
            continue
        rows[clip_id] = row
    return rows


def _compare(collector: Collector, rows: dict[str, Row], sheet: Path | None) -> None:
    """Report what is in the sheet and not on disk, and the reverse."""
    on_disk = {clip_id.lower() for clip_id in collector.clips} | {entry.clip.lower() for entry in collector.skipped}
    for clip_id, row in rows.items():
        if clip_id not in on_disk:
            reason = f"row {row.number} of {sheet} lists this {row.text('emotion')} clip, but it is not on disk"
            collector.skip(clip_id, collector.root, reason)
    for clip_id, clip in collector.clips.items():
        if clip_id.lower() not in rows:
            collector.notes.append(f"{clip.path}: not in {sheet}; used with its folder's emotion, {clip.label}")
