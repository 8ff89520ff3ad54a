"""Optuna's storages: an embedded journal file by default, a database or Optuna's proxy for many machines."""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock

from tgsr.errors import MissingDataError, TrackingError

__all__ = ["JournalFile", "hold", "is_embedded", "open_storage"]

_ATTEMPTS = 4


def open_storage(url: str, *, create: bool = True, read_only: bool = False) -> BaseStorage:
    """Open Optuna's storage.

    Parameters
    ----------
    url : str
        A path (a journal file), ``sqlite:///…``, ``postgresql://…`` or another SQLAlchemy URL, or ``grpc://host:port``
        (Optuna's proxy, for workers that cannot reach the database).
    create : bool
        Make a journal file that does not exist; otherwise that is an error.
    read_only : bool
        Leave a journal file untouched, even its lock: for looking only.

    Raises
    ------
    MissingDataError
        If the journal file does not exist and is not to be made.
    TrackingError
        If the storage cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if url.startswith("grpc://"):
            parsed = urlparse(url)
            warnings.filterwarnings("ignore", "GrpcStorageProxy is experimental")
            proxy = optuna.storages.GrpcStorageProxy(host=parsed.hostname or "localhost", port=parsed.port or 13000)
            proxy.get_all_studies()
            return proxy
        if "://" in url:
            engine_options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
            # cached as Optuna's own studies are: without it every look loads every trial again
            return optuna.storages.get_storage(_open_database(url, engine_options))
    except Exception as error:  # SQLAlchemy, the driver and grpc raise their own
        raise TrackingError(f"Optuna's storage {shown(url)} cannot be opened: {error}") from error
    path = Path(url)
    if not create and not path.is_file():
        raise MissingDataError(f"{path}: no such Optuna journal; name the study's storage with --storage or --home")
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFile(path, read_only=read_only))


def _open_database(url: str, engine_options: dict[str, Any]) -> RDBStorage:
    """Open a database; of processes that make its tables at once, all but one are refused, and look again."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for attempt in range(_ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs=engine_options)
        except (IntegrityError, ProgrammingError):
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.5)
    raise AssertionError


def is_embedded(url: str) -> bool:
    """Whether the storage is a journal file, which other machines cannot use."""
    return "://" not in url


def shown(url: str) -> str:
    """The URL without its password."""
    parsed = urlparse(url)
    return url.replace(f":{parsed.password}@", ":…@") if parsed.password else url


@contextmanager
def hold(storage: BaseStorage) -> Iterator[None]:
    """Write what follows to a journal file under one lock and one fsync; other storages are left as they are."""
    backend = getattr(storage, "_backend", None)
    if isinstance(backend, JournalFile):
        with backend.held():
            yield
    else:
        yield


class JournalFile(BaseJournalBackend):
    """Optuna's journal file, made safe against kill -9 and cheap for batches.

    Optuna's own backend waits 30 s for the lock of a process that was killed, and a record that such a process left
    half-written makes the file unreadable with the next append. Here the lock is the operating system's (it goes with
    the process), and a cut record is removed before anything is appended. Records are Optuna's: its own backend
    reads the file.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._held: IO[bytes] | None = None
        if not read_only:
            path.touch()
        # it only reads, and takes no lock for that
        self._reader = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        if not read_only:
            with self._locked():
                pass  # removes a record that was cut

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Give the records from a number on.

        Raises
        ------
        TrackingError
            If a line is none, with its number.
        """
        try:
            for record in self._reader.read_logs(log_number_from):
                if not isinstance(record, dict) or "op_code" not in record:
                    raise ValueError("no record")
                yield record
        except ValueError as error:  # also what is no JSON, or no text
            raise TrackingError(
                f"{self._path}, line {_first_bad_line(self._path)}: this is no record of an Optuna journal; restore "
                "the file, or move it away to begin anew"
            ) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records; durable on return, or at the end of `held`."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._mutex:
            if self._held is not None:
                self._held.write(text)
                self._held.flush()
                return
        with self._locked() as file:
            file.write(text)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the lock over several appends."""
        with self._locked() as file:
            self._held = file
            try:
                yield
            finally:
                with self._mutex:
                    self._held = None

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        with self._path.open("rb+") as file:
            _lock(file)
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    file.truncate(_last_line_end(file, end))
                file.seek(0, os.SEEK_END)
            yield file
            file.flush()
            os.fsync(file.fileno())
        # closing the file gives the lock back


def _first_bad_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                if "op_code" not in dict(json.loads(line)):
                    return number
            except (ValueError, TypeError):
                return number
    return 0


def _last_line_end(file: IO[bytes], end: int) -> int:
    step = 65536
    position = end
    while position > 0:
        start = max(0, position - step)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _lock(file: IO[bytes]) -> None:
    """Wait for the operating system's exclusive lock on an open file."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
                return
            except OSError:
                time.sleep(0.01)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
