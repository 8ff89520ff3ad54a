"""Annotation sheets and lists of clips: workbooks or delimited text, read into rows by column name."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tgsr.datasets._columns import same_name
from tgsr.datasets._table import TEXT_SUFFIXES, number, read_lines
from tgsr.errors import DataError, MissingDataError, one_line
from tgsr.files import reading

__all__ = ["SHEET_SUFFIXES", "Row", "Sheet", "read_sheet", "whole_number"]

SHEET_SUFFIXES = (*TEXT_SUFFIXES, ".xlsx", ".xlsm", ".xls")

_SPELLINGS = {
    "subject": ("subject", "sub_id", "sub"),
    "filename": ("filename", "fold_name"),
    "onset": ("onset", "onsetframe", "onsetf"),
    "offset": ("offset", "offsetframe", "offsetf"),
    "emotion": ("estimated emotion", "emotion"),
}
"""What the databases' sheets call a column; of several that are there, the first one counts (of emotions all)."""

_HEADER_WITHIN = 20  # rows in which the header is looked for: some sheets start with a title or a legend
_MOST_ROWS = 100_000
_MOST_CELLS = 2**22  # a small workbook can state cells far to the right in every row
_MOST_BYTES = 2**25  # of the file
_MOST_UNPACKED = 2**26  # of all that a workbook unpacks to


@dataclass(frozen=True)
class Row:
    """One line of a sheet: its number in the file, and its values by column name, as `same_name` gives it.

    Of two columns with one name and two values the value is the error that asking for it raises.
    """

    number: int
    values: dict[str, Any]

    def text(self, *columns: str) -> str:
        """The first of these columns that the sheet has, as text; empty where the cell is."""
        value = self._first(columns)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return "" if value is None else str(value).strip()

    def integer(self, *columns: str) -> int | None:
        """The first of these columns that the sheet has, as a whole number; None where it is none ("/", empty)."""
        return whole_number(self._first(columns))

    def _first(self, columns: Iterable[str]) -> Any:
        value = next((self.values[name] for name in columns if name in self.values), None)
        if isinstance(value, DataError):
            raise value
        return value


@dataclass(frozen=True)
class Sheet:
    """A sheet's file, its column names (see `read_sheet`), and its rows, empty ones left out.

    ``source`` is the file as a message names it: with the worksheet, where another has the same columns.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str


def whole_number(value: Any) -> int | None:
    """A cell as a whole number: 46, 46.0 and "46" are, "/", "46.5", an empty cell and NaN are not."""
    found = None if isinstance(value, bool) else number(str(value).strip())
    return int(found) if found is not None and found.is_integer() else None


def read_sheet(
    path: str | os.PathLike[str],
    required: Iterable[str],
    *,
    worksheet: str | None = None,
    names: tuple[str, ...] | None = None,
) -> Sheet:
    """Read a sheet; its header is the first row that has all columns ``required``.

    Columns are called without case, spaces and punctuation. Those for subject, filename, onset, offset and emotion are
    called so, whichever of the databases' names for them the sheet has.

    ``worksheet`` names that of a workbook: by default the first that has the header, of those that are not hidden.
    ``names`` are the columns', for a sheet without a header. A sheet that is damaged, of another format, too large, or
    lacks a column is a `DataError`; so is it to ask a row for a column that is there twice with different values.
    """
    path, required = Path(path), tuple(required)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such annotation sheet")
    pages = _worksheets(path, worksheet, required)
    if names is not None:
        return Sheet(path, names, _rows(path, names, next(iter(pages.values()))), str(path))
    seen: list[str] = []
    found = {}
    for page, lines in pages.items():
        for at, (_, line) in enumerate(lines[:_HEADER_WITHIN]):
            header = _header(line)
            if set(required) <= set(header):
                found[page] = header, lines[at + 1 :]
                break
            seen += [one_line(cell).lower() for cell in line if cell is not None]
    if not found:
        has = ", ".join(filter(None, seen[:12])) or "none"
        wanted = ", ".join(" or ".join(_SPELLINGS.get(name, (name,))) for name in required)
        raise DataError(f"{path}: no header with the columns {wanted}; found {has}")
    first, *others = found
    header, lines = found[first]
    beyond = [at for at, cells in lines if any(cells[len(header) :])] if first == "" else []
    if beyond:
        raise DataError(f"{path}: row {beyond[0]} has more cells than the header; quote what holds the delimiter")
    source = f"{path}, worksheet {first} (and not {' or '.join(others)})" if others else str(path)
    if first and _hides_rows(path):
        source += "; hidden rows are read, too"
    return Sheet(path, tuple(filter(None, header)), _rows(path, header, lines), source)


def _header(cells: Iterable[Any]) -> tuple[str, ...]:
    """The names of a row's columns, if it is the header."""
    names = ["" if cell is None else same_name(str(cell)) for cell in cells]
    for name, spellings in _SPELLINGS.items():
        alike = [one for one in map(same_name, spellings) if one in names]
        # which of two emotions counts is not ours to say: a row where they differ is an error
        counting = alike if name == "emotion" else alike[:1]
        if alike:
            names = [name if one in counting else one * (one != name) for one in names]
    return tuple(names)


