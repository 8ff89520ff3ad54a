"""From frames as they were read to the clip that features are computed on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.preprocessing._face import crop_face
from tgsr.preprocessing.interpolation import check_clip, interpolate_clip

__all__ = ["DECIMALS", "prepare_clip", "resize_clip"]

DECIMALS = 4
"""Decimals that prepared grey values are rounded to, the step at which LBP-TOP compares: flat skin or a black border
must stay flat after interpolation, instead of turning into patterns of rounding errors."""

_MOST_PIXELS = 2**22  # of a face: interpolation holds 16 frames of 8 bytes a pixel


def prepare_clip(
    frames: Sequence[npt.ArrayLike] | npt.ArrayLike, *, n_frames: int = 16, size: int = 112, crop: bool = False
) -> npt.NDArray[np.float64]:
    """Crop (if asked for), interpolate in time, then resize: the clip that LBP-TOP sees.

    Parameters
    ----------
    frames : array of shape (N, height, width), or list of N arrays (height, width)
        Grey values 0…255.
    n_frames : int
        Frames wanted.
    size : int
        Height and width wanted, pixels.
    crop : bool
        Crop to the face of the first frame; otherwise the frames are taken as they are.

    Returns
    -------
    ndarray of float64, shape (n_frames, size, size)
        Grey values rounded to 1e-4.

    Raises
    ------
    DataError
        If the frames cannot be used: fewer than two, mixed sizes, blank, scaled to 0…1, or (with ``crop``) no face.
    """
    clip = check_clip(frames)
    blank = clip.min(axis=(1, 2)) == clip.max(axis=(1, 2))
    if blank.any():
        raise DataError(f"frame {int(np.argmax(blank)) + 1} of the clip is blank: all its pixels are equal")
    if clip.dtype.kind == "f" and clip.max() <= 1:
        raise DataError(f"the clip's largest grey value is {clip.max():.3g}; give grey values on the scale 0…255")
    if crop:
        clip = crop_face(clip)
    if clip[0].size > _MOST_PIXELS:
        height, width = clip.shape[1:]
        raise DataError(f"frames of {width} × {height} pixels; crop them to the face or make them smaller")
    return np.round(resize_clip(interpolate_clip(clip, n_frames), size), DECIMALS)


def resize_clip(clip: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Resize frames (n, height, width) to size × size: by area where they shrink, bilinearly where they grow."""
    import cv2

    if clip.shape[1:] == (size, size):
        return clip
    method = cv2.INTER_AREA if max(clip.shape[1:]) > size else cv2.INTER_LINEAR
    return np.stack([np.asarray(cv2.resize(frame, (size, size), interpolation=method)) for frame in clip])
