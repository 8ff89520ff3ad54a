"""Files: read so that every error names them, written so that a reader never sees half of one."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tgsr.errors import DataError, ParameterError, TgsrError, one_line

__all__ = ["atomic_path", "check_output", "reading", "write_text"]

_log = logging.getLogger(__name__)


def check_output(path: str | os.PathLike[str], *suffixes: str) -> Path:
    """Check, before the work, the name of a file that will be written; says so if its folder will be made.

    Raises
    ------
    ParameterError
        If it does not end in one of the suffixes, or is a folder.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        raise ParameterError(f"{target}: use a name that ends in {' or '.join(suffixes)}")
    if target.is_dir():
        raise ParameterError(f"{target} is a folder; name a file in it")
    if not target.parent.is_dir():
        _log.info("%s: there is no such folder yet; it will be made", target.parent)
    return target


@contextmanager
def reading(path: str | os.PathLike[str], failure: str = "cannot be read", remedy: str = "") -> Iterator[None]:
    """Let whatever goes wrong with a foreign file be one of our errors that names it: parsers raise what they like."""
    try:
        yield
    except TgsrError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        raise DataError(f"{path}: {failure} ({one_line(error)}){'; ' * bool(remedy)}{remedy}") from error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it replaces ``path`` in one step, on failure it is removed.

    The temporary file keeps ``path``'s suffix, so that writers which look at it (NumPy, OpenCV) do the right thing.
    Missing parent folders are made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give the result the permissions that an ordinary open() would
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno and error.filename in (None, name):  # what writes to an open file does not know its name
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file in one step; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
