"""The face under the masks: a clip's first frame, or a generated one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.demo._face import Illumination, draw_subject, render_face

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["INTERIOR", "MARGIN", "draw_face", "frame_as_face", "read_face"]

FACE_SIDE = 112
"""Side of a face's frame in pixels, as features are computed on it."""
MARGIN = 3
"""LBP-TOP's radius: codes, and with them the regions, begin this far from the edge."""
INTERIOR = FACE_SIDE - 2 * MARGIN


def draw_face(axis: Axes, frame: npt.NDArray[Any] | None = None) -> None:
    """Draw a face into axes in pixels of a 112 × 112 frame, y downwards.

    Parameters
    ----------
    axis : Axes
    frame : array of shape (height, width) or (height, width, 3), optional
        A cropped face, such as a clip's first frame; a generated face if it is not given.
    """
    axis.set(xlim=(0, FACE_SIDE), ylim=(FACE_SIDE, 0), aspect="equal", xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    grey: npt.NDArray[Any] = _generated() if frame is None else frame_as_face(frame)
    look: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "zorder": 0}
    axis.imshow(grey, extent=(0, FACE_SIDE, FACE_SIDE, 0), **look)


def read_face(path: Path, *, crop: bool = False) -> npt.NDArray[np.uint8]:
    """Read a clip's first frame in grey: of a folder of frames, a video file, or an image file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it cannot be read, or (with ``crop``) shows no face.
    """
    from tgsr.datasets._clips import VIDEO_SUFFIXES, read_image
    from tgsr.features.extraction import load_clip
    from tgsr.preprocessing._face import crop_face

    is_image = path.is_file() and path.suffix.lower() not in VIDEO_SUFFIXES
    frame = read_image(path) if is_image else load_clip(path)[0]
    return np.asarray(crop_face(frame[None])[0] if crop else frame, dtype=np.uint8)


def frame_as_face(frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give a frame in grey, stretched to the range 0…255: array of shape (height, width)."""
    grey = np.asarray(frame, dtype=np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3] @ np.array([0.114, 0.587, 0.299])  # blue, green, red, as OpenCV reads them
    low, high = np.percentile(grey, [1, 99])
    stretched: npt.NDArray[np.uint8] = np.clip(255 * (grey - low) / max(high - low, 1.0), 0, 255).astype(np.uint8)
    return stretched


@functools.cache
def _generated() -> npt.NDArray[np.float64]:
    """A face of no person, pale, so that colours stand out on it."""
    subject, light = draw_subject(np.random.default_rng(3)), Illumination((-0.2, -0.3, 1.0), 0.5, infrared=True)
    grey = frame_as_face(render_face(subject, light, 2 * FACE_SIDE, 2 * FACE_SIDE)[..., ::-1] * 255)
    return np.asarray(130 + 0.49 * grey, dtype=np.float64)
