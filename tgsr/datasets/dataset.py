"""One dataset type for every database, whatever its features came from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.names import name_problem
from tgsr.protocols import CLASS_NAMES, N_REGIONS
from tgsr.regions import N_BINS, N_PLANES

__all__ = ["FeatureDataset", "read_only"]


_CANONICAL = (N_REGIONS, N_PLANES * N_BINS)
_LARGEST = 1e100
"""Features beyond this overflow when they are squared and added up."""


@dataclass(frozen=True, eq=False)
class FeatureDataset:
    """Features of one database and, where they are known, its labels; checked on construction.

    Parameters
    ----------
    name : str
        Database name, such as ``"SMIC_VIS"``.
    features : array of shape (n_samples, 85, 177), (n_samples, n_groups, size) or (n_samples, n_features)
        LBP-TOP histograms in the canonical layout [region][plane][bin] are kept as (n_samples, 85, 177), also when
        given as (n_samples, 15045). Other features are kept as (n_samples, n_features), with ``groups``. Copied only
        if they could be changed from outside.
    labels : array of int, shape (n_samples,), or None
        Indices into ``class_names``; None for a target whose labels nobody knows.
    class_names : tuple of str
        Class of each label.
    subjects : array of str, shape (n_samples,), optional
        Who is seen in each sample, where known.
    sample_ids : array of str, shape (n_samples,), optional
        Clip names, where known.
    parameters : mapping, optional
        How the features were made (JSON values only); stored with them. ``origin`` tells what from: ``"clips"``,
        ``"released"``, ``"imported"``, ``"pooled"``, or ``"generated"`` for the demo's.
    groups : array of int, shape (n_features,), optional
        Group of each feature: 0…n_groups − 1, of any sizes. None for the canonical layout, and for features of shape
        (n_samples, n_groups, size), whose second axis is the groups.
    feature_names : array of str, shape (n_features,), optional
        What each feature is called, no two alike: databases and models meet by these names, where they have them.

    Raises
    ------
    DataError
        If shapes disagree, a value is NaN, infinite or beyond 1e100, a group is empty, a label is out of range, or a
        name cannot be one (see `tgsr.names.name_problem`).
    """

    name: str
    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...] = CLASS_NAMES
    subjects: npt.NDArray[np.str_] | None = None
    sample_ids: npt.NDArray[np.str_] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    groups: npt.NDArray[np.int64] | None = None
    feature_names: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        class_names, n_classes = tuple(map(str, self.class_names)), len(self.class_names)
        features, groups = self._checked_features()
        labels = None if self.labels is None else np.asarray(self.labels)
        if labels is not None:
            if labels.shape != (len(features),):
                raise DataError(f"{self.name}: {labels.size} labels for {len(features)} samples")
            if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= n_classes:
                allowed = f"0…{n_classes - 1} ({', '.join(class_names)})"
                raise DataError(f"{self.name}: labels must be integers {allowed}, got {np.unique(labels)}")
            labels = read_only(labels.astype(np.int64))
        checked: dict[str, Any] = {"features": features, "groups": groups, "labels": labels}
        checked |= {"class_names": class_names, "parameters": dict(self.parameters)}
        n_features = features[0].size
        for column, size, of in (
            ("subjects", len(features), "samples"),
            ("sample_ids", len(features), "samples"),
            ("feature_names", n_features, "features"),
        ):
            if (given := getattr(self, column)) is not None:
                values = np.asarray(given, dtype=np.str_)
                if values.shape != (size,):
                    raise DataError(f"{self.name}: {values.size} {column} for {size} {of}")
                checked[column] = _owned(values, np.asarray(given))
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_names()

    def _check_names(self) -> None:
        """Names go to terminals, tables and stores from here on: see that they can."""
        groups = self.parameters.get("group_names", ())
        given = [(self.name,), self.class_names, self.subjects, self.sample_ids, self.feature_names, groups]
        for names in given:
            for name in () if names is None else dict.fromkeys(names):
                if problem := name_problem(str(name)):
                    raise DataError(f"{self.name!a}: {problem}; rename it")
        for kind, several in (("classes", self.class_names), ("feature names", self.feature_names)):
            counted = Counter(() if several is None else several)
            if twice := [name for name, count in counted.items() if count > 1]:
                raise DataError(f"{self.name}: {kind} must differ, {twice[0]} is there more than once")

    def _checked_features(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]:
        """The features in their shape as float64, and the groups, None where they are the canonical ones."""
        given = features = np.asarray(self.features)
        if features.dtype.kind not in "fiu":
            raise DataError(f"{self.name}: features must be numbers, got dtype {features.dtype}")
        if features.ndim not in (2, 3) or 0 in features.shape[1:]:
            expected = (
                f"expected (n, {_CANONICAL[0]}, {_CANONICAL[1]}), or (n, n_features) with the group of each feature"
            )
            raise DataError(f"{self.name}: features have shape {features.shape}; {expected}")
        if len(features) == 0:
            raise DataError(f"{self.name}: no samples")
        groups = self._checked_groups(features)
        shape = _CANONICAL if groups is None else (len(groups),)
        # float32 features (as some tools save them) become float64 once, here
        features = np.ascontiguousarray(features, dtype=np.float64).reshape(len(features), *shape)
        # "not below" also catches NaN; the maximum spares an array as large as the features
        if not max(abs(features.max()), abs(features.min())) <= _LARGEST:
            bad = ~(np.abs(features) <= _LARGEST).all(axis=tuple(range(1, features.ndim)))
            where = f"in sample {int(np.argmax(bad))} ({bad.sum()} in all)"
            raise DataError(f"{self.name}: NaN, infinite or huge features (beyond {_LARGEST:g}) {where}")
        return _owned(features, given), groups

    def _checked_groups(self, features: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
        n_features = int(np.prod(features.shape[1:]))
        canonical = np.repeat(np.arange(_CANONICAL[0]), _CANONICAL[1])
        if self.groups is not None:
            groups = np.asarray(self.groups)
        elif features.ndim == 3:
            groups = np.repeat(np.arange(features.shape[1]), features.shape[2])
        elif n_features == len(canonical):
            return None
        else:
            needed = f"give the group of each feature, or {len(canonical)} features in the shape {_CANONICAL}"
            raise DataError(f"{self.name}: {n_features} features without groups; {needed}")
        if groups.shape != (n_features,) or groups.dtype.kind not in "iu":
            raise DataError(f"{self.name}: groups must be {n_features} integers, got {groups.dtype} {groups.shape}")
        n_groups = int(groups.max()) + 1
        if groups.min() < 0 or n_groups > n_features or (np.bincount(groups, minlength=n_groups) == 0).any():
            raise DataError(f"{self.name}: groups must number 0, 1, 2 … without a gap, got {np.unique(groups)}")
        return None if np.array_equal(groups, canonical) else read_only(groups.astype(np.int64))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def X(self) -> npt.NDArray[np.float64]:
        """Features as a sample matrix: a view of shape (n_samples, n_features)."""
        return self.features.reshape(len(self), -1)

    @property
    def is_labelled(self) -> bool:
        """Whether the labels are known."""
        return self.labels is not None

    @property
    def known_labels(self) -> npt.NDArray[np.int64]:
        """The labels.

        Raises
        ------
        DataError
            If they are not known.
        """
        if self.labels is None:
            raise DataError(f"{self.name}: its labels are not known; it can be a target, and is not scored")
        return self.labels

    @property
    def n_groups(self) -> int:
        """Number of groups of features: 85 in the canonical layout."""
        return _CANONICAL[0] if self.groups is None else int(self.groups.max()) + 1

    @property
    def is_generated(self) -> bool:
        """Whether the clips were drawn and not recorded, so that no published number applies."""
        return self.parameters.get("origin") == "generated"

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each class; empty without labels."""
        if self.labels is None:
            return {}
        totals = np.bincount(self.labels, minlength=len(self.class_names))
        return {class_name: int(total) for class_name, total in zip(self.class_names, totals, strict=True)}

    def select(self, rows: npt.ArrayLike) -> FeatureDataset:
        """The samples at some indices, or where a mask is true, in that order."""
        index = np.asarray(rows)
        columns = {name: getattr(self, name) for name in ("labels", "subjects", "sample_ids")}
        parts = {name: values[index] for name, values in columns.items() if values is not None}
        return replace(self, features=read_only(self.features[index]), **parts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names, labels, subjects, groups and features (64 hex digits): equal content, equal digest.

        It does not depend on the file that the data came from, nor on ``parameters``.
        """
        sha = hashlib.sha256()
        header: dict[str, Any] = {
            "name": self.name,
            "class_names": list(self.class_names) if self.is_labelled else [],
            "subjects": None if self.subjects is None else self.subjects.tolist(),
            "sample_ids": None if self.sample_ids is None else self.sample_ids.tolist(),
            "shape": list(self.features.shape),
        }
        if self.feature_names is not None:
            header["feature_names"] = self.feature_names.tolist()
        sha.update(json.dumps(header, sort_keys=True).encode())
        for values in (self.labels, self.groups):
            if values is not None:
                sha.update(values.astype("<i8").tobytes())
        sha.update(np.ascontiguousarray(self.features, dtype="<f8").data)
        return sha.hexdigest()


def _bases(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """An array, and all that it is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        yield base
        base = base.base


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lock an array, and what it is a view of, and give it back: a dataset then shares its memory."""
    for base in _bases(array):
        base.setflags(write=False)
    return array


def _writeable(array: npt.NDArray[Any]) -> bool:
    """Whether an array or one that it is a view of can be written to."""
    return any(base.flags.writeable for base in _bases(array))


def _owned(array: npt.NDArray[Any], given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, locked; copied only where whoever gave it could still write to it, and so change the digest."""
    if _writeable(given) and np.may_share_memory(array, given):
        array = array.copy()
    return read_only(array)
