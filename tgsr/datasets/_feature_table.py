"""Tables of features that other programs wrote: text (see `tgsr.datasets._table`) or parquet, read column by column."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets._columns import Columns, assign_columns, check_features, has_role
from tgsr.datasets._table import MOST_COLUMNS, Line, number, read_lines
from tgsr.errors import DataError

__all__ = ["MOST_BYTES", "check_size", "known_texts", "read_feature_table"]

MOST_BYTES = 2**29
"""Of a file, and of its values as float64."""
_FEWEST_ROWS = 5  # fewer may have a label each
_ABSENT = ("", "nan", "<na>", "nat")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_REMEDY = "leave it out with --drop '{name}', or, if it is a feature, call it GROUP/NAME"


def read_feature_table(path: Path, label: str | None = None, drop: Collection[str] = ()) -> dict[str, Any]:
    """Read a table with a row for each sample; what its columns are `assign_columns` says.

    Returns
    -------
    dict
        ``features`` (n, p), their ``names`` (p,); ``label``, ``subject``, ``clip``: text (n,) or None; ``notes``.

    Raises
    ------
    DataError
        If a cell is missing or no number, or it is not clear what a row or a column is; it names the line and column.
    """
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_text
    columns, names, features, texts = read(path, label, drop)
    known = {role: known_texts(role, values, f"column {columns.known_names[role]}: ") for role, values in texts.items()}
    check_features(features, names, known.get("label"), _REMEDY)
    return {"label": None, "subject": None, "clip": None, **known, "features": features, "names": names,
            "notes": columns.notes}  # fmt: skip


def check_size(n_values: int, n_columns: int = 0) -> None:
    """Refuse more values, or columns, than a database has."""
    if 8 * n_values > MOST_BYTES or n_columns > MOST_COLUMNS:
        raise DataError(
            f"{n_values:,} values{f' in {n_columns:,} columns' if n_columns else ''} are too many; split the database, "
            "or give fewer features"
        )


def known_texts(role: str, values: Sequence[str], where: str = "") -> npt.NDArray[np.str_]:
    """Labels, people or clips as text, each sample with one; labels that are numbers as whole ones, 1.0 like 1."""
    for row, value in enumerate(values, start=1):
        if value.lower() in _ABSENT or value == "None":
            raise DataError(f"{where}sample {row} has no {role}; give it one, or leave the sample or the {role}s out")
    numbers = [number(value) for value in values]
    if role == "label" and None not in numbers:
        codes = np.array(numbers, dtype=np.float64)
        if (codes != np.rint(codes)).any() or len(np.unique(codes)) == len(codes) > _FEWEST_ROWS:
            odd = values[int(np.argmax(codes != np.rint(codes)))]
            raise DataError(f"{where}labels are text, or whole numbers that come again, got {odd}; are these labels?")
        if any(re.search("[.eE]", value) for value in values):
            values = [f"{code:.0f}" for code in codes]
    return np.array(values, dtype=np.str_)


Parts = tuple[Columns, list[str], npt.NDArray[np.float64], dict[str, list[str]]]


def _read_text(path: Path, label: str | None, drop: Collection[str]) -> Parts:
    lines = read_lines(path)
    header, lines = _header(lines)
    check_size(0, len(header))
    columns = assign_columns(header, label, drop)
    names = [header[position] for position in columns.features]
    parser = _Parser(header, columns)
    rows = [parser.numbers(line) for line in parser.checked(lines)]
    if not rows or not names:
        raise DataError("it has no samples" if not rows else "it has no column of features")
    parser.finish()
    return columns, names, np.array(rows), parser.texts


def _header(lines: Iterator[Line]) -> tuple[tuple[str, ...], Iterator[Line]]:
    """The columns' names and the lines below them; refuse a table whose first line may be a sample."""
    marked: Line | None = None
    for line in lines:
        if not line.marked:
            break
        marked = line
    else:
        raise DataError("it has no lines but comments" if marked else "it is empty")
    width = len(line.cells)
    numeric = [cell for cell in line.cells if _is_number(cell)]
    if marked is not None and numeric and len(marked.cells) == width:
        return marked.cells, chain([line], lines)
    after = next(lines, None)
    lines = lines if after is None else chain([after], lines)
    if numeric and not any(has_role(cell) for cell in line.cells):
        counted = numeric in ([str(n) for n in range(start, start + len(numeric))] for start in (0, 1))
        others = {cell for cell in line.cells if not _is_number(cell)}
        below = () if after is None else after.cells[1:] if "" in others else after.cells
        if len(numeric) < 3 or not counted or others - {""} or not all(re.search("[.,eE]", cell) for cell in below):
            raise DataError(
                f"line {line.number} has the number {numeric[0]} where the names of the columns are expected; write "
                "them into the first line (label,f1,f2 …), or the first sample is lost"
            )
    while width > 1 and not line.cells[width - 1]:
        width -= 1  # a delimiter at the end of the lines
    nameless = [n for n, cell in enumerate(line.cells[1:width], start=2) if not cell]
    if nameless:
        raise DataError(f"line {line.number}: column {nameless[0]} has no name; give it one, or remove the column")
    return line.cells[:width], lines


