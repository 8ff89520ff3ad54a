"""One way to stop: a flag of the process that long computations look at.

A signal handler calls `request_stop`; every solver then raises `Interrupted` at its next step, in whichever thread it
runs, so that threads can be joined and none is killed inside compiled code. Compiled loops return to Python every few
iterations, which is also when a handler can run that waits for the main thread.
"""

from __future__ import annotations

__all__ = ["Interrupted", "clear_stop", "raise_if_stopped", "request_stop", "stop_requested"]

_requested = False  # no `threading.Event`: setting one takes a lock, which a signal handler must not wait for


class Interrupted(KeyboardInterrupt):
    """Raised in a computation after `request_stop`.

    Not an `Exception`: what takes those for a failed fit and goes on (scikit-learn's searches, Optuna's ``catch``) must
    not go on here.
    """


def request_stop() -> None:
    """Ask all computations of this process to stop; safe in a signal handler."""
    global _requested
    _requested = True


def clear_stop() -> None:
    """Let computations run again."""
    global _requested
    _requested = False


def stop_requested() -> bool:
    """Whether a stop was requested."""
    return _requested


def raise_if_stopped() -> None:
    """Raise `Interrupted` if a stop was requested."""
    if _requested:
        raise Interrupted("stopped on request")
