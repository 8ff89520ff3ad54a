"""Compiling the numerical kernels: where the compiled code is kept, and a word while it is made."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

__all__ = ["compile_kernel"]

_log = logging.getLogger(__name__)
_say_once = functools.cache(_log.log)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Cache(FunctionCache):
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Say that code which is not there will be compiled."""
        found = super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        if found is None:
            _say_once(logging.INFO, "compiling the numerical kernels: some ten seconds, once on this machine")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code if there is room: a full disk costs the next process time, not this one its result."""
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.warning("the compiled kernels cannot be kept, and are made anew in each process: %s", error)


def compile_kernel(**options: Any) -> Callable[[_Function], _Function]:
    """Make a decorator that compiles a function without the interpreter's lock.

    The compiled code is kept on disk where numba finds a folder to write to: NUMBA_CACHE_DIR, the package's, or the
    user's cache. ``options`` are further ones of `numba.njit`.
    """

    def decorate(function: _Function) -> _Function:
        kernel = numba.njit(nogil=True, **options)(function)
        try:
            kernel._cache = _Cache(function)  # type: ignore[no-untyped-call]
        except RuntimeError:
            _say_once(
                logging.WARNING,
                "compiling the numerical kernels: some ten seconds in each process, because neither the package's "
                "folder nor the user's cache can be written; set NUMBA_CACHE_DIR to a folder that can",
            )
        return kernel  # type: ignore[no-any-return]

    return decorate
