"""CAS(ME)² as it is delivered: recordings in ``rawpic/s15/15_0101disgustingteeth/`` or ``cropped/…`` and one workbook.

The workbook has no headers: a row for each expression, 53 of them micro-expressions, and two sheets of naming rules
that lead from participants to folders and from videos to the four digits in a folder's name. Its emotions are the
classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tgsr.datasets._coded import CodedDatabase
from tgsr.datasets._sheet import Row, Sheet, read_sheet
from tgsr.errors import DataError

__all__ = ["CAS_ME_2"]

_NAMES = ("participant", "video", "onset", "apex", "offset", "aus", "emotion", "type", "self-report")


def _read(path: Path) -> Sheet:
    """The micro-expressions, with subject and clip as the folders are called."""
    sheet = read_sheet(path, (), names=_NAMES)
    if path.suffix.lower() == ".csv":
        raise DataError(f"{path}: the workbook with its sheets of naming rules is needed, not one sheet of it")
    people = read_sheet(path, (), names=("folder", "prefix", "participant"), worksheet="naming rule1").rows
    videos = read_sheet(path, (), names=("code", "video"), worksheet="naming rule2").rows
    folders = {row.text("participant"): row.text("folder") for row in people}
    codes = {row.text("video").lower(): row.text("code") for row in videos}
    rows = []
    for row in sheet.rows:
        if row.text("type").lower().startswith("micro"):
            video = row.text("video").lower().rpartition("_")[0] or row.text("video").lower()
            known = {"subject": folders.get(row.text("participant"), ""), "filename": codes.get(video, "").zfill(4)}
            rows.append(Row(row.number, {**row.values, **known}))
    return replace(sheet, columns=(*_NAMES, "subject", "filename"), rows=tuple(rows))


CAS_ME_2 = CodedDatabase(
    name="CAS_ME_2",
    sheet=r"CAS\(ME\)\^?2.*code_final.*\.xlsx",
    sheet_known="CAS(ME)^2code_final.xlsx",
    n_rows=(53, 57),
    read=_read,
    folder="{subject}/{clip}",
    first=r"s\d+",
    subject="s{:02d}",
    named=r"\d+_(\d{4})",
    events=True,
    always_cut=True,
)
