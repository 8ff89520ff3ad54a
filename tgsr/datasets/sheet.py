"""Annotation sheets: ``.xlsx`` or ``.csv``, read into rows by column name."""

from __future__ import annotations

import csv
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tgsr.errors import DataError, MissingDataError

__all__ = ["Row", "Sheet", "read_sheet", "whole_number"]

_HEADER_WITHIN = 10  # rows in which the header is looked for: some sheets start with a title


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


def read_sheet(path: str | os.PathLike[str], required: Iterable[str]) -> Sheet:
    """Read a sheet (of a workbook, the first one).

    Parameters
    ----------
    path : path
    required : iterable of str
        Column names, lower case, that the header must have; the header is the first row that has them all.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is damaged, of another format, or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such annotation sheet")
    required = tuple(required)
    lines = enumerate(_lines(path), start=1)
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


def _lines(path: Path) -> Iterator[tuple[Any, ...]]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _csv_lines(path)
    if suffix == ".xlsx":
        return _workbook_lines(path)
    raise DataError(f"{path}: not a known kind of sheet; save it as .xlsx or .csv")


def _csv_lines(path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save it as CSV UTF-8") from error
    try:
        return iter([tuple(cell.strip() for cell in line) for line in csv.reader(text.splitlines(), strict=True)])
    except csv.Error as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from error


def _workbook_lines(path: Path) -> Iterator[tuple[Any, ...]]:
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions that do not concern the cells
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()  # some programs state a wrong size, and rows beyond it would be lost
                return iter([tuple(line) for line in sheet.iter_rows(values_only=True)])
            finally:
                book.close()
    except Exception as error:  # openpyxl raises whatever its zip and XML parts raise on damaged files
        raise DataError(f"{path}: not a readable workbook ({error}); copy it again") from error
