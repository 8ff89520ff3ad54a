"""MATLAB files of levels 4 and 5, as ``save -v4``, ``-v6`` and ``-v7`` write them.

They are read here, since SciPy's compiled reader takes the process down on some damaged files. Whatever is wrong with
one is an exception; `tgsr.files.reading` makes it one of ours.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError

__all__ = ["MOST_BYTES", "NUMBERS", "Variable", "older_variables"]

NUMBERS = "numbers"
MOST_BYTES = 2**29
"""Of the values of a variable."""

_HEADER, _HEAD = 128, 2**12  # bytes: of a file of level 5; of a variable, until its values begin
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_SPARSE, _OPAQUE, _COMPLEX = 5, 17, 0x800  # classes of matrices; a flag
_CLASSES = {1: "a cell array", 2: "a struct", 3: "an object", 4: "text", 16: "a function", _OPAQUE: "an object"}


@dataclass(frozen=True)
class Variable:
    """A variable: its name, what it holds (`NUMBERS`, "a struct" …), its shape, and what reads its values."""

    name: str
    holds: str
    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[Any]]


def older_variables(stream: BinaryIO) -> Iterator[Variable]:
    """The variables of an open file, one after another; values are read when they are asked for."""
    header = stream.read(_HEADER)
    end = stream.seek(0, 2)
    if len(header) < 20:
        raise ValueError("it is empty or cut off")
    level_4 = 0 in header[:4]
    if not level_4 and header[126:] not in (b"IM", b"MI"):
        raise ValueError("it does not begin as MATLAB files do")
    stream.seek(0 if level_4 else _HEADER)
    found = _level_4(stream) if level_4 else _level_5(stream, "<" if header.endswith(b"IM") else ">")
    for variable, following in found:
        if following > end:
            raise ValueError("it is cut off")
        if variable.name and not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", variable.name):
            raise ValueError(f"a variable cannot be called {variable.name!a:.40}")
        if variable.name:  # MATLAB keeps what belongs to functions in one without a name
            yield variable
        stream.seek(following)


def _level_4(stream: BinaryIO) -> Iterator[tuple[Variable, int]]:
    """The variables, and where the next one begins."""
    while header := stream.read(20):
        order = "<" if header[3] == 0 else ">"  # of a number below 5000
        kind, rows, columns, imaginary, n_name = struct.unpack(f"{order}5i", header)
        if kind // 100 % 10 or min(rows, columns) < 0 or not 0 < n_name < _HEAD:
            raise ValueError("what should be the start of a variable is not one")
        name, start = stream.read(n_name).rstrip(b"\0").decode("latin-1"), stream.tell()
        dtype = np.dtype(order + _TYPES_4[kind // 10 % 10])
        size = rows * columns * dtype.itemsize
        holds = ("complex numbers" if imaginary else NUMBERS, "text")[kind % 10] if kind % 10 < 2 else "a sparse matrix"
        read = partial(_read_4, stream, start, size, dtype, (rows, columns))
        yield Variable(name, holds, (rows, columns), read), start + size * (2 if imaginary else 1)


def _read_4(stream: BinaryIO, start: int, size: int, dtype: np.dtype[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    stream.seek(start)
    return np.frombuffer(stream.read(size), dtype).reshape(shape, order="F")


def _level_5(stream: BinaryIO, order: str) -> Iterator[tuple[Variable, int]]:
    """The variables, and where the next one begins."""
    while tag := stream.read(8):
        kind, size = struct.unpack(f"{order}II", tag)
        start = stream.tell()
        head, packed, unpacked = stream.read(min(size, _HEAD)), kind == _COMPRESSED, 0
        if packed:
            head = zlib.decompressobj().decompress(head, _HEAD)
            kind, unpacked = struct.unpack_from(f"{order}II", head)
            head = head[8:]
        if kind != _MATRIX:
            raise ValueError("what should be a variable is not one")
        content = partial(_content, stream, start, size, unpacked)
        yield _variable(head, order, content), start + size + (0 if packed else -size % 8)


def _content(stream: BinaryIO, start: int, size: int, unpacked: int) -> memoryview:
    """What a variable consists of; ``unpacked`` is its size where it is compressed, else 0."""
    if max(size, unpacked) > MOST_BYTES:
        raise DataError(f"a variable takes {max(size, unpacked) >> 20} MB, more than {MOST_BYTES >> 20} MB")
    stream.seek(start)
    data = stream.read(size)
    if not unpacked:
        return memoryview(data)
    unpack = zlib.decompressobj()
    data = unpack.decompress(data, 9 + unpacked)  # one more byte than there are: only then the checksum is looked at
    if not unpack.eof:
        raise ValueError("what is compressed does not end where it says")
    return memoryview(data)[8:]


def _variable(head: bytes, order: str, content: Callable[[], memoryview]) -> Variable:
    parts = _parts(memoryview(head), order)
    flags = int(np.frombuffer(next(parts)[1], f"{order}u4")[0])
    kind = flags & 0xFF
    shape = () if kind == _OPAQUE else tuple(np.frombuffer(next(parts)[1], f"{order}i4").tolist())
    name = bytes(next(parts)[1]).decode("latin-1")
    if min(shape, default=0) < 0:
        raise ValueError(f"{name!a:.40} has the shape {shape}")
    holds = _CLASSES.get(kind, "complex numbers" if flags & _COMPLEX else NUMBERS)
    return Variable(name, holds, shape, partial(_values, content, order, shape, kind == _SPARSE))


def _values(content: Callable[[], memoryview], order: str, shape: tuple[int, ...], is_sparse: bool) -> npt.NDArray[Any]:
    """The values of a variable; ``shape`` is the one it states."""
    _, _, _, *parts = _parts(content(), order)
    numbers = [np.frombuffer(part, order + _TYPES[kind]) for kind, part in parts]
    if not is_sparse:
        (values,) = numbers
        return values.reshape(shape, order="F")
    rows, ends, values = numbers
    n_values, bounds = int(ends[-1]), ends.astype(np.int64)
    counts = bounds[1:] - bounds[:-1]
    if len(counts) != shape[1] or ends[0] != 0 or (counts < 0).any() or n_values > min(len(rows), len(values)):
        raise ValueError("its sparse values cannot be told apart")
    columns = np.repeat(np.arange(shape[1]), counts)
    full = np.zeros(math.prod(shape))
    full[np.ravel_multi_index((rows[:n_values], columns), (shape[0], shape[1]))] = values[:n_values]
    return full.reshape(shape)


def _parts(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The elements that a variable consists of, one after another: the kind of each, and its bytes."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, following = at + 8, at + 8 + size + -size % 8
        if kind >> 16:  # up to four bytes stand in the place of their number
            kind, size, start, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if start + size > min(following, len(data)):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        at = following
