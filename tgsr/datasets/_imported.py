"""Features that another program has made: tables of rows, read into a dataset."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets._clip_list import LabelMap, read_label_map
from tgsr.datasets._columns import ROLES, check_features, same_name
from tgsr.datasets._feature_table import FEWEST_ROWS, MOST_BYTES, as_text, check_size, known_texts, read_feature_table
from tgsr.datasets._table import TEXT_SUFFIXES
from tgsr.datasets._texts import note_alike, one_spelling, spelling_key
from tgsr.datasets.dataset import FeatureDataset
from tgsr.datasets.feature_file import is_feature_file, open_archive
from tgsr.datasets.loaders import canonical_name
from tgsr.errors import DataError, MissingDataError
from tgsr.files import reading
from tgsr.protocols import CLASS_NAMES, N_REGIONS
from tgsr.regions import N_BINS, N_PLANES

__all__ = ["import_features"]

_log = logging.getLogger(__name__)
_TABLES = (*TEXT_SUFFIXES, ".parquet")
_MEMBERS = {
    **{name: role for role, names in ROLES.items() for name in names.split()},
    "x": "features",
    "y": "label",
    **{same_name(name): name for name in ("features", "class_names", "groups", "feature_names")},
}
"""What a member of an archive is, by its name without case, spaces and punctuation."""
_CANONICAL = N_REGIONS * N_PLANES * N_BINS


def import_features(
    path: str | os.PathLike[str],
    name: str,
    label_map: LabelMap | None = None,
    *,
    label: str | None = None,
    drop: Collection[str] = (),
) -> FeatureDataset:
    """Read rows of features from a table (``.csv``, ``.tsv``, ``.txt``, ``.parquet``) or an ``.npz`` file.

    A table has a row for each sample and the columns ``label``, ``subject`` and ``clip`` where they are known; names
    that mean the same do, too (`tgsr.datasets._columns.ROLES`). Columns of bookkeeping (``index``, ``fold``, ``fps`` …)
    are left out with a warning; one that only looks like it is refused; all others are features. A feature called
    ``brow/3`` belongs to the group ``brow``; where no name has a ``/``, each is a group of its own.

    An archive has ``features`` (n, p) or (n, groups, size) and, where known, ``labels`` (text, or numbers with
    ``class_names`` or a label map), ``subjects``, ``clips`` (n,), ``groups`` (p,) or (groups,): text or numbers, and
    ``feature_names`` (p,); ``X`` and ``y`` will do, too. Without groups and names 15,045 features are taken as the
    canonical layout of LBP-TOP.

    Parameters
    ----------
    path : path
    name : str
        Of the database; made canonical (``nir`` is SMIC_NIR).
    label_map : mapping or path, optional
        Label → class, see `tgsr.datasets._clip_list.read_label_map`; rows of an empty class are left out.
    label : str, optional
        The table's column of labels, if its name does not say so.
    drop : collection of str
        Columns of the table to leave out.

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
        If it cannot be read, is too large, or its content cannot be used or is not clear.
    ProtocolError
        If a database cannot be called so.
    """
    path, suffix, name = Path(path), Path(path).suffix.lower(), canonical_name(name)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file of features")
    if suffix not in (*_TABLES, ".npz"):
        raise DataError(f"{path}: not a known kind of table; save it as {', '.join((*_TABLES, '.npz'))}")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: larger than {MOST_BYTES >> 20} MB; split the database")
    if suffix == ".npz" and (label or drop):
        raise DataError(f"{path}: --label and --drop are for the columns of a table")
    mapping = None if label_map is None else read_label_map(label_map)
    if suffix == ".npz" and is_feature_file(path):
        raise DataError(f"{path}: a feature file of tgsr already; copy it as it is")
    with reading(path, "the features cannot be read"):
        if suffix == ".npz":
            rows = _read_archive(path, mapping)
        else:
            rows = read_feature_table(path, label, drop, mapping or ())
        dataset = _dataset(rows, path, name, mapping)
    for note in rows["notes"]:
        _log.warning("%s: %s", path, note)
    return dataset


def _read_archive(path: Path, label_map: Mapping[str, str] | None) -> dict[str, Any]:
    """What a file holds: features, and label, subject, clip, groups and names where there are."""
    found: dict[str, Any] = {}
    with open_archive(path, "the features cannot be read", "save them by numpy.savez") as members:
        for member in members.files:
            role = _MEMBERS.get(same_name(member), member)
            if role in found:
                raise DataError(f"{member} and another member could each be its {role.removesuffix('s')}s; keep one")
            try:
                found[role] = np.asarray(members[member])
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                remedy = f"save numbers, or text as {member}.astype(str)"
                raise DataError(f"{member} cannot be read, it holds Python objects; {remedy}") from error
    if "features" not in found:
        raise DataError(f"no member features; it has {', '.join(found) or 'none'}")
    used = ("features", "label", "class_names", "subject", "clip", "groups", "feature_names")
    features, labels, class_names, subjects, clips, groups, names = (found.pop(role, None) for role in used)
    check_size(features.size)
    rows: dict[str, Any] = {
        "features": features,
        "label": None
        if labels is None
        else known_texts("label", _labels(labels, class_names, label_map), known=label_map or ()),
        "subject": None if subjects is None else known_texts("subject", _texts(subjects, "subjects")),
        "clip": None if clips is None else known_texts("clip", _texts(clips, "clips")),
        "names": None if names is None else _texts(names, "feature_names"),
        "groups": groups,
        "notes": [f"members that are not used: {', '.join(found)}"] if found else [],
    }
    if features.ndim == 2 and groups is None and features.shape[1] != _CANONICAL and features.dtype.kind in "fiu":
        numbered = rows["names"] or list(map(str, range(features.shape[1])))
        if len(numbered) == features.shape[1]:
            check_features(features, numbered, rows["label"], "leave it out of features, or give its group in groups")
    return rows


def _texts(values: npt.NDArray[Any], what: str) -> list[str]:
    """A vector, or a column or row, as text; whole numbers without a point, NaN as no text."""
    if values.ndim != 1 and values.size != max(values.shape, default=0):
        raise DataError(f"{what} have the shape {values.shape}; give a vector, one for each sample")
    if values.dtype.kind not in "fUSiu":  # times would be whole numbers, too
        raise DataError(f"{what} are text or whole numbers, got {values.dtype}")
    return [as_text(value, what) for value in values.ravel().tolist()]


def _labels(
    labels: npt.NDArray[Any], class_names: npt.NDArray[Any] | None, label_map: Mapping[str, str] | None
) -> list[str]:
    """Labels as text; numbers are places in ``class_names``, or, without these, what the label map names."""
    texts = _texts(labels, "labels")
    if labels.dtype.kind not in "fiu" or (class_names is None and label_map is not None):
        return texts
    if class_names is None:
        raise DataError("labels are numbers; give class_names too, or a label map, or labels as text")
    names, codes = _texts(class_names, "class_names"), labels.ravel()
    if len(set(names)) < len(names):
        raise DataError(f"class_names must differ, got {', '.join(names)}")
    if codes.size and not (np.isin(codes, np.arange(len(names)))).all():
        raise DataError(f"labels must be 0…{len(names) - 1}, got {np.unique(codes)}")
    return [names[int(code)] for code in codes]


def _dataset(rows: dict[str, Any], path: Path, name: str, label_map: Mapping[str, str] | None) -> FeatureDataset:
    from pandas import factorize

    parameters: dict[str, Any] = {"origin": "imported", "file": path.name}
    features, groups, names = rows["features"], rows.get("groups"), rows["names"]
    if groups is None and names is not None:
        groups = np.array([one.partition("/")[0] for one in names] if any("/" in one for one in names) else names)
    if groups is not None:
        groups = groups.ravel()
        if features.ndim == 3 and groups.shape == features.shape[1:2]:
            groups = np.repeat(groups, features.shape[2])
        if groups.size != np.prod(features.shape[1:]):
            raise DataError(f"groups must be {np.prod(features.shape[1:])} integers or names, got {groups.size}")
        by_name = groups.dtype.kind == "U"
        codes, values = factorize(groups, sort=not by_name)
        if by_name and names is None:  # so that two archives meet group by group, whatever their order
            seen: Counter[str] = Counter()
            names = [f"{group}/{seen.update([group]) or seen[group] - 1}" for group in groups.tolist()]
        groups = codes.astype(np.int64)
        parameters["group_names"] = [str(value) for value in values]
    elif features.ndim == 2 and features.shape[1] != _CANONICAL:
        groups = np.arange(features.shape[1])
    labels, classes, kept = rows["label"], CLASS_NAMES, None
    if labels is not None:
        parameters["label_map"] = "" if label_map is None else "own"
        if label_map is None:
            spelled, respelt = one_spelling(labels.tolist())
            labels, rows["notes"] = np.array(spelled, dtype=np.str_), rows["notes"] + respelt
        else:
            unknown = sorted({label for label in labels.tolist() if spelling_key(label) not in label_map})
            if unknown:
                raise DataError(f"labels that the label map lacks: {', '.join(unknown[:5])}")
            labels = np.array([label_map[spelling_key(label)] for label in labels.tolist()], dtype=np.str_)
        found = sorted({*labels.tolist()} - {""})
        classes = CLASS_NAMES if set(found) <= set(CLASS_NAMES) else tuple(found)
        kept = labels != ""
        labels = np.array([classes.index(label) if label else 0 for label in labels], dtype=np.int64)
    dataset = FeatureDataset(
        name, features, labels, classes, rows["subject"], rows["clip"], parameters, groups, feature_names=names
    )
    rows["notes"] += _remarks(rows, classes)
    return dataset if kept is None or kept.all() else dataset.select(kept)


def _remarks(rows: Mapping[str, Any], classes: Collection[str]) -> list[str]:
    """What may be otherwise than it was meant."""
    features, subjects, clips, names = (rows[name] for name in ("features", "subject", "clip", "names"))
    remarks = note_alike([] if subjects is None else subjects.tolist())
    if again := len(features) - len({row.tobytes() for row in features}):
        remarks.append(f"{again} of its {len(features)} rows have the same features as another; remove copies")
    counted = Counter([] if clips is None else clips.tolist())
    if several := [clip for clip, count in counted.items() if count > 1]:
        remarks.append(f"{len(several)} clips have several rows, such as {several[0]}; give each clip one")
    if rows["label"] is not None and len(set(rows["label"].tolist())) == len(features) > FEWEST_ROWS:
        remarks.append("each label is there once only, as names of clips are; are these labels?")
    if others := sorted({*classes} - {*CLASS_NAMES}) if {*classes} & {*CLASS_NAMES} else []:
        remarks.append(f"classes of its own beside the protocol's: {', '.join(others[:8])}; --label-map joins them")
    groups = [name.partition("/")[0] for name in names or () if "/" in name]
    if groups and (single := [name for name in names if "/" not in name]):
        remarks.append(f"features without a group in their name are groups of their own: {', '.join(single[:8])}")
    return remarks + note_alike(groups, "group")
