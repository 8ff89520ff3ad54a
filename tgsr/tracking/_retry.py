"""Calls to MLflow that another process may make at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["retry"]

_ATTEMPTS = 5
_WAIT_SECONDS = 0.1


def retry(call: Callable[[], object]) -> None:
    """Make a call again where MLflow refuses it: it looks first and inserts then, and loses to who inserts between."""
    from mlflow.exceptions import MlflowException

    for attempt in range(_ATTEMPTS):
        try:
            call()
        except MlflowException:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_WAIT_SECONDS * (attempt + 1))
        else:
            return
