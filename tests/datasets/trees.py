"""Generated folder trees in the databases' layouts: names and sheets only, no pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import openpyxl


def frames(folder: Path, *numbers: int, name: str = "reg_img{}.jpg") -> Path:
    """A clip of empty files: finding clips reads no frame."""
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(b"")
    return folder


def sheet(path: Path, rows: Iterable[Iterable[object]], worksheet: str = "Sheet", **others: list[list[object]]) -> Path:
    """A workbook of one worksheet with these rows, and others by name (``_`` for a space)."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = worksheet
    for row in rows:
        book.active.append(list(row))
    for name, lines in others.items():
        page = book.create_sheet(name.replace("_", " "))
        for line in lines:
            page.append(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path