_Lines = Sequence[tuple[int, tuple[Any, ...]]]
"""Cells with the number of their line."""


def _rows(path: Path, names: tuple[str, ...], lines: _Lines) -> tuple[Row, ...]:
    rows = []
    for at, cells in lines:
        values: dict[str, Any] = {}
        for name, cell in zip(names, cells, strict=False):
            if name and values.setdefault(name, cell) != cell:
                twice = f"column {name} is there twice, with other values in row {at}; remove or rename one of them"
                values[name] = DataError(f"{path}: {twice}")
        if any(values.values()):
            rows.append(Row(at, values))
    return tuple(rows)


def _worksheets(path: Path, worksheet: str | None, required: tuple[str, ...]) -> dict[str, _Lines]:
    """The lines of each worksheet that may be meant. What a file is, its first bytes say, whatever it is called."""
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: larger than {_MOST_BYTES >> 20} MB; this is no annotation sheet")
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise DataError(f"{path}: not a known kind of sheet; save it as .xlsx or .csv")
    with reading(path), path.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(b"PK"):
        return _workbook(path, worksheet)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        old = "a workbook of Excel's old kind, or one with a password"
        raise DataError(f"{path}: {old}; save it as .xlsx, without one")
    if path.suffix.lower() in TEXT_SUFFIXES:
        is_header = (lambda cells: set(required) <= set(_header(cells))) if required else None
        return {"": _few(path, ((line.number, line.cells) for line in read_lines(path, is_header)))}
    holds = "it holds text" if start.strip() else "it is empty"
    if re.search(rb"<(!doctype|html|table|\?xml)", start.lower()):
        holds = "it holds a web page"
    raise DataError(f"{path}: not a readable workbook ({holds}); save it as .xlsx")


def _few(path: Path, rows: Iterable[tuple[int, tuple[Any, ...]]]) -> _Lines:
    """The rows, unless they are more than a sheet has."""
    kept: list[tuple[int, tuple[Any, ...]]] = []
    n_cells = 0
    for line in rows:
        kept.append(line)
        n_cells += len(line[1])
        if len(kept) > _MOST_ROWS or n_cells > _MOST_CELLS:
            raise DataError(f"{path}: more than {_MOST_ROWS} rows or {_MOST_CELLS} cells; this is no annotation sheet")
    return kept


def _workbook(path: Path, worksheet: str | None) -> dict[str, _Lines]:
    import openpyxl

    with reading(path, "not a readable workbook", "copy it again"), warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions that do not concern the cells
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
                raise DataError(f"{path}: unpacks to more than {_MOST_UNPACKED >> 20} MB; this is no annotation sheet")
        with closing(openpyxl.load_workbook(file, read_only=True, data_only=True)) as book:
            if worksheet is not None and worksheet not in book.sheetnames:
                raise DataError(f"{path}: no worksheet {worksheet}; it has {', '.join(book.sheetnames)}")
            shown = [page for page in book.worksheets if page.sheet_state == "visible"]
            pages = shown if worksheet is None else [book[worksheet]]
            if not pages:
                raise DataError(f"{path}: every worksheet is hidden; show the one that counts")
            for page in pages:
                page.reset_dimensions()  # some programs state a wrong size, and rows beyond it would be lost
            return {p.title: _few(path, enumerate(p.iter_rows(values_only=True), start=1)) for p in pages}


def _hides_rows(path: Path) -> bool:
    """Whether some worksheet of a workbook has rows that a filter, or the user, hides."""
    with reading(path, "not a readable workbook", "copy it again"), zipfile.ZipFile(path) as archive:
        pages = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        return any(re.search(rb'<row [^>]*\bhidden="(1|true)"', archive.read(page)) for page in pages)
