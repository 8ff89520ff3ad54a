"""The one place that reads delimited text, for features and for lists of clips: encoding, delimiter, lines, numbers."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from tgsr.errors import DataError
from tgsr.files import reading

__all__ = ["MOST_COLUMNS", "TEXT_SUFFIXES", "Line", "number", "read_lines"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")

MOST_COLUMNS = 200_000

_DELIMITERS = ",;\t|"
_MARKS = ("#", "%")
_BLANK, _BLANKS = " ", "  "  # as `numpy.savetxt` writes by default; any number of them
_HEAD_LINES, _HEAD_CHARACTERS = 64, 2**20  # what the delimiter is told by: at least three lines, at most so much
_LONGEST_LINE = 2**23

IsHeader = Callable[[Sequence[str]], bool]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: where it begins in the file (from 1), and its cells as text without spaces around them.

    ``marked``: it stands above all others and begins with ``#`` or ``%``, which is left out of the cells if a space
    follows: a comment, or a header as `numpy.savetxt` writes it.
    """

    number: int
    cells: tuple[str, ...]
    marked: bool = False


def read_lines(path: str | os.PathLike[str], is_header: IsHeader | None = None) -> Iterator[Line]:
    """The lines of a ``.csv``, ``.tsv`` or ``.txt``, one after another; empty ones are left out.

    The delimiter is a comma, semicolon, tab, ``|`` or blanks: what Excel's line ``sep=;`` says, else what divides
    the first lines into equally many cells. Text is UTF-8, or UTF-16 with its mark, as Excel's "Unicode text".

    ``is_header`` tells the header by its cells, where its columns are known: then its delimiter is the one that counts,
    and lines of another kind may stand above it. Text of another kind is a `DataError`; so are two delimiters that fit,
    and a comment between the lines.
    """
    path = Path(path)
    with reading(path, "not a readable table", "save it as CSV UTF-8"), path.open("rb") as stream:
        mark = stream.read(2)
    encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    with (
        reading(path, "not a readable table", "save it as CSV UTF-8"),
        path.open(encoding=encoding, newline="") as text,
    ):
        lines = _bounded(text)
        head = _head(lines)
        stated = re.fullmatch(r'"?sep=([^"\w\s]|\t)"?\1*\s*', head[0], re.IGNORECASE) if head else None
        head = head[1:] if stated else head
        delimiter = stated[1] if stated else _delimiter(head, is_header)
        yield from _split(chain(head, lines), delimiter, 2 if stated else 1)


def number(text: str, comma: bool = False) -> float | None:
    """A cell as a number, with a decimal comma if so said; None for anything else, also for NaN and infinity."""
    if comma:
        if not re.fullmatch(r"[+-]?\d*,?\d+(?:[eE][+-]?\d+)?", text):
            return None
        text = text.replace(",", ".")
    try:  # what Python alone takes for a number is none here: 1_000, other scripts' digits
        value = float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _bounded(text: TextIO) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise DataError("a line of more than 8 million characters; give fewer columns")
        if "\0" in line:
            raise DataError("it holds zero bytes, as UTF-16 without its mark does; save it as CSV UTF-8")
        if len(line) > MOST_COLUMNS and max(map(line.count, _DELIMITERS)) >= MOST_COLUMNS:
            raise DataError(f"more than {MOST_COLUMNS:,} columns are too many; give fewer features")
        yield line


def _head(lines: Iterator[str]) -> list[str]:
    head: list[str] = []
    size = 0
    for line in lines:
        head.append(line)
        size += len(line)
        if len(head) == _HEAD_LINES or (size > _HEAD_CHARACTERS and len(head) >= 3):
            break
    return head


def _delimiter(head: list[str], is_header: IsHeader | None) -> str:
    """What divides the lines: into as many cells each, or one of them into the columns that are known."""
    divided: dict[str, list[Line]] = {}
    for mark in (*_DELIMITERS, _BLANK, _BLANKS):
        with suppress(csv.Error):  # a line that is not divided by it may be longer than a cell can be
            divided[mark] = []
            divided[mark] = list(_split(head, mark, strict=False))
    if is_header is not None:
        return next((mark for mark in _DELIMITERS if any(is_header(line.cells) for line in divided[mark])), ",")
    fitting = [mark for mark in _DELIMITERS if _is_even(divided[mark])]
    others = [cell for mark in fitting if mark != "," for line in divided[mark] for cell in line.cells if "," in cell]
    if len(fitting) == 2 and "," in fitting and all(number(cell, comma=True) is not None for cell in others):
        fitting.remove(",")  # all commas are decimal ones
    if len(fitting) > 1:
        shown = " and ".join(map(repr, fitting))
        raise DataError(f"{shown} both divide its lines evenly; write a line sep={fitting[-1]} before all others")
    if fitting:
        return fitting[0]
    alone = [line.cells for line in divided[_BLANK] if not line.marked]
    if len(set(map(len, alone))) == 1 < len({tuple(map(bool, cells)) for cells in alone}):
        raise DataError("some cells between its blanks may be empty; write it with another delimiter")
    if _is_even(divided[_BLANKS]):
        return _BLANKS
    return max(_DELIMITERS, key=lambda mark: max((len(line.cells) for line in divided[mark]), default=0))


def _is_even(lines: list[Line]) -> bool:
    """Whether the lines have a cell for each of the first one's, more than one; empty cells at the end do not count."""
    rows = [line.cells for line in lines if not line.marked]
    width = max((n for n, cell in enumerate(rows[0], start=1) if cell), default=0) if rows else 0
    return width > 1 and all(len(row) >= width and not any(row[width:]) for row in rows)


def _split(lines: Iterable[str], delimiter: str, first: int = 1, *, strict: bool = True) -> Iterator[Line]:
    marked: set[int] = set()
    hashed: set[int] = set()

    def unmarked() -> Iterator[str]:
        above = True
        for number, line in enumerate(lines, start=first):
            if line.startswith("#"):
                hashed.add(number)
            above = above and (line.startswith(_MARKS) or not line.strip())
            if above and line.strip():
                marked.add(number)
                line = re.sub(r"^. +", "", line)  # without a space it may belong to a name
            yield line

    several = delimiter == _BLANKS
    reader = csv.reader(unmarked(), delimiter=delimiter[0], skipinitialspace=several, strict=strict)
    start = first
    for row in reader:
        cells = tuple(map(str.strip, row))
        if any(cells):
            if strict and start in hashed - marked:
                raise DataError(f"line {start} begins with #; remove it if it is a comment; if not, rename it")
            yield Line(start, cells, start in marked)
        start = first + reader.line_num
