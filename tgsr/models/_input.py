"""What people give a model (rows, tables, lists, clips, paths) as rows of features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.protocols import N_REGIONS
from tgsr.regions import N_BINS, N_PLANES

if TYPE_CHECKING:
    from tgsr.features.extraction import ExtractionSettings

__all__ = ["CLIP_SHAPE", "extraction_settings", "feature_rows", "named_rows"]

CLIP_SHAPE = "clip_shape"
"""Name of the parameter by which a row is announced as a clip: its frames, height and width."""

_LARGEST = 1e100
"""Features beyond this overflow when they are squared and added up."""
_MOST_VALUES = 2**26
"""Values in one call, half a gigabyte: a request beyond it would fill the memory of a server."""
_CANONICAL = (N_REGIONS, N_PLANES * N_BINS)

Rows = npt.NDArray[np.float64]


def feature_rows(
    given: Any,
    n_features: int,
    extraction: Mapping[str, Any],
    clip_shape: Sequence[int] = (),
    *,
    paths: bool = True,
) -> Rows:
    """Feature rows (n, n_features) of a model's input.

    Parameters
    ----------
    given : array, DataFrame, list, or path
        Feature rows of any number type: (n, n_features), one row (n_features,), or blocks (n, 85, 177). Or clips: one
        array (frames, height, width), a list or object array of such arrays or of paths, or one path; a path is that
        of a folder of frames or of a video file.
    n_features : int
    extraction : mapping
        How features are made from clips; empty where they are not of ours.
    clip_shape : sequence of int
        If not empty or zero, rows are the grey values of clips with so many frames, rows and columns.
    paths : bool
        Whether paths may be given.

    Raises
    ------
    DataError
        If the input is none of these, holds NaN or values that overflow, or a clip cannot be used.
    MissingDataError
        If there is no clip at a path.
    """
    array = _split(given)
    if isinstance(array, np.ndarray):
        if array.size > _MOST_VALUES:
            raise DataError(f"{array.size:,} values in one call are too many; give at most {_MOST_VALUES:,}, in parts")
        if any(clip_shape):
            if (
                array.ndim != 2
                or len(clip_shape) != 3
                or min(clip_shape) < 1
                or math.prod(clip_shape) != array.shape[1]
            ):
                raise DataError(
                    f"{CLIP_SHAPE} = {list(clip_shape)} does not fit an input of shape {array.shape}; give frames, "
                    "height and width, and a row for each clip"
                )
            array = array.astype(np.float64).reshape(len(array), *clip_shape)
        elif array.ndim == 3 and array.shape[1:] == _CANONICAL:
            array = array.reshape(len(array), -1)
        elif array.ndim == 3 or array.shape == (n_features,):
            array = array[None]  # one clip, or one row
    if isinstance(array, list) or array.ndim == 4:
        return _clip_rows(list(array), n_features, extraction, paths)
    if array.ndim != 2 or not len(array):
        raise DataError(f"input has shape {array.shape}; give feature rows (n, {n_features}), or clips")
    if array.shape[1] != n_features:
        raise DataError(
            f"feature rows have {array.shape[1]} values, the model needs {n_features}; for clips give {CLIP_SHAPE}"
        )
    return _check_rows(array.astype(np.float64, copy=False))


def named_rows(given: Any, wanted: Sequence[str]) -> Any:
    """A data frame, or a row of one, as an array with the features in the order of their names; all else as it is.

    Names that are only numbers of columns are none.

    Raises
    ------
    DataError
        If the names are others than those wanted.
    """
    if not wanted or not hasattr(given, "to_numpy"):
        return given
    from tgsr.datasets import align_features  # readers of files, not needed for rows

    row = not hasattr(given, "columns")
    names = [str(label) for label in (getattr(given, "index", ()) if row else given.columns)]
    numbered = names == [str(number) for number in range(len(names))]
    if numbered or len(names) < min(2, len(wanted)) or (row and not set(names) & set(wanted)):
        return given
    return align_features(wanted, names, np.atleast_2d(given.to_numpy()))


def extraction_settings(extraction: Mapping[str, Any]) -> ExtractionSettings:
    """How a model makes features from clips.

    Raises
    ------
    DataError
        If it takes feature rows only, or what its file says is out of range.
    """
    from tgsr.features.extraction import ExtractionSettings

    if not extraction:
        raise DataError("the model was trained on features that were not made by tgsr: give feature rows, not clips")
    try:
        return ExtractionSettings.from_dict(extraction)
    except (TypeError, ValueError) as error:
        raise DataError(f"the model's file says of its features what cannot be: {error}") from error


def _split(given: Any) -> list[Any] | npt.NDArray[Any]:
    """Clips or paths as a list, or else an array of numbers."""
    if isinstance(given, (str, Path)):
        return [given]
    if hasattr(given, "to_numpy"):  # a data frame, or a column of one
        given = given.to_numpy()
        given = given.ravel() if given.ndim == 2 and given.shape[1] == 1 else given
    if isinstance(given, (list, tuple)) and any(map(_is_clip, given)):
        return list(given)
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise DataError(f"input is no table of numbers ({error}); give rows of the same length") from error
    if array.dtype.kind in "US" or (array.dtype == object and array.ndim == 1 and any(map(_is_clip, array))):
        return list(array.ravel())
    if array.dtype == object:
        try:
            array = np.array(array.tolist(), dtype=np.float64)  # also of rows in the cells of one column
        except (TypeError, ValueError) as error:
            raise DataError(f"input holds what is no number ({error})") from error
    if array.dtype.kind not in "fiub":
        raise DataError(f"input must be real numbers, got {array.dtype}")
    return array


def _is_clip(entry: Any) -> bool:
    """Whether an entry is a path, an array of frames or a list of them, and no row or number."""
    if isinstance(entry, (str, Path)) or getattr(entry, "ndim", 0) == 3:
        return True
    return isinstance(entry, (list, tuple)) and len(entry) > 0 and getattr(entry[0], "ndim", 0) == 2


def _check_rows(rows: Rows) -> Rows:
    bad = ~(np.abs(rows).max(axis=1) <= _LARGEST)  # NaN compares as False
    if bad.any():
        raise DataError(
            f"feature row {int(np.argmax(bad)) + 1} holds NaN, infinite values or values beyond {_LARGEST:g} "
            f"({int(bad.sum())} such rows)"
        )
    return rows


def _clip_rows(clips: Sequence[Any], n_features: int, extraction: Mapping[str, Any], paths: bool) -> Rows:
    if not paths and any(isinstance(clip, (str, bytes, Path)) for clip in clips):
        raise DataError("paths are taken by tgsr.load_model in Python only; send the clips or their features")
    settings = extraction_settings(extraction)
    rows = np.array([_clip_row(clip, number, settings) for number, clip in enumerate(clips, start=1)])
    if rows.shape[1] != n_features:
        raise DataError(f"the model needs {n_features} features, and its settings give {rows.shape[1]} of a clip")
    return _check_rows(rows)


def _clip_row(clip: Any, number: int, settings: ExtractionSettings) -> Rows:
    from tgsr.features.extraction import clip_features, path_features  # compiled code, not needed for rows

    if isinstance(clip, (str, Path)):
        return np.asarray(path_features(clip, settings)).ravel()
    try:
        frames = [np.asarray(frame) for frame in clip]
        if any(frame.dtype.kind not in "fiub" or not ((frame >= 0) & (frame <= 255)).all() for frame in frames):
            raise DataError("grey values must be numbers from 0 to 255")
        return np.asarray(clip_features(frames, settings)).ravel()
    except (TypeError, ValueError) as error:  # with the typed ones of the features
        raise DataError(f"clip {number}: {error}") from error
