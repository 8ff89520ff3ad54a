"""The authors' released feature files: MATLAB ``.mat``, HDF5 (v7.3) or older.

Each holds ``<DB>_micro_feature`` (n × 15,045, the released layout) and ``<DB>_micro_label`` (1 = negative,
2 = positive, 3 = surprise). The features are reordered to the canonical layout, values unchanged.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from tgsr.datasets._matlab import MOST_BYTES, NUMBERS, older_variables
from tgsr.datasets.dataset import FeatureDataset, read_only
from tgsr.errors import DataError, MissingDataError
from tgsr.files import reading
from tgsr.protocols import CLASS_NAMES, DATABASES, EXPECTED_COUNTS, N_REGIONS, database_name
from tgsr.regions import N_BINS, N_PLANES, released_to_canonical

__all__ = ["is_released_name", "load_released", "released_databases"]

_FEATURE, _LABEL = "_micro_feature", "_micro_label"
_N_FEATURES = N_REGIONS * N_PLANES * N_BINS
_PARAMETERS = {"origin": "released", "radius": 3, "neighbours": 8, "mapping": "uniform"}
_SMIC_SUBJECTS = "s11:7 s12:9 s13:10 s14:10 s15:4 s18:7 s19:2 s20:22"
_SUBJECTS = {
    "SMIC_VIS": _SMIC_SUBJECTS,
    "SMIC_NIR": _SMIC_SUBJECTS,
    "CASME2": "sub01:3 sub02:4 sub03:5 sub04:3 sub05:7 sub06:4 sub07:5 sub09:6 sub10:1 sub11:4 sub12:11 sub13:2 "
    "sub14:3 sub15:3 sub16:2 sub17:24 sub19:12 sub20:2 sub23:5 sub24:7 sub25:5 sub26:12",
}
"""Who is seen in the released rows, and how many rows in turn. The files do not say it: it is an inference, from the
label vectors against the subjects' numbers of clips of each class in the databases' sheets."""


def is_released_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like the released ones, ``CrossCorpus_….mat``, and so should hold a database."""
    name = Path(path).name.lower()
    return name.startswith("crosscorpus") and name.endswith(".mat")


def released_databases(path: str | os.PathLike[str]) -> list[str]:
    """Names of the databases whose features a ``.mat`` file holds; values are not read.

    A file without any is a `MissingDataError`, one that is no MATLAB file or is truncated a `DataError`.
    """
    path, variables = _variables(path)
    names = [prefix.upper() for prefix in _prefixes(variables) if prefix.upper() in DATABASES.values()]
    if not names:
        raise MissingDataError(_wrong_variables(path, None, variables))
    return names


def load_released(path: str | os.PathLike[str], database: str | None = None) -> FeatureDataset:
    """Read one released feature file.

    Parameters
    ----------
    path : path
        A ``.mat`` file.
    database : str, optional
        The database that the file must hold; by default it is read from the variable's name.

    Raises
    ------
    MissingDataError
        If the file, or the database's variables in it, are not there.
    DataError
        If the file is damaged, or its features or labels cannot be used.

    Notes
    -----
    The subjects of the files as they were released are known by inference only: see ``parameters["subjects"]``.
    """
    path, variables = _variables(path)
    wanted = None if database is None else database_name(database)
    found = [prefix for prefix in _prefixes(variables) if wanted in (None, prefix.upper())]
    if len(found) != 1 or f"{found[0]}{_LABEL}" not in variables:
        raise MissingDataError(_wrong_variables(path, database, variables))
    prefix = found[0]
    features, labels = (_read(path, f"{prefix}{suffix}") for suffix in (_FEATURE, _LABEL))
    labels = labels.ravel()
    if features.ndim == 2 and features.shape[0] == _N_FEATURES and features.shape[1] == labels.size:
        features = features.T  # HDF5 shows MATLAB's n × 15,045 with its axes swapped
    if features.shape != (labels.size, _N_FEATURES):
        raise DataError(
            f"{path}: {prefix}{_FEATURE} has shape {features.shape} for {labels.size} labels; "
            f"expected ({labels.size}, {_N_FEATURES})"
        )
    if not np.isin(labels, np.arange(1, len(CLASS_NAMES) + 1)).all():
        raise DataError(f"{path}: {prefix}{_LABEL} must hold 1, 2 or 3, got {np.unique(labels)}")
    name, labels = database_name(prefix), labels.astype(np.int64) - 1
    parameters, subjects = dict(_PARAMETERS), None
    # other files of this format have other numbers of samples a class
    if name in _SUBJECTS and tuple(np.bincount(labels, minlength=len(CLASS_NAMES))) == EXPECTED_COUNTS[name]:
        runs = [run.split(":") for run in _SUBJECTS[name].split()]
        subjects = np.repeat([subject for subject, _ in runs], [int(count) for _, count in runs]).astype(np.str_)
        parameters["subjects"] = "inferred from the labels"
    with reading(path):
        features = read_only(released_to_canonical(np.ascontiguousarray(features, dtype=np.float64)))
        return FeatureDataset(name, features, labels, subjects=subjects, parameters=parameters)


