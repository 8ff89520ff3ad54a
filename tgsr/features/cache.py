"""Features of clips that were computed before, found again by content.

The key is a SHA-256 of the bytes of the clip's files, of every setting and of the code that computes the features:
another frame, another order, another parameter or an edited module is another key. Entries are written atomically; a
damaged one counts as absent and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets.clips import Clip, is_film
from tgsr.errors import DataError, MissingDataError
from tgsr.files import atomic_path
from tgsr.version import code_digest

__all__ = ["FeatureCache", "content_key", "default_cache_folder"]

_DECIDING = ("tgsr", "tgsr.datasets", "tgsr.preprocessing", "tgsr.features")
"""Packages whose code decides features: reading frames, preparing clips, LBP-TOP and the regions."""


def default_cache_folder() -> Path:
    """``$TGSR_CACHE``, or ``tgsr/features`` in the user's cache folder."""
    if folder := os.environ.get("TGSR_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tgsr" / "features"


def content_key(clip: Clip, parameters: dict[str, Any]) -> str:
    """SHA-256 (64 hex digits) of a clip's files, which of its frames count, the parameters, and our code.

    Names, labels and folders do not enter: the same frames under another name have the same features. A file that is
    not there is a `MissingDataError`, one that cannot be read a `DataError`.
    """
    frames = [clip.onset, clip.offset] if is_film(clip) else None
    made_by = [parameters, clip.cropped is not False, frames, code_digest(*_DECIDING)]
    sha = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode())
    for path in clip.frames if clip.video is None else (clip.video,):
        try:
            sha.update(hashlib.sha256(path.read_bytes()).digest())
        except FileNotFoundError:
            raise MissingDataError(f"{path}: no such file") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return sha.hexdigest()


class FeatureCache:
    """Features by content key in a folder that several processes may share, and that is safe to delete at any time."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def get(self, key: str) -> tuple[npt.NDArray[np.float64], tuple[str, ...]] | None:
        """Give the features under a key and the notes on their clip, or None if there are none or they are damaged."""
        try:
            # opened here: np.load leaves its own file open if the archive is damaged
            with self._path(key).open("rb") as stream, np.load(stream, allow_pickle=False) as members:
                features, notes = np.asarray(members["features"]), tuple(members["notes"].tolist())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        return (features, notes) if features.dtype == np.float64 and features.ndim == 2 else None

    def put(self, key: str, features: npt.NDArray[np.float64], notes: Sequence[str] = ()) -> None:
        """Keep features and notes under a key; a folder that cannot be written is a `DataError`."""
        try:
            with atomic_path(self._path(key)) as temporary, temporary.open("wb") as stream:
                np.savez(stream, features=features, notes=np.array(notes, dtype=np.str_))
        except OSError as error:
            raise DataError(
                f"{self.folder}: the cache cannot be written ({error.strerror}); choose another with --cache"
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"
