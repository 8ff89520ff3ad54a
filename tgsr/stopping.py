"""One way to stop: a flag of the process that long computations look at, compiled ones included.

A signal handler calls `request_stop`; every solver then raises `Interrupted` at its next iteration, in whichever thread
it runs, so that threads can be joined and none is killed inside compiled code.
"""

from __future__ import annotations

import numpy as np

__all__ = ["STOP_FLAG", "Interrupted", "clear_stop", "raise_if_stopped", "request_stop", "stop_requested"]

STOP_FLAG = np.zeros(1, dtype=np.uint8)
"""Not 0 once a stop is requested. Compiled code takes it as an argument: of a global array it would keep a copy."""


class Interrupted(KeyboardInterrupt):
    """Raised in a computation after `request_stop`.

    Not an `Exception`: what takes those for a failed fit and goes on (scikit-learn's searches, Optuna's ``catch``) must
    not go on here.
    """


def request_stop() -> None:
    """Ask all computations of this process to stop; safe in a signal handler."""
    STOP_FLAG[0] = 1


def clear_stop() -> None:
    """Let computations run again."""
    STOP_FLAG[0] = 0


def stop_requested() -> bool:
    """Whether a stop was requested."""
    return bool(STOP_FLAG[0])


def raise_if_stopped() -> None:
    """Raise `Interrupted` if a stop was requested."""
    if STOP_FLAG[0]:
        raise Interrupted("stopped on request")
