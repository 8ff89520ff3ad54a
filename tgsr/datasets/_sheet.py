"""Annotation sheets: ``.xlsx`` or ``.csv``, read into rows by column name."""

from __future__ import annotations

import csv
import math
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tgsr.errors import DataError, MissingDataError
from tgsr.files import reading

__all__ = ["Row", "Sheet", "read_sheet", "whole_number"]

_HEADER_WITHIN = 20  # rows in which the header is looked for: some sheets start with a title or a legend
_MOST_ROWS = 100_000
_MOST_CELLS = 2**22  # a small workbook can state cells far to the right in every row
_MOST_BYTES = 2**25  # of the file
_MOST_UNPACKED = 2**26  # of all that a workbook unpacks to


@dataclass(frozen=True)
class Row:
    """One line of a sheet: its number in the file, and its values by column name (lower case)."""

    number: int
    values: dict[str, Any]

    def text(self, *columns: str) -> str:
        """The first of these columns that the sheet has, as text; empty where the cell is."""
        value = self._first(columns)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip()

    def integer(self, *columns: str) -> int | None:
        """The first of these columns that the sheet has, as a whole number; None where it is none ("/", empty)."""
        return whole_number(self._first(columns))

    def _first(self, columns: Iterable[str]) -> Any:
        return next((self.values[name] for name in columns if name in self.values), None)


@dataclass(frozen=True)
class Sheet:
    """A sheet's file, its column names (lower case), and its rows, empty ones left out."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def whole_number(value: Any) -> int | None:
    """A cell as a whole number: 46, 46.0 and "46" are, "/", "46.5", an empty cell and NaN are not."""
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and number.is_integer() else None


def read_sheet(
    path: str | os.PathLike[str],
    required: Iterable[str],
    *,
    worksheet: str | None = None,
    names: tuple[str, ...] | None = None,
) -> Sheet:
    """Read a sheet.

    Parameters
    ----------
    path : path
    required : iterable of str
        Column names, lower case, that the header must have; the header is the first row that has them all.
    worksheet : str, optional
        Of a workbook; by default the first.
    names : tuple of str, optional
        The columns' names, for a sheet without a header.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is damaged, of another format, too large, or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such annotation sheet")
    required = tuple(required)
    lines = enumerate(_lines(path, worksheet), start=1)
    if names is not None:
        return Sheet(path, names, tuple(row for n, cells in lines if any((row := Row(n, _named(names, cells))).values)))
    seen: list[str] = []
    for number, line in lines:
        names = tuple(str(cell).strip().lower() if cell is not None else "" for cell in line)
        if set(required) <= set(names):
            rows = (Row(n, _named(names, cells)) for n, cells in lines)
            return Sheet(path, tuple(filter(None, names)), tuple(row for row in rows if any(row.values.values())))
        seen += [name for name in names if name]
        if number == _HEADER_WITHIN:
            break
    raise DataError(f"{path}: no header with the columns {', '.join(required)}; found {', '.join(seen[:12]) or 'none'}")


def _named(names: tuple[str, ...], cells: tuple[Any, ...]) -> dict[str, Any]:
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}


def _lines(path: Path, worksheet: str | None) -> Iterator[tuple[Any, ...]]:
    suffix = path.suffix.lower()
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: larger than {_MOST_BYTES >> 20} MB; this is no annotation sheet")
    if suffix == ".csv":
        return _csv_lines(path)
    if suffix == ".xlsx":
        return _workbook_lines(path, worksheet)
    raise DataError(f"{path}: not a known kind of sheet; save it as .xlsx or .csv")


def _csv_lines(path: Path) -> Iterator[tuple[Any, ...]]:
    with (
        reading(path, "not a readable CSV", "save it as CSV UTF-8"),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        rows = csv.reader(stream, strict=True)
        return iter(_few(path, (tuple(cell.strip() for cell in line) for line in rows)))


def _few(path: Path, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows, unless they are more than a sheet has."""
    kept: list[tuple[Any, ...]] = []
    n_cells = 0
    for row in rows:
        kept.append(row)
        n_cells += len(row)
        if len(kept) > _MOST_ROWS or n_cells > _MOST_CELLS:
            raise DataError(f"{path}: more than {_MOST_ROWS} rows or {_MOST_CELLS} cells; this is no annotation sheet")
    return kept


def _workbook_lines(path: Path, worksheet: str | None) -> Iterator[tuple[Any, ...]]:
    import openpyxl

    with reading(path, "not a readable workbook", "copy it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions that do not concern the cells
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
                raise DataError(f"{path}: unpacks to more than {_MOST_UNPACKED >> 20} MB; this is no annotation sheet")
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
            if worksheet is not None and worksheet not in book.sheetnames:
                raise DataError(f"{path}: no worksheet {worksheet}; it has {', '.join(book.sheetnames)}")
            sheet = book.worksheets[0] if worksheet is None else book[worksheet]
            sheet.reset_dimensions()  # some programs state a wrong size, and rows beyond it would be lost
            return iter(_few(path, sheet.iter_rows(values_only=True)))
