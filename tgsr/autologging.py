"""Fits that are a part of others leave no runs behind where ``mlflow.autolog()`` is on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["without_autologging"]

_lock, _off = threading.Lock(), ExitStack()
_depth = 0


@contextmanager
def without_autologging() -> Iterator[None]:
    """Switch MLflow's autologging off within the block, if MLflow is there; several threads may be in such blocks."""
    global _depth
    with _lock:
        _depth += 1
        utils = sys.modules.get("mlflow.utils.autologging_utils")
        if utils is not None and _depth == 1:
            _off.enter_context(utils.disable_autologging())
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _off.close()
