"""Our own file format for features: an ``.npz`` without pickles, written atomically.

Members: ``features`` (n × 85 × 177, or n × p with ``groups``; float64), ``labels`` (n, int64), ``groups`` (p, int64),
``subjects`` and ``sample_ids`` (n, text), ``feature_names`` (p, text), of which all but the first may be absent, and
``header``: JSON text with ``format``, ``version``, ``name``, ``class_names``, ``parameters``, ``digest``. Version 1 is
the canonical layout with labels; files of other features or without labels have version 2, with feature names 3.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tgsr.datasets.dataset import FeatureDataset, read_only
from tgsr.errors import DataError, MissingDataError
from tgsr.files import atomic_path, reading
from tgsr.protocols import canonical_database

__all__ = ["SUFFIX", "feature_file_name", "is_feature_file", "load_features", "open_archive", "save_features"]

SUFFIX = ".tgsr.npz"
_FORMAT = "tgsr-features"
_VERSIONS = (1, 2, 3)
_OPTIONAL = ("labels", "groups", "subjects", "sample_ids", "feature_names")
_MOST_BYTES = 2**29
"""What a feature file may unpack to: 4,460 samples of 85 × 177. Checked before anything is read."""


def save_features(dataset: FeatureDataset, path: str | os.PathLike[str]) -> Path:
    """Write a dataset, under its canonical name; the file is there whole or not at all. Returns the path."""
    if canonical_database(dataset.name) != dataset.name:
        dataset = replace(dataset, name=canonical_database(dataset.name))
    plain = dataset.is_labelled and dataset.groups is None
    header = {
        "format": _FORMAT,
        "version": 3 if dataset.feature_names is not None else 1 if plain else 2,
        "name": dataset.name,
        "class_names": list(dataset.class_names),
        "parameters": dict(dataset.parameters),
        "digest": dataset.digest,
    }
    members: dict[str, Any] = {"features": dataset.features, "header": np.array(json.dumps(header))}
    members |= {name: values for name in _OPTIONAL if (values := getattr(dataset, name)) is not None}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **members)
    return Path(path)


def is_feature_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a zip with the members of a feature file (nothing is decoded)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"features.npy", "header.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def feature_file_name(path: str | os.PathLike[str]) -> str:
    """Database name in a feature file's header; the features are not read."""
    with open_archive(path) as members:
        return _checked_name(json.loads(str(members["header"])), path)


def load_features(path: str | os.PathLike[str]) -> FeatureDataset:
    """Read a feature file and verify its digest.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is no feature file, is truncated or altered, or was written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such feature file; make one with `tgsr features` or name another folder")
    with open_archive(path) as members:
        header = json.loads(str(members["header"]))
        if header.get("format") != _FORMAT:
            raise DataError(f"{path}: not a tgsr feature file (format {header.get('format')!r})")
        if header.get("version") not in _VERSIONS:
            raise DataError(f"{path}: written in format version {header.get('version')}; update tgsr to read it")
        name = _checked_name(header, path)
        features = members["features"]
        if features.dtype != np.float64:  # converted, it would be up to eight times as large
            raise DataError(f"{path}: features are {features.dtype} and not float64; make the file again")
        dataset = FeatureDataset(
            name=name,
            features=read_only(features),
            class_names=tuple(header["class_names"]),
            parameters=header["parameters"],
            **{name: members.get(name) for name in _OPTIONAL},
        )
    if dataset.digest != header.get("digest"):
        raise DataError(f"{path}: its content does not match its digest; the file was altered, make it again")
    return dataset


def _checked_name(header: dict[str, Any], path: str | os.PathLike[str]) -> str:
    name = str(header["name"])
    if not re.fullmatch(r"[\w.+ -]{1,200}", name):
        raise DataError(f"{path}: a database cannot be called {name!a:.200}; make the file again")
    if (known := canonical_database(name)) != name:
        raise DataError(f"{path}: {name} means {known}; make the file again under another name, or as {known}")
    return name


@contextmanager
def open_archive(path: str | os.PathLike[str], *failure: str) -> Iterator[Any]:
    """The members of an ``.npz``; one that says it unpacks to more than a feature file may is refused."""
    failure = failure or ("not a readable feature file", "make it again with `tgsr features`")
    # np.load leaves a damaged file open, so the stream is ours
    with reading(path, *failure), Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as members:
        size = sum(entry.file_size for entry in members.zip.infolist())  # members end where they say they do
        if size > _MOST_BYTES:
            raise DataError(f"unpacks to {size / 2**20:.0f} MB, more than {_MOST_BYTES >> 20}; split the database")
        yield members
