"""Features that another program has made: tables of rows, read into a dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets._clip_list import LabelMap, read_label_map
from tgsr.datasets._dataset import FeatureDataset
from tgsr.datasets._feature_file import open_archive
from tgsr.errors import DataError, MissingDataError
from tgsr.files import reading
from tgsr.protocols import CLASS_NAMES, N_REGIONS, check_database
from tgsr.regions import N_BINS, N_PLANES

__all__ = ["import_features"]

Rows = dict[str, Any]
"""What a file holds: features (n, p) or (n, groups, size), and label, subject, clip and groups where there are."""

_KNOWN = ("label", "subject", "clip")
_MOST_BYTES = 2**29
"""Of a file, and of its values as float64."""
_MOST_COLUMNS = 200_000
_CANONICAL = N_REGIONS * N_PLANES * N_BINS


def import_features(path: str | os.PathLike[str], name: str, label_map: LabelMap | None = None) -> FeatureDataset:
    """Read rows of features from a ``.csv``, ``.parquet`` or ``.npz`` file.

    A table has a row for each sample and the columns ``label``, ``subject`` and ``clip`` where they are known; all
    others are features. A feature called ``brow/3`` belongs to the group ``brow``; where no name has a ``/``, each is a
    group of its own.

    An archive has ``features`` (n, p) or (n, groups, size) and, where known, ``labels`` (text, or numbers with
    ``class_names``), ``subjects``, ``clips`` (n,) and ``groups`` (p,): text or numbers. Without groups 15,045 features
    are taken as the canonical layout of LBP-TOP.

    Parameters
    ----------
    path : path
    name : str
        Of the database.
    label_map : mapping or path, optional
        Label → class, see `tgsr.datasets._clip_list.read_label_map`; rows of an empty class are left out.

    Returns
    -------
    FeatureDataset
        Without labels where the file has none. Groups are numbered in their order, text in that of its first
        occurrence; ``parameters["group_names"]`` names them.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it cannot be read, is too large, or its content cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file of features")
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: larger than {_MOST_BYTES >> 20} MB; split the database")
    readers = {".npz": _read_archive, ".csv": _read_table, ".parquet": _read_table}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: not a known kind of table; give {', '.join(readers)}")
    with reading(path, "the features cannot be read"):
        rows = readers[path.suffix.lower()](path)
        return _dataset(rows, path, check_database(name), None if label_map is None else read_label_map(label_map))


def _read_archive(path: Path) -> Rows:
    with open_archive(path, "the features cannot be read") as members:
        if "features" not in members:
            raise DataError(f"{path}: no member features; it has {', '.join(members.files) or 'none'}")
        labels = members.get("labels")
        if labels is not None and labels.dtype.kind in "iu":
            if "class_names" not in members:
                raise DataError(f"{path}: labels are numbers; give class_names too, or labels as text")
            names = members["class_names"]
            if labels.size and not 0 <= labels.min() <= labels.max() < len(names):
                raise DataError(f"{path}: labels must be 0…{len(names) - 1}, got {np.unique(labels)}")
            labels = names[labels]
        features = members["features"]
        _check_size(path, features.size)
        texts = {"label": labels, "subject": members.get("subjects"), "clip": members.get("clips")}
        columns = {name: values if values is None else values.astype(np.str_) for name, values in texts.items()}
        return {"features": features, "groups": members.get("groups"), **columns}


def _read_table(path: Path) -> Rows:
    import pandas as pd

    if path.suffix.lower() == ".csv":
        _check_text(path)
        table = pd.read_csv(path)
    else:
        import pyarrow.parquet

        stated: Any = pyarrow.parquet.read_metadata(path)
        _check_size(path, stated.num_rows * stated.num_columns, stated.num_columns)
        table = pd.read_parquet(path)
    table.columns = [str(column).strip() for column in table.columns]
    known = {column.lower(): column for column in table.columns if column.lower() in _KNOWN}
    names = [column for column in table.columns if column not in known.values()]
    bad = [column for column in names if not pd.api.types.is_numeric_dtype(table[column])]
    if bad or not names:
        raise DataError(f"{path}: features must be numbers; {', '.join(bad[:5]) or 'no column'} is not")
    rows: Rows = dict.fromkeys(_KNOWN)
    for key, column in known.items():
        if table[column].isna().any():
            raise DataError(f"{path}: row {int(table[column].isna().argmax()) + 2} has no {key}")
        rows[key] = table[column].astype(str).str.strip().to_numpy(dtype=np.str_)
    groups = [name.partition("/")[0] for name in names] if any("/" in name for name in names) else names
    return {"features": table[names].to_numpy(dtype=np.float64), "groups": np.array(groups), **rows}


def _check_text(path: Path) -> None:
    """Count the values of a CSV before it is parsed: a megabyte of commas is a table of a million columns."""
    with path.open("rb") as stream:
        n_columns = stream.readline().count(b",") + 1
        n_values = n_columns + sum(
            part.count(b",") + part.count(b"\n") for part in iter(lambda: stream.read(2**20), b"")
        )
    _check_size(path, n_values, n_columns)


def _check_size(path: Path, n_values: int, n_columns: int = 0) -> None:
    if 8 * n_values > _MOST_BYTES or n_columns > _MOST_COLUMNS:
        raise DataError(
            f"{path}: {n_values:,} values{f' in {n_columns:,} columns' if n_columns else ''} are too many; split the "
            "database, or give fewer features"
        )


def _dataset(rows: Rows, path: Path, name: str, label_map: Mapping[str, str] | None) -> FeatureDataset:
    parameters: dict[str, Any] = {"origin": "imported", "file": path.name}
    features, groups = rows["features"], rows["groups"]
    if groups is not None:
        if groups.shape != features.shape[1:2]:
            raise DataError(f"{path}: groups must be {features.shape[1]} integers or names, got {groups.size}")
        values, first, codes = np.unique(groups, return_index=True, return_inverse=True)
        order = np.argsort(first) if values.dtype.kind == "U" else np.arange(len(values))
        groups = np.argsort(order)[codes].astype(np.int64)
        parameters["group_names"] = [str(value) for value in values[order]]
    elif features.ndim == 2 and features.shape[1] != _CANONICAL:
        groups = np.arange(features.shape[1])
    labels, classes, kept = rows["label"], CLASS_NAMES, None
    if labels is not None:
        labels = labels.astype(np.str_) if label_map is None else _mapped(labels.astype(np.str_), label_map)
        found = sorted({*labels.tolist()} - {""})
        classes = CLASS_NAMES if set(found) <= set(CLASS_NAMES) else tuple(found)
        kept = labels != ""
        labels = np.array([classes.index(label) if label else 0 for label in labels], dtype=np.int64)
        parameters["label_map"] = "" if label_map is None else "own"
    dataset = FeatureDataset(name, features, labels, classes, rows["subject"], rows["clip"], parameters, groups)
    return dataset if kept is None or kept.all() else dataset.select(kept)


def _mapped(labels: npt.NDArray[np.str_], label_map: Mapping[str, str]) -> npt.NDArray[np.str_]:
    unknown = sorted({label for label in labels.tolist() if label.lower() not in label_map})
    if unknown:
        raise DataError(f"labels that the label map lacks: {', '.join(unknown[:5])}")
    return np.array([label_map[label.lower()] for label in labels.tolist()], dtype=np.str_)
