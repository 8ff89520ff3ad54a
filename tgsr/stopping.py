"""One way to stop: a flag of the process that long computations look at.

`handle_signals` turns the first Ctrl-C or SIGTERM into a stop: every solver raises `Interrupted` at its next iteration,
in whichever thread it runs, so that threads can be joined and none is killed inside compiled code. The main thread is
interrupted at once, except within `shielded`, where a store is being written to. A second signal ends the process.
Compiled loops return to Python every few iterations, which is also when a handler can run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = [
    "Interrupted",
    "clear_stop",
    "handle_signals",
    "raise_if_stopped",
    "request_stop",
    "shielded",
    "stop_requested",
    "was_interrupted",
]

_requested = False  # no `threading.Event`: setting one takes a lock, which a signal handler must not wait for


class Interrupted(KeyboardInterrupt):
    """Raised in a computation after `request_stop`; ``signal_number`` is the signal's, SIGINT's without one.

    Not an `Exception`: what takes those for a failed fit and goes on (scikit-learn's searches, Optuna's ``catch``) must
    not go on here.
    """

    signal_number: int = signal.SIGINT


class _Shield:
    """How many `shielded` blocks the main thread is in, the signal that waits for their end, whether one ever came."""

    depth = 0
    waiting: int | None = None
    interrupted = False


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


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop what runs in the block, see this module; a signal that the parent ignores stays so.

    Within another such block, or in another thread than the main one, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is _on_signal:
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        clear_stop()
        _Shield.waiting = None


@contextmanager
def shielded() -> Iterator[None]:
    """Keep a signal waiting until the block is done: within a transaction it would leave the store locked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Shield.depth += 1
    try:
        yield
    finally:
        _Shield.depth -= 1
        if not _Shield.depth and _Shield.waiting is not None:
            number, _Shield.waiting = _Shield.waiting, None
            _interrupt(number)


def was_interrupted() -> bool:
    """Whether a signal has ever stopped anything in this process: some of its threads may not have listened."""
    return _Shield.interrupted


def _on_signal(number: int, _frame: FrameType | None) -> None:
    _Shield.interrupted = True
    if stop_requested():  # nobody is to wait for what does not stop
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nstopped at once\n")
        os._exit(128 + number)
    request_stop()
    if _Shield.depth:
        _Shield.waiting = number
    else:
        _interrupt(number)


def _interrupt(number: int) -> None:
    error = Interrupted("stopped on request")
    error.signal_number = number
    raise error
