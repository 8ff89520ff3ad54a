"""One dataset type for every database, whatever its features came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.protocols import CLASS_NAMES, N_REGIONS
from tgsr.regions import N_BINS, N_PLANES

__all__ = ["FeatureDataset", "read_only"]


@dataclass(frozen=True, eq=False)
class FeatureDataset:
    """Features and labels of one database, checked on construction.

    Parameters
    ----------
    name : str
        Database name, such as ``"SMIC_VIS"``.
    features : array of shape (n_samples, 85, 177)
        LBP-TOP histograms in the canonical layout [region][plane][bin]; (n_samples, 15045) is accepted. Copied only
        if it could be changed from outside.
    labels : array of int, shape (n_samples,)
        Indices into ``class_names``.
    class_names : tuple of str
        Class of each label.
    subjects : array of str, shape (n_samples,), optional
        Who is seen in each sample, where known.
    sample_ids : array of str, shape (n_samples,), optional
        Clip names, where known.
    parameters : mapping, optional
        How the features were made (JSON values only); stored with them. ``origin`` tells what from: ``"clips"``,
        ``"released"``, or ``"generated"`` for the demo's.

    Raises
    ------
    DataError
        If shapes disagree, a value is NaN or infinite, or a label is out of range.
    """

    name: str
    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...] = CLASS_NAMES
    subjects: npt.NDArray[np.str_] | None = None
    sample_ids: npt.NDArray[np.str_] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = features = np.asarray(self.features)
        if features.dtype.kind not in "fiu":
            raise DataError(f"{self.name}: features must be numbers, got dtype {features.dtype}")
        size = N_PLANES * N_BINS
        if features.ndim == 2 and features.shape[1] == N_REGIONS * size:
            features = features.reshape(len(features), N_REGIONS, size)
        if features.ndim != 3 or features.shape[1:] != (N_REGIONS, size):
            raise DataError(
                f"{self.name}: features have shape {np.shape(self.features)}; expected (n, {N_REGIONS}, {size}) "
                f"or (n, {N_REGIONS * size})"
            )
        if len(features) == 0:
            raise DataError(f"{self.name}: no samples")
        # float32 features (as some tools save them) become float64 once, here
        features = _owned(np.ascontiguousarray(features, dtype=np.float64), given)
        bad = ~np.isfinite(features).all(axis=(1, 2))
        if bad.any():
            raise DataError(
                f"{self.name}: NaN or infinite features in sample {int(np.argmax(bad))} ({bad.sum()} in all)"
            )
        labels = np.asarray(self.labels)
        if labels.shape != (len(features),):
            raise DataError(f"{self.name}: {labels.size} labels for {len(features)} samples")
        class_names = tuple(str(class_name) for class_name in self.class_names)
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(class_names):
            raise DataError(
                f"{self.name}: labels must be integers 0…{len(class_names) - 1} ({', '.join(class_names)}), "
                f"got {np.unique(labels)}"
            )
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", read_only(labels.astype(np.int64)))
        object.__setattr__(self, "class_names", class_names)
        object.__setattr__(self, "parameters", dict(self.parameters))
        for column in ("subjects", "sample_ids"):
            values = getattr(self, column)
            if values is not None:
                values = _owned(np.asarray(values, dtype=np.str_), np.asarray(values))
                if values.shape != (len(features),):
                    raise DataError(f"{self.name}: {values.size} {column} for {len(features)} samples")
                object.__setattr__(self, column, values)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def X(self) -> npt.NDArray[np.float64]:
        """Features as a sample matrix: a view of shape (n_samples, 15045)."""
        return self.features.reshape(len(self), -1)

    @property
    def is_generated(self) -> bool:
        """Whether the clips were drawn and not recorded, so that no published number applies."""
        return self.parameters.get("origin") == "generated"

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each class."""
        totals = np.bincount(self.labels, minlength=len(self.class_names))
        return {class_name: int(total) for class_name, total in zip(self.class_names, totals, strict=True)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names, labels, subjects and features (64 hex digits): equal content, equal digest.

        It does not depend on the file that the data came from, nor on ``parameters``.
        """
        sha = hashlib.sha256()
        header: dict[str, Any] = {
            "name": self.name,
            "class_names": list(self.class_names),
            "subjects": None if self.subjects is None else self.subjects.tolist(),
            "sample_ids": None if self.sample_ids is None else self.sample_ids.tolist(),
            "shape": list(self.features.shape),
        }
        sha.update(json.dumps(header, sort_keys=True).encode())
        sha.update(self.labels.astype("<i8").tobytes())
        sha.update(self.features.astype("<f8", copy=False).tobytes())
        return sha.hexdigest()


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lock an array, and what it is a view of, and give it back: a dataset then shares its memory."""
    locked: Any = array
    while isinstance(locked, np.ndarray):
        locked.setflags(write=False)
        locked = locked.base
    return array


def _owned(array: npt.NDArray[Any], given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, locked; copied only where whoever gave it could still write to it, and so change the digest."""
    if _writeable(given) and np.may_share_memory(array, given):
        array = array.copy()
    return read_only(array)


def _writeable(array: Any) -> bool:
    """Whether an array or one that it is a view of can be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False
