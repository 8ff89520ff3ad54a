"""One coordinator a study: whoever comes second is refused at once, and told who holds the study since when."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from tgsr.errors import TgsrError
from tgsr.tracking.config import TrackingConfig, ask_server, is_server, sqlite_path, storage_errors
from tgsr.tracking.names import Tag

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


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock, as it is written into the experiment's tag; ``until`` only of a lease."""

    token: str
    who: str
    since: float
    until: float = 0.0

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{self.who} since {at}"


class StudyLock:
    """A held lock; it watches itself while it is held.

    `check` says whether it still holds: of a lease or a database's lock that may end with the connection.
    """

    def __init__(self, renew: Callable[[], None] | None) -> None:
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
        if self._renew is not None and time.monotonic() - self._renewed > LEASE_SECONDS / 2:
            self._try()  # the machine slept, or the server was away: somebody may have come in between
        if self._error is not None:
            raise self._error

    def _try(self) -> None:
        assert self._renew is not None
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
        if self._renew is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._renew is not None:
            self._thread.join(timeout=LEASE_SECONDS)


@contextmanager
def study_lock(config: TrackingConfig, client: MlflowClient, experiment_id: str, name: str) -> Iterator[StudyLock]:
    """Hold a study while the block runs.

    Next to a SQLite database it is a lock on a file, on PostgreSQL an advisory lock of a connection of its own: both
    go with the process that held them. Anything else, a tracking server above all, has a lease: a tag on the
    experiment, renewed by a thread, that others may take over once it is 60 s old.

    Parameters
    ----------
    config : TrackingConfig
    client : MlflowClient
    experiment_id : str
        MLflow's experiment of the study.
    name : str
        The study's name.

    Yields
    ------
    StudyLock

    Raises
    ------
    LockedError
        If another process holds it.
    """
    note = _Note(client, experiment_id, _key(name), name)
    database = sqlite_path(config.tracking_uri)
    kind: AbstractContextManager[Callable[[], None] | None]
    if database is not None:
        kind = _file_lock(note, database.with_name(f"{database.name}.{_digest(name)}.lock"))
    elif config.tracking_uri.startswith("postgres"):
        kind = _advisory_lock(note, config.tracking_uri, f"{experiment_id} {name}")
    else:
        kind = _lease(note, config.tracking_uri)
    with kind as renew, StudyLock(renew) as lock:
        yield lock


def lock_holder(config: TrackingConfig, client: MlflowClient, experiment_id: str, name: str) -> str | None:
    """Who holds a study, and since when; None if nobody does. A note that a dead process left does not count."""
    holder = _Note(client, experiment_id, _key(name), name).read()
    if holder is None or holder.until:
        return str(holder) if holder is not None and holder.until > _now(config.tracking_uri) else None
    try:
        with study_lock(config, client, experiment_id, name):
            return None
    except LockedError:
        return str(holder)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _key(name: str) -> str:
    return f"{Tag.LOCK}.{_digest(name)}"


class _Note:
    """The experiment's tag that says who holds a study."""

    def __init__(self, client: MlflowClient, experiment_id: str, key: str, name: str) -> None:
        self._client, self._experiment_id, self._key, self._name = client, experiment_id, key, name

    def read(self) -> _Holder | None:
        text = self._client.get_experiment(self._experiment_id).tags.get(self._key)
        try:
            return _Holder(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None

    def write(self, holder: _Holder) -> None:
        self._client.set_experiment_tag(self._experiment_id, self._key, json.dumps(holder.__dict__))

    def remove(self, token: str) -> None:
        """Remove the note if it is still one's own; a process that ends has worse to worry about."""
        with contextlib.suppress(Exception):
            holder = self.read()
            if holder is not None and holder.token == token:
                self._client.delete_experiment_tag(self._experiment_id, self._key)

    def refused(self, holder: _Holder | None = None) -> LockedError:
        holder = holder or self.read()
        return LockedError(
            f"{holder or 'another process'} works on the study {self._name!r}: wait for its end, or stop it; "
            "`tgsr study --status` shows how far it is"
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the note while something else does the locking."""
        holder = _holder(time.time())
        self.write(holder)
        try:
            yield
        finally:
            self.remove(holder.token)


def _holder(now: float, **more: float) -> _Holder:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry or a variable
        user = "somebody"
    return _Holder(uuid.uuid4().hex, f"{user} on {socket.gethostname()} (process {os.getpid()})", now, **more)


@contextmanager
def _file_lock(note: _Note, path: Any) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(path, blocking=False)
    with storage_errors(str(path), "the study cannot be locked"):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise note.refused() from None
    try:
        with note.held():
            yield None
    finally:
        lock.release()


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
        with note.held():
            yield still_connected


@contextmanager
def _lease(note: _Note, tracking_uri: str) -> Iterator[Callable[[], None]]:
    before, now = note.read(), _now(tracking_uri)
    if before is not None and before.until > now:
        raise note.refused(before)
    own = _holder(now, until=now + LEASE_SECONDS)
    note.write(own)
    time.sleep(_SETTLE_SECONDS)

    def renew() -> None:
        holder = note.read()
        if holder is None or holder.token != own.token:
            raise note.refused(holder)
        note.write(_Holder(own.token, own.who, own.since, _now(tracking_uri) + LEASE_SECONDS))

    renew()
    try:
        yield renew
    finally:
        note.remove(own.token)


def _now(tracking_uri: str) -> float:
    """The server's clock, so that those of two machines need not agree; without one this machine's."""
    if is_server(tracking_uri):
        with contextlib.suppress(OSError, HTTPException, ValueError, KeyError):
            return parsedate_to_datetime(ask_server(tracking_uri)["date"]).timestamp()
    return time.time()
