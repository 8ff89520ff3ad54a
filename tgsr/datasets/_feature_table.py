"""Tables of features that other programs wrote: text (see `tgsr.datasets._table`) or parquet, read column by column."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets._columns import ROLES, Columns, assign_columns, check_features, has_role
from tgsr.datasets._table import MOST_COLUMNS, Line, number, read_lines
from tgsr.datasets._texts import is_absent
from tgsr.errors import DataError

__all__ = ["FEWEST_ROWS", "MOST_BYTES", "as_text", "check_size", "known_texts", "read_feature_table"]

MOST_BYTES = 2**29
"""Of a file, and of its values as float64."""
FEWEST_ROWS = 5  # fewer may have a label each
_TOTALS = ("total", "totals", "sum", "mean", "average", "median", "std")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_REMEDY = "leave it out with --drop '{name}', or, if it is a feature, call it GROUP/NAME"


def read_feature_table(
    path: Path, label: str | None = None, drop: Collection[str] = (), known: Collection[str] = ()
) -> dict[str, Any]:
    """Read a table with a row for each sample; what its columns are `assign_columns` says.

    ``known`` are labels that a label map has, see `known_texts`.

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
    columns, features, texts = read(path, label, drop)
    if not features.size:
        raise DataError("it has no column of features" if len(features) else "it has no samples")
    rows: dict[str, Any] = dict.fromkeys(ROLES)
    for role, position in columns.known.items():
        rows[role] = known_texts(role, texts[role], f"column {columns.names[position]}: ", known)
    check_features(features, columns.feature_names, rows["label"], _REMEDY)
    place = {name: column for column, name in enumerate(columns.feature_names)}
    renamed = [(name, name.rpartition(".")[0]) for name in place if re.fullmatch(r".+\.\d+", name)]  # as pandas does
    for name, first in renamed:
        if first in place and (features[:, place[name]] == features[:, place[first]]).all():
            columns.notes.append(f"{name} holds the same as {first}; leave one of them out with --drop")
    return {**rows, "features": features, "names": columns.feature_names, "notes": columns.notes}


def check_size(n_values: int, n_columns: int = 0) -> None:
    """Refuse more values, or columns, than a database has."""
    if 8 * n_values > MOST_BYTES or n_columns > MOST_COLUMNS:
        raise DataError(
            f"{n_values:,} values{f' in {n_columns:,} columns' if n_columns else ''} are too many; split the database, "
            "or give fewer features"
        )


def known_texts(role: str, values: Sequence[str], where: str = "", known: Collection[str] = ()) -> npt.NDArray[np.str_]:
    """Labels, people or clips as text, each sample with one; labels that are numbers as whole ones, 1.0 like 1.

    What would be no label, such as NA, is one if ``known`` has it, see `is_absent`.
    """
    for row, value in enumerate(values, start=1):
        if is_absent(value, role, known):
            raise DataError(f"{where}sample {row} has no {role}; give it one, or leave the sample or the {role}s out")
    if role == "label" and values[-1:] and values[-1].lower() in _TOTALS and values.count(values[-1]) == 1:
        raise DataError(f"{where}the last sample is called {values[-1]}; is it a total? Remove that row")
    numbers = [number(value) for value in values]
    if role == "label" and None not in numbers:
        codes = np.array(numbers, dtype=np.float64)
        if (codes != np.rint(codes)).any() or len(np.unique(codes)) == len(codes) > FEWEST_ROWS:
            odd = values[int(np.argmax(codes != np.rint(codes)))]
            raise DataError(f"{where}labels are text, or whole numbers that come again, got {odd}; are these labels?")
        if any(re.search("[.eE]", value) for value in values):
            values = [f"{code:.0f}" for code in codes]
    return np.array(values, dtype=np.str_)


def as_text(cell: Any, what: str) -> str:
    """A label, person or clip as text: whole numbers without a point, empty for None and NaN."""
    if isinstance(cell, bool) or not isinstance(cell, (str, bytes, int, float, type(None))):
        raise DataError(f"{what} are text or whole numbers, got {type(cell).__name__}")
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, float):
        return f"{cell:.0f}" if cell.is_integer() else repr(cell)
    return (cell.decode("utf-8") if isinstance(cell, bytes) else str(cell)).strip()


Parts = tuple[Columns, npt.NDArray[np.float64], dict[str, list[str]]]


