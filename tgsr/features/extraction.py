"""Clips to features: one clip for inference, a whole database for a feature file."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip, frame_files, read_frames
from tgsr.errors import DataError, MissingDataError, ParameterError
from tgsr.features._flow import flow_histograms
from tgsr.features._lbp_top import INTERPOLATIONS, MAPPINGS, code_bins, region_histograms
from tgsr.files import reading
from tgsr.preprocessing.pipeline import DECIMALS, prepare_clip
from tgsr.protocols import check_choice, check_integer
from tgsr.regions import SCALES

__all__ = ["CROPS", "EXTRACTORS", "ExtractionSettings", "clip_features", "load_clip", "path_features"]

_log = logging.getLogger(__name__)

CROPS: tuple[str, ...] = ("auto", "face", "none")
EXTRACTORS = {"lbp-top": region_histograms, "flow": flow_histograms}
"""Name → function of a prepared clip (T, height, width) and the settings: features of shape (n_regions, size)."""
_LARGEST = {"n_frames": 1000, "size": 1024, "radii": 64, "grid": 64}


@dataclass(frozen=True)
class ExtractionSettings:
    """Everything that decides the features of a clip; it travels with feature files and models.

    Attributes
    ----------
    n_frames : int
        Frames after temporal interpolation.
    size : int
        Height and width of a frame, pixels.
    radii : tuple of int
        LBP-TOP radii along X, Y and T.
    neighbours : int
        Neighbours on each circle, 2 to 16.
    mapping : {"uniform", "riu2", "none"}
        Bins of a code. "uniform": codes with at most two transitions ascend in the first P(P − 1) + 2 bins, the rest
        share the last one. "riu2": uniform codes by their number of ones, the rest last. "none": every code its own.
    interpolation : {"bilinear", "nearest"}
        How a neighbour between pixels is read.
    grid : tuple of int
        Blocks a side in each grid of regions.
    extractor : str
        What makes features of the prepared clip; see `EXTRACTORS`. Those but ``lbp-top`` pass
        over radii, neighbours, mapping and interpolation.
    crop : {"auto", "face", "none"}
        Find the face and crop to it: in clips known to be raw, in all, or in none. A feature file and a model record
        what was done; "auto" stays only where raw and cropped clips were mixed, and in files of earlier versions.

    Raises
    ------
    ParameterError
        If a value is out of its range, or the radii do not fit the clip.
    """

    n_frames: int = 16
    size: int = 112
    radii: tuple[int, int, int] = (3, 3, 3)
    neighbours: int = 8
    mapping: str = "uniform"
    grid: tuple[int, ...] = SCALES
    interpolation: str = "bilinear"
    crop: str = "auto"
    extractor: str = "lbp-top"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", tuple(self.radii))
        object.__setattr__(self, "grid", tuple(self.grid))
        if len(self.radii) != 3 or not self.grid:
            raise ParameterError(f"there must be three radii, and a grid: {self}")
        for name, largest in _LARGEST.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                check_integer(name, value, 1, largest)
        choices = (("mapping", MAPPINGS), ("interpolation", INTERPOLATIONS), ("crop", CROPS), ("extractor", EXTRACTORS))
        for name, allowed in choices:
            check_choice(name, getattr(self, name), allowed)
        code_bins(self.neighbours, self.mapping)
        if self.n_frames <= 2 * self.radii[2] or self.size <= 2 * max(self.radii[:2]):
            raise ParameterError(
                f"radii {self.radii} need more than {2 * self.radii[2]} frames of more than {2 * max(self.radii[:2])} "
                f"pixels; got {self.n_frames} frames of {self.size}"
            )

    def crops(self, cropped: bool | None) -> bool:
        """Whether the face is looked for in a clip that is cropped, raw (False) or unknown (None: as if cropped)."""
        return self.crop == "face" or (self.crop == "auto" and cropped is False)

    def to_dict(self) -> dict[str, Any]:
        """JSON values of all settings, and of the constants that decide features with them."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {**values, "decimals": DECIMALS, "order": f"crop, interpolate, resize, {self.extractor}"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExtractionSettings:
        """Read what `to_dict` gave; unrelated keys are passed over, so a feature file's parameters will do.

        Raises
        ------
        ParameterError
            If a value is out of its range, or was made with other constants than this version has.
        """
        if values.get("decimals", DECIMALS) != DECIMALS:
            raise ParameterError(
                f"features rounded to {values['decimals']} decimals; this version rounds to {DECIMALS}"
            )
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{name: value for name, value in values.items() if name in known})
        except (TypeError, ValueError) as error:  # what JSON may hold in place of a number or a list
            raise ParameterError(f"settings of an extraction cannot be read: {error}") from error


def load_clip(path: str | os.PathLike[str]) -> list[npt.NDArray[np.uint8]]:
    """Read a clip for inference, as grey frames (height, width): a folder of numbered frames, or a film.

    Raises
    ------
    MissingDataError
        If there is no such folder or file, or the folder holds no frames.
    DataError
        If a frame or the film cannot be used; the message names the file.
    """
    path, notes = Path(path), list[str]()
    clip = Clip(path.name, "", None, None)
    if path.is_dir():
        clip = replace(clip, frames=frame_files(path)[0])
        if not clip.frames:
            raise MissingDataError(f"{path}: no frames in this folder; give a folder of images such as img12.jpg")
    elif not path.exists():
        raise MissingDataError(f"{path}: no such folder of frames or video file")
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        clip = replace(clip, video=path)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        clip = replace(clip, frames=(path,))
    else:
        raise DataError(f"{path}: not a known kind of video ({', '.join(sorted(VIDEO_SUFFIXES))})")
    frames = read_frames(clip, notes)
    for note in notes:
        _log.warning("%s: %s", path, note)
    return frames


def path_features(path: str | os.PathLike[str], settings: ExtractionSettings | None = None) -> npt.NDArray[np.float64]:
    """Compute the features of a clip on disk: `load_clip`, then `clip_features`; every error names the clip."""
    frames = load_clip(path)
    with reading(path):
        return clip_features(frames, settings)


def clip_features(
    frames: Sequence[npt.ArrayLike] | npt.ArrayLike,
    settings: ExtractionSettings | None = None,
    *,
    cropped: bool | None = None,
) -> npt.NDArray[np.float64]:
    """Compute the features of one clip.

    Parameters
    ----------
    frames : array of shape (N, height, width), or list of N arrays (height, width)
        Grey values 0…255, N ≥ 2.
    settings : ExtractionSettings, optional
    cropped : bool, optional
        Whether the frames show the cropped face already. With ``crop="auto"`` the face is looked for only if this is
        False; unknown counts as cropped.

    Returns
    -------
    ndarray of float64, shape (85, 177)
        In the canonical layout; with another grid, mapping or extractor, (n_regions, size).

    Raises
    ------
    DataError
        If the frames cannot be used; `tgsr.preprocessing.FaceNotFoundError` if a face is wanted and there is none.
    """
    settings = settings or ExtractionSettings()
    clip = prepare_clip(frames, n_frames=settings.n_frames, size=settings.size, crop=settings.crops(cropped))
    return EXTRACTORS[settings.extractor](clip, settings)
