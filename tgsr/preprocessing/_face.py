"""Finding the face in raw frames, with the Haar cascade that OpenCV 4 ships."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError, MissingDataError

__all__ = ["FaceNotFoundError", "crop_face", "find_face"]

_CASCADE = "haarcascade_frontalface_alt2.xml"


class FaceNotFoundError(DataError):
    """No face was found in a clip's first frame; nothing is guessed."""


def find_face(image: npt.NDArray[np.generic]) -> tuple[int, int, int, int] | None:
    """Find the largest frontal face in an image (height, width) of grey values 0…255, of any number type.

    Returns
    -------
    tuple of int or None
        ``top, left, bottom, right`` in pixels, bottom and right exclusive; None without a face.
    """
    import cv2

    grey = np.ascontiguousarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    side = max(min(grey.shape) // 5, 20)
    # equalised, since near-infrared and dim frames have little contrast
    boxes = _cascade().detectMultiScale(cv2.equalizeHist(grey), scaleFactor=1.1, minNeighbors=4, minSize=(side, side))
    if len(boxes) == 0:
        return None
    left, top, width, height = max((tuple(int(value) for value in box) for box in boxes), key=lambda box: box[2:] + box)
    return top, left, top + height, left + width


def crop_face(clip: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Crop all frames (n_frames, height, width) to the face box of the first one: a view of the clip.

    Raises
    ------
    FaceNotFoundError
        If the first frame shows no face.
    """
    box = find_face(clip[0])
    if box is None:
        raise FaceNotFoundError(
            "no face was found in the clip's first frame; leave it out, or, if it is cropped already, use --crop none"
        )
    top, left, bottom, right = box
    return clip[:, top:bottom, left:right]


@lru_cache(maxsize=1)
def _cascade() -> Any:
    import cv2

    if not hasattr(cv2, "CascadeClassifier") or not (path := Path(cv2.__file__).parent / "data" / _CASCADE).is_file():
        raise MissingDataError(
            f"OpenCV {cv2.__version__} has no face cascade; install opencv-python-headless 4 (`pip install "
            "'opencv-python-headless<5'`), or crop the faces beforehand"
        )
    return cv2.CascadeClassifier(str(path))
