"""What reads hostile files, in processes of its own: it must not hold the files that it is to read."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tgsr
from tgsr.datasets import import_features, load_features, load_released
from tgsr.datasets._sheet import read_sheet
from tgsr.errors import TgsrError

READERS: dict[str, Callable[[Path], Any]] = {
    "": tgsr.load_model,
    ".tgsr.npz": load_features,
    ".npz": lambda path: import_features(path, "own"),
    ".csv": lambda path: import_features(path, "own"),
    ".parquet": lambda path: import_features(path, "own"),
    ".mat": load_released,
    ".sheet.csv": lambda path: read_sheet(path, ("clip",)),
    ".xlsx": lambda path: read_sheet(path, ("clip",)),
}


def read(suffix: str, path: Path, answer: Any) -> None:
    """In a process of its own: read, and answer with the refusal (None for a file that was read) and the peak."""
    try:
        READERS[suffix](path)
        refusal = None
    except TgsrError as error:
        refusal = str(error)
    except BaseException as error:  # a traceback before the user's eyes
        refusal = f"TRACEBACK {type(error).__name__}: {error}"[:500]
    answer.send((refusal, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
