"""Who works on a trial, and whether that process is still alive."""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

__all__ = ["HEARTBEAT_SECONDS", "OWNER", "STALE_SECONDS", "Owner", "Watch", "abandoned_trials", "owner_of"]

OWNER = "owner"
"""Key of the trial attribute that names who runs it."""
HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 180.0
"""A process on another machine that has given no sign for so long is taken for dead."""
_BEAT = "heartbeat:"


@dataclass(frozen=True)
class Owner:
    """One process at work on a study.

    Attributes
    ----------
    machine : str
        Host name and process-number space: processes can be looked up only within the same.
    pid : int
    started : str
        When the process started (the kernel's clock ticks): a number that is used again is another process.
    key : str
        Unique to this process's part in the study.
    """

    machine: str
    pid: int
    started: str
    key: str

    @classmethod
    def this_process(cls) -> Owner:
        """Describe the calling process."""
        return cls(_machine(), os.getpid(), _started(os.getpid()), uuid.uuid4().hex[:12])

    @classmethod
    def from_text(cls, text: str) -> Owner | None:
        """Read `to_text`'s result; None for anything else."""
        try:
            machine, pid, started, key = json.loads(text)
            return cls(str(machine), int(pid), str(started), str(key))
        except (ValueError, TypeError):
            return None

    def to_text(self) -> str:
        """Write it as JSON, for a trial's attribute."""
        return json.dumps([self.machine, self.pid, self.started, self.key])

    def is_same_process(self, other: Owner) -> bool:
        """Whether both describe one process, perhaps at different times."""
        return (self.machine, self.pid, self.started) == (other.machine, other.pid, other.started)

    @property
    def beat_key(self) -> str:
        """The study attribute that carries this process's signs of life."""
        return f"{_BEAT}{self.key}"


class Watch:
    """Tells whether owners are alive: by the process table on this machine, else by their signs of life.

    Clocks of machines are not compared: an owner elsewhere is dead when its counter has not changed for
    ``stale_seconds`` of this process's own clock.
    """

    def __init__(self, stale_seconds: float = STALE_SECONDS) -> None:
        self._stale_seconds = stale_seconds
        self._seen: dict[str, tuple[Any, float]] = {}

    def is_dead(self, owner: Owner, study_attrs: Mapping[str, Any]) -> bool:
        """Whether the owner has ended for certain, or has given no sign for too long."""
        if owner.machine == _machine():
            return not _alive(owner)
        beat = study_attrs.get(owner.beat_key)
        now = time.monotonic()
        last, since = self._seen.get(owner.key, (None, now))
        if owner.key not in self._seen or beat != last:
            self._seen[owner.key] = (beat, now)
            return False
        return now - since > self._stale_seconds


def owner_of(trial: FrozenTrial) -> Owner | None:
    """Who runs, or ran, a trial; None where it does not say."""
    return Owner.from_text(str(trial.user_attrs.get(OWNER, "")))


def abandoned_trials(trials: Iterable[FrozenTrial], watch: Watch, study_attrs: Mapping[str, Any]) -> list[FrozenTrial]:
    """The trials whose owner is unknown or has died."""
    verdicts: dict[Owner | None, bool] = {None: True}
    found = []
    for trial in trials:
        owner = owner_of(trial)
        if owner not in verdicts:
            verdicts[owner] = owner is None or watch.is_dead(owner, study_attrs)
        if verdicts[owner]:
            found.append(trial)
    return found


def _machine() -> str:
    try:
        space = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        space = ""
    return f"{platform.node()} {space}".strip()


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(owner: Owner) -> bool:
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return fields[0] not in "ZX" and fields[19] == owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
