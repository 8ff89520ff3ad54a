"""Annotation sheets in the columns of the real ones, byte for byte the same in every run."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["SHEET_NAMES", "write_sheet"]

SHEET_NAMES: dict[str, str] = {
    "SMIC_HS": "SMIC-HS-E_annotation_2019.xlsx",
    "SMIC_VIS": "SMIC-VIS-E_annotation.xlsx",
    "SMIC_NIR": "SMIC-NIR-E_annotation.xlsx",
    "CASME2": "CASME2-coding-20140508.xlsx",
}

_UNITS = {"negative": "4+9", "positive": "6+12", "surprise": "1+2+26"}
_EPOCH = (2000, 1, 1, 0, 0, 0)


def write_sheet(folder: Path, database: str, rows: list[dict[str, Any]]) -> Path:
    """Write a database's sheet into its folder. Returns the file."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in _casme_lines(rows) if database == "CASME2" else _smic_lines(rows, nir=database == "SMIC_NIR"):
        sheet.append(line)
    stream = io.BytesIO()
    book.save(stream)
    path = folder / SHEET_NAMES[database]
    path.write_bytes(_without_times(stream.getvalue()))
    return path


def _smic_lines(rows: list[dict[str, Any]], nir: bool) -> list[list[Any]]:
    suffix = " NIR" if nir else ""
    lines: list[list[Any]] = [
        ["Subject", "Filename", f"OnsetF{suffix}", f"ApexF{suffix}", f"OffsetF{suffix}", "Emotion"]
    ]
    return lines + [
        [row[key] for key in ("subject", "filename", "onset", "apex", "offset", "label")] for row in rows
    ]  # fmt: skip


def _casme_lines(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """CASME II's columns, its two empty ones included; a few apex frames are "/", as in the real sheet."""
    header = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units"]
    lines: list[list[Any]] = [[*header, "Estimated Emotion"]]
    for index, row in enumerate(rows):
        negative = "disgust" if index % 3 else "sadness"
        emotion = {"negative": negative, "positive": "happiness", "surprise": "surprise"}[row["label"]]
        apex = "/" if index % 11 == 10 else row["apex"]
        frames = [row["onset"], apex, row["offset"]]
        lines.append([row["subject"], row["filename"], None, *frames, None, _UNITS[row["label"]], emotion])
    return lines


def _without_times(book: bytes) -> bytes:
    """The same workbook without the hour at which it was written."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2000-01-01T00:00:00Z", data)
            new.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