def _text_index(name: str, cell: str) -> str:
    return (
        f"its index {name!r} holds text, as {cell!a:.40}; call it label, subject or clip, whichever it is, or leave it "
        f"out with --drop '{name}'"
    )


def _is_number(cell: str) -> bool:
    return number(cell) is not None or number(cell, comma=True) is not None or cell.lower() in ("nan", "inf", "-inf")


class _Parser:
    """Lines of text as numbers and names; what is no number is refused with its place."""

    def __init__(self, header: tuple[str, ...], columns: Columns) -> None:
        self.texts: dict[str, list[str]] = {role: [] for role in columns.known}
        self._header, self._columns = header, columns
        self._commas: list[tuple[int, str]] = []
        self._points = False
        self._n_values = 0

    def checked(self, lines: Iterator[Line]) -> Iterator[Line]:
        """The lines that have a cell for each name."""
        width = len(self._header)
        for line in lines:
            n_cells = len(line.cells)
            if n_cells < width or any(line.cells[width:]):
                raise DataError(
                    f"line {line.number} has {n_cells} cells and the header {width}; quote cells that hold the "
                    "delimiter (decimal commas, too), and give an index its name or leave it out (index=False)"
                )
            self._n_values += width
            check_size(self._n_values)
            for position in self._columns.index:
                if not _is_number(line.cells[position]):
                    raise DataError(_text_index(self._header[position], line.cells[position]))
            for role, position in self._columns.known.items():
                self.texts[role].append(line.cells[position])
            yield line

    def numbers(self, line: Line) -> npt.NDArray[np.float64]:
        """The features of a line."""
        cells = [line.cells[position] for position in self._columns.features]
        text = "".join(cells)
        try:
            if not text.isascii() or any(character in text for character in "_nN"):
                raise ValueError  # what Python takes for numbers besides: 1_000, nan
            row = np.array(list(map(float, cells)))
            self._points = self._points or "." in text
        except ValueError:
            row = np.array([self._number(line, *pair) for pair in zip(self._columns.features, cells, strict=True)])
        return row

    def _number(self, line: Line, position: int, cell: str) -> float:
        value = number(cell)
        if value is not None:
            self._points = self._points or "." in cell
        elif "," in cell and (value := number(cell, comma=True)) is not None:
            self._commas.append((line.number, cell))
        if value is None:
            name = self._header[position]
            what = f"{cell!a:.40} is no finite number" if cell else "an empty cell"
            label = "" if "label" in self._columns.known else f", or, if it is the label, --label '{name}'"
            raise DataError(f"line {line.number}, column {name}: {what}; correct it, or --drop '{name}'{label}")
        return value

    def finish(self) -> None:
        """Refuse commas that may be decimal ones or divide thousands."""
        if self._commas and (self._points or all(_THOUSANDS.fullmatch(cell) for _, cell in self._commas)):
            number_, cell = self._commas[0]
            mixed = "points are there, too" if self._points else "they may divide thousands"
            raise DataError(f"line {number_}: is {cell} a decimal comma? {mixed}; write 1234.5 for all numbers")


def _read_parquet(path: Path, label: str | None, drop: Collection[str]) -> Parts:
    import pyarrow.parquet
    import pyarrow.types as kinds

    stated: Any = pyarrow.parquet.read_metadata(path)
    check_size(stated.num_rows * stated.num_columns, stated.num_columns)
    table: Any = pyarrow.parquet.read_table(path)  # pandas' index is a column like the others
    header = [str(name).strip() for name in table.column_names]
    columns = assign_columns(header, label, drop)
    names = [header[position] for position in columns.features]
    if not table.num_rows or not names:
        raise DataError("it has no samples" if not table.num_rows else "it has no column of features")
    for position in columns.index:
        if kinds.is_string(table.schema.types[position]) or kinds.is_large_string(table.schema.types[position]):
            raise DataError(_text_index(header[position], table.column(position)[0].as_py()))
    features = np.empty((table.num_rows, len(names)))
    for place, (position, name) in enumerate(zip(columns.features, names, strict=True)):
        kind = table.schema.types[position]
        if not (kinds.is_integer(kind) or kinds.is_floating(kind)):
            raise DataError(f"column {name} holds {kind} and no numbers; {_REMEDY.format(name=name)}")
        features[:, place] = table.column(position).to_numpy()
        bad = np.flatnonzero(~np.isfinite(features[:, place]))
        if bad.size:
            raise DataError(f"row {bad[0] + 1}, column {name}: no finite number; correct it, or --drop '{name}'")
    texts = {role: [_text(cell) for cell in table.column(at).to_pylist()] for role, at in columns.known.items()}
    return columns, names, features, texts


def _text(cell: Any) -> str:
    """A cell of a label, person or clip: whole numbers without a point, as text has them."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if cell is not None and (isinstance(cell, bool) or not isinstance(cell, (str, int, float))):
        raise DataError(f"labels, subjects and clips are text or numbers, got {cell!a:.40}")
    return "" if cell is None else str(cell).strip()
