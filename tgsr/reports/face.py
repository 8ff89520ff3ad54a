"""A neutral drawn face, for masks of experiments that have no clips at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.reports.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FACE_SIDE", "INTERIOR", "MARGIN", "draw_face", "frame_as_face", "read_face"]

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
        A cropped face, such as a clip's first frame; a neutral drawn face if it is not given.
    """
    axis.set(xlim=(0, FACE_SIDE), ylim=(FACE_SIDE, 0), aspect="equal", xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    if frame is None:
        _sketch(axis)
    else:
        extent = (0, FACE_SIDE, FACE_SIDE, 0)
        axis.imshow(frame_as_face(frame), cmap="gray", extent=extent, vmin=0, vmax=255, zorder=0)


def read_face(path: Path, *, crop: bool = False) -> npt.NDArray[np.uint8]:
    """Read a clip's first frame in grey: of a folder of frames, a video file, or an image file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it cannot be read, or (with ``crop``) shows no face.
    """
    from tgsr.datasets.clips import VIDEO_SUFFIXES, frame_files, read_image, read_video
    from tgsr.preprocessing.face import crop_face

    if path.is_dir():
        frames, _ = frame_files(path)
        if not frames:
            raise DataError(f"{path}: no frames in this folder")
        frame = read_image(frames[0])
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        frame = read_video(path)[0]
    else:
        frame = read_image(path)
    return np.asarray(crop_face(frame[None])[0] if crop else frame, dtype=np.uint8)


def frame_as_face(frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give a frame in grey, stretched to the range 0…255: array of shape (height, width)."""
    grey = np.asarray(frame, dtype=np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3] @ np.array([0.114, 0.587, 0.299])  # blue, green, red, as OpenCV reads them
    low, high = np.percentile(grey, [1, 99])
    stretched: npt.NDArray[np.uint8] = np.clip(255 * (grey - low) / max(high - low, 1.0), 0, 255).astype(np.uint8)
    return stretched


def _sketch(axis: Axes) -> None:
    from matplotlib.patches import Arc, Ellipse

    middle = FACE_SIDE / 2
    line: dict[str, Any] = {"color": GREY, "lw": 1.0, "zorder": 1}
    axis.add_patch(Ellipse((middle, 58), 88, 106, fill=True, facecolor="#F3F1EE", edgecolor=GREY, lw=1.0, zorder=0))
    for side in (-1, 1):
        x = middle + side * 19
        axis.add_patch(Ellipse((x, 46), 17, 7.5, fill=True, facecolor="white", edgecolor=GREY, lw=0.9, zorder=0.2))
        axis.add_patch(Ellipse((x, 46), 5.5, 5.5, color=GREY, zorder=1))
        axis.add_patch(Arc((x, 40), 24, 13, theta1=200, theta2=340, **line))
    axis.plot([middle - 2, middle - 6.5, middle - 3, middle + 4], [50, 68, 70.5, 69.5], solid_joinstyle="round", **line)
    lips = np.linspace(-1, 1, 41)
    axis.plot(middle + 16 * lips, 85 + 1.2 * np.cos(3 * np.pi * lips / 2), **line)
    axis.plot(middle + 16 * lips, 85 - 4 * (1 - lips**2) * (1 - 0.35 * np.exp(-((lips / 0.18) ** 2))), **line)
    axis.plot(middle + 16 * lips, 85 + 6 * (1 - lips**2), **line)