def _read_text(path: Path, label: str | None, drop: Collection[str]) -> Parts:
    header, lines = _header(read_lines(path))
    check_size(0, len(header))
    columns = assign_columns(header, label, drop)
    numbers = _Numbers(columns)
    texts: dict[str, list[str]] = {role: [] for role in columns.known}
    rows: list[npt.NDArray[np.float64]] = []
    for line in lines:
        if len(line.cells) < len(header) or any(line.cells[len(header) :]):
            raise DataError(
                f"line {line.number} has {len(line.cells)} cells and the header {len(header)}; quote cells that hold "
                "the delimiter (decimal commas, too), give an index its name or leave it out (index=False), and remove "
                "what stands above the header"
            )
        check_size(len(header) * (len(rows) + 1))
        for position in columns.index:
            if not _is_number(line.cells[position]):
                raise DataError(_text_index(header[position], line.cells[position]))
        for role, position in columns.known.items():
            texts[role].append(line.cells[position])
        rows.append(numbers.read(line))
    numbers.check_commas()
    return columns, np.array(rows), texts


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
    if numeric and not any(map(has_role, line.cells)):
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
    if width == 1 < len(line.cells) and after is not None and len(after.cells) == 1:
        width = 2  # at the end of this line only, it may belong to the name
    if "" in line.cells[1:width]:
        nameless = line.cells.index("", 1) + 1
        raise DataError(f"line {line.number}: column {nameless} has no name; give it one, or remove the column")
    return line.cells[:width], lines


def _text_index(name: str, cell: str) -> str:
    return (
        f"its index {name!r} holds text, as {cell!a:.40}; call it label, subject or clip, whichever it is, or leave it "
        f"out with --drop '{name}'"
    )


def _is_number(cell: str) -> bool:
    return number(cell) is not None or number(cell, comma=True) is not None or cell.lower() in ("nan", "inf", "-inf")


class _Numbers:
    """The features of lines of text; commas are decimal ones where nothing speaks against it."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._commas: list[tuple[int, str]] = []
        self._points = False

    def read(self, line: Line) -> npt.NDArray[np.float64]:
        """The features of a line; what is no number is refused with its place."""
        cells = [line.cells[position] for position in self._columns.features]
        text = "".join(cells)
        self._points = self._points or "." in text
        if text.isascii() and not any(character in text for character in "_nN"):  # Python reads 1_000 and nan, too
            with suppress(ValueError):
                return np.array(list(map(float, cells)))
        return np.array([self._number(line.number, *pair) for pair in enumerate(cells)])

    def _number(self, line: int, position: int, cell: str) -> float:
        value = number(cell)
        if value is None and "," in cell and (value := number(cell, comma=True)) is not None:
            self._commas.append((line, cell))
        if value is None:
            name = self._columns.feature_names[position]
            what = f"{cell!a:.40} is no finite number" if cell else "an empty cell"
            label = "" if "label" in self._columns.known else f", or, if it is the label, --label '{name}'"
            raise DataError(f"line {line}, column {name}: {what}; correct it, or --drop '{name}'{label}")
        return value

    def check_commas(self) -> None:
        """Refuse commas that may divide thousands, or stand beside points."""
        if self._commas and (self._points or all(_THOUSANDS.fullmatch(cell) for _, cell in self._commas)):
            line, cell = self._commas[0]
            mixed = "points are there, too" if self._points else "they may divide thousands"
            raise DataError(f"line {line}: is {cell} a decimal comma? {mixed}; write 1234.5 for all numbers")


def _read_parquet(path: Path, label: str | None, drop: Collection[str]) -> Parts:
    import pyarrow.parquet
    import pyarrow.types as kinds

    stated: Any = pyarrow.parquet.read_metadata(path)
    check_size(stated.num_rows * stated.num_columns, stated.num_columns)
    table: Any = pyarrow.parquet.read_table(path)  # pandas' index is a column like the others
    columns = assign_columns([str(name).strip() for name in table.column_names], label, drop)
    types = table.schema.types
    for position in columns.index:
        if table.num_rows and (kinds.is_string(types[position]) or kinds.is_large_string(types[position])):
            raise DataError(_text_index(columns.names[position], table.column(position)[0].as_py()))
    features = np.empty((table.num_rows, len(columns.features)))
    for place, position in enumerate(columns.features):
        name, kind = columns.names[position], types[position]
        if not (kinds.is_integer(kind) or kinds.is_floating(kind)):
            raise DataError(f"column {name} holds {kind} and no numbers; {_REMEDY.format(name=name)}")
        features[:, place] = table.column(position).to_numpy()
        bad = np.flatnonzero(~np.isfinite(features[:, place]))
        if bad.size:
            raise DataError(f"row {bad[0] + 1}, column {name}: no finite number; correct it, or --drop '{name}'")
    texts = {
        role: [as_text(cell, f"{role}s") for cell in table.column(position).to_pylist()]
        for role, position in columns.known.items()
    }
    return columns, features, texts
