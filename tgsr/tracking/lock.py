"""One coordinator a study: whoever comes second is refused at once, and told who holds the study since when."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tgsr.errors import TgsrError
from tgsr.tracking.client import ask_server
from tgsr.tracking.config import TrackingConfig, is_server
from tgsr.tracking.names import Tag
from tgsr.tracking.runs import user_name
from tgsr.tracking.storage_errors import sqlite_path, storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["LEASE_SECONDS", "LockedError", "StudyLock", "lock_holder", "study_lock"]

LEASE_SECONDS = 60.0
"""How long a lease on a tracking server holds without being renewed: a dead coordinator's holds nobody up longer."""
_RENEW_SECONDS = 12.0
_SETTLE_SECONDS = 1.0
"""Two that take a lease at once see after this time which of them was the later."""


class LockedError(TgsrError, RuntimeError):
    """Another process works on the study, or has taken it over."""


class StudyLock:
    """A held lock; it watches itself while it is held, as a lease or a database's lock may end with the connection."""

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._error: LockedError | None = None
        self._renewed = time.monotonic()
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="tgsr-lock", daemon=True)

    def check(self) -> None:
        """Make sure that the lock is held; call it before writing.

        Raises
        ------
        LockedError
            If another process has taken it.
        """
        if time.monotonic() - self._renewed > LEASE_SECONDS / 2:
            self._try()  # the machine slept, or the server was away: somebody may have come in between
        if self._error is not None:
            raise self._error

    def _try(self) -> None:
        with self._turn:
            try:
                self._renew()
                self._renewed = time.monotonic()
            except LockedError as error:
                self._error = error

    def _watch(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS) and self._error is None:
            # a server that is away now may be back in time
            with contextlib.suppress(Exception):
                self._try()

    def __enter__(self) -> StudyLock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=LEASE_SECONDS)


@contextmanager
def study_lock(config: TrackingConfig, client: MlflowClient, experiment_id: str, name: str) -> Iterator[StudyLock]:
    """Hold the study of this name, in this experiment of MLflow's, while the block runs.

    Next to a SQLite database it is a lock on a file, on PostgreSQL an advisory lock of a connection of its own: both
    go with the process that held them. Anything else, a tracking server above all, has a lease: a tag on the
    experiment, renewed by a thread, that others may take over once it is 60 s old.

    Raises
    ------
    LockedError
        If another process holds it.
    """
    note, uri = _Note(client, experiment_id, name), config.tracking_uri
    database = sqlite_path(uri)
    if database is not None:
        kind = _file_lock(note, database.with_name(f"{database.name}.{note.digest}.lock"))
    elif uri.startswith("postgres"):
        kind = _advisory_lock(note, uri, f"{experiment_id} {name}")
    else:
        kind = _lease(note, uri)
    with kind as renew, StudyLock(renew) as lock:
        yield lock


def lock_holder(config: TrackingConfig, client: MlflowClient, experiment_id: str, name: str) -> str | None:
    """Who holds a study, and since when; None if nobody does. A note that a dead process left does not count."""
    holder = _Note(client, experiment_id, name).read()
    if holder is None or holder.until:
        return str(holder) if holder is not None and holder.until > _now(config.tracking_uri) else None
    try:
        with study_lock(config, client, experiment_id, name):
            return None
    except LockedError:
        return str(holder)


class _Holder(NamedTuple):
    """Who holds a lock, as it is written into the experiment's tag; ``until`` only of a lease."""

    token: str
    who: str
    since: float
    until: float = 0.0

    def __str__(self) -> str:
        return f"{self.who} since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}"


class _Note:
    """The experiment's tag that says who holds a study."""

    def __init__(self, client: MlflowClient, experiment_id: str, name: str) -> None:
        self._client, self._experiment_id, self._name = client, experiment_id, name
        self.digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._key = f"{Tag.LOCK}.{self.digest}"

    def read(self) -> _Holder | None:
        text = self._client.get_experiment(self._experiment_id).tags.get(self._key)
        try:
            return _Holder(*json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None

    def write(self, holder: _Holder) -> None:
        self._client.set_experiment_tag(self._experiment_id, self._key, json.dumps(holder))

    def refused(self) -> LockedError:
        return LockedError(
            f"{self.read() or 'another process'} works on the study {self._name!r}: wait for its end, or stop it; "
            "`tgsr study --status` shows how far it is"
        )

    @contextmanager
    def held(self, now: float, until: float = 0.0) -> Iterator[_Holder]:
        """Keep a note of one's own while the block runs."""
        who = f"{user_name()} on {socket.gethostname()} (process {os.getpid()})"
        own = _Holder(uuid.uuid4().hex, who, now, until)
        self.write(own)
        try:
            yield own
        finally:
            with contextlib.suppress(Exception):  # a process that ends has worse to worry about
                if self.is_of(own):
                    self._client.delete_experiment_tag(self._experiment_id, self._key)

    def is_of(self, own: _Holder) -> bool:
        holder = self.read()
        return holder is not None and holder.token == own.token


@contextmanager
def _file_lock(note: _Note, path: Path) -> Iterator[Callable[[], None]]:
    import filelock

    with storage_errors(str(path), "the study cannot be locked"):
        try:
            lock = filelock.FileLock(path).acquire(blocking=False)
        except filelock.Timeout:
            raise note.refused() from None
    with lock, note.held(time.time()):
        yield lambda: None


@contextmanager
def _advisory_lock(note: _Note, tracking_uri: str, name: str) -> Iterator[Callable[[], None]]:
    import sqlalchemy as sa

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    with storage_errors(tracking_uri):
        engine = sa.create_engine(tracking_uri, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        connection = engine.connect()

    def still_connected() -> None:
        try:
            connection.execute(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError as error:
            raise LockedError("the database has dropped the connection that held the study: run it again") from error

    with connection:
        if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            raise note.refused()
        with note.held(time.time()):
            yield still_connected


@contextmanager
def _lease(note: _Note, tracking_uri: str) -> Iterator[Callable[[], None]]:
    before, now = note.read(), _now(tracking_uri)
    if before is not None and before.until > now:
        raise note.refused()
    with note.held(now, now + LEASE_SECONDS) as own:
        time.sleep(_SETTLE_SECONDS)

        def renew() -> None:
            if not note.is_of(own):
                raise note.refused()
            note.write(own._replace(until=_now(tracking_uri) + LEASE_SECONDS))

        renew()
        yield renew


def _now(tracking_uri: str) -> float:
    """The server's clock, so that those of two machines need not agree; without one this machine's."""
    if is_server(tracking_uri):
        with contextlib.suppress(OSError, HTTPException, ValueError, KeyError):
            return parsedate_to_datetime(ask_server(tracking_uri)["date"]).timestamp()
    return time.time()