def _prefixes(variables: list[str]) -> list[str]:
    return [variable.removesuffix(_FEATURE) for variable in variables if variable.endswith(_FEATURE)]


def _wrong_variables(path: Path, database: str | None, variables: list[str]) -> str:
    expected = f"{database_name(database) if database else '<DB>'}{_FEATURE} and …{_LABEL}"
    return f"{path}: expected the variables {expected}, found {', '.join(variables) or 'none'}"


def _variables(path: str | os.PathLike[str]) -> tuple[Path, list[str]]:
    """A file that is there, and the names of its variables; their values are not read."""
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; name the folder that holds the released .mat files")
    with reading(path, "not a readable MATLAB file", "download it again"):
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return path, sorted(str(key) for key in file if not str(key).startswith("#"))
        with path.open("rb") as stream:
            start = stream.read(128)
            if start and b"\0" not in start and start.isascii():
                raise DataError(f"{path}: text, such as Octave writes by default, and no MATLAB file; save it with -v7")
            stream.seek(0)
            return path, sorted(variable.name for variable in older_variables(stream))


def _read(path: Path, variable: str) -> npt.NDArray[Any]:
    with reading(path, f"{variable} cannot be read", "download the file again"):
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                values = np.asarray(_dataset(path, file, variable))
        else:
            with path.open("rb") as stream:
                found = next(one for one in older_variables(stream) if one.name == variable)
                if found.holds != NUMBERS:
                    raise DataError(f"{path}: {variable} must hold numbers, got {found.holds}; save full numbers")
                _check_bytes(path, variable, 8 * math.prod(found.shape))
                values = found.read()
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path}: {variable} must hold numbers, got {values.dtype}; save it as numbers")
    return values


def _dataset(path: Path, file: h5py.File, variable: str) -> h5py.Dataset:
    """A dataset of the file itself: not a link to another file, nor stored in one, nor larger than a database is."""

    def linked(group: h5py.Group, name: str) -> Any:
        return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None

    values = linked(file, variable)
    if isinstance(values, h5py.Group):
        sparse, values = "MATLAB_sparse" in values.attrs, linked(values, "value")  # Octave's `save -hdf5` has a value
        if sparse or isinstance(values, h5py.Group):
            raise DataError(f"{path}: {variable} is sparse; save full({variable}) instead")
    if not isinstance(values, h5py.Dataset) or values.external or values.is_virtual:
        raise DataError(f"{path}: {variable} is not stored in this file; links to other files are not followed")
    _check_bytes(path, variable, max(values.nbytes, math.prod(values.chunks or ()) * values.dtype.itemsize))
    return values


def _check_bytes(path: Path, variable: str, n_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise DataError(f"{path}: {variable} takes {n_bytes >> 20} MB, more than {MOST_BYTES >> 20} MB")
