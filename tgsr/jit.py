"""Compiling the numerical kernels: where the compiled code is kept, and a word while it is made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.core.caching import FunctionCache

__all__ = ["compile_kernel"]

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Cache(FunctionCache):
    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code if there is room: a full disk costs the next process time, not this one its result."""
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.warning("the compiled kernels cannot be kept, and are made anew in each process: %s", error)


class _Announcement(event.Listener):
    """Says once a process that kernels are being compiled; what comes from the cache starts no such event."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if self._told or not dispatcher.py_func.__module__.startswith("tgsr."):
            return
        self._told = True
        if isinstance(dispatcher._cache, _Cache):
            _log.info("compiling the numerical kernels: some ten seconds, once on this machine")
        else:
            _log.warning(
                "compiling the numerical kernels: some ten seconds in each process, because neither the package's "
                "folder nor the user's cache can be written; set NUMBA_CACHE_DIR to a folder that can"
            )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]


def compile_kernel(**options: Any) -> Callable[[_Function], _Function]:
    """Make a decorator that compiles a function without the interpreter's lock.

    The compiled code is kept on disk where numba finds a folder to write to: NUMBA_CACHE_DIR, the package's, or the
    user's cache. ``options`` are further ones of `numba.njit`.
    """

    def decorate(function: _Function) -> _Function:
        kernel = numba.njit(nogil=True, **options)(function)
        with suppress(RuntimeError):  # no such folder
            kernel._cache = _Cache(function)  # type: ignore[no-untyped-call]
        return kernel  # type: ignore[no-any-return]

    return decorate
