"""A schematic face of no person, on which regions are drawn where no clip is at hand."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

__all__ = ["outline_face"]

_PAPER, _LINE = 245, 110
_FINE = 6  # fractional bits of OpenCV's coordinates


@functools.cache
def outline_face(side: int = 448) -> npt.NDArray[np.uint8]:
    """Draw the face in grey, shape (side, side): eyes, brows, nose and mouth where a cropped face has them."""
    import cv2

    image = np.full((side, side), _PAPER, dtype=np.uint8)
    unit, width = side * 2**_FINE, max(1, side // 112)

    def arc(x: float, y: float, right: float, down: float, first: float = 0, last: float = 360) -> None:
        centre, axes = (round(x * unit), round(y * unit)), (round(right * unit), round(down * unit))
        cv2.ellipse(image, centre, axes, 0, first, last, _LINE, width, cv2.LINE_AA, _FINE)

    arc(0.5, 0.5, 0.42, 0.48)
    for eye in (0.33, 0.67):
        arc(eye, 0.39, 0.08, 0.035)
        arc(eye, 0.39, 0.025, 0.025)
        arc(eye, 0.33, 0.11, 0.045, 200, 340)
    nose = np.array([[0.5, 0.43], [0.45, 0.6], [0.54, 0.61]]) * unit
    cv2.polylines(image, [nose.astype(np.int32)], False, _LINE, width, cv2.LINE_AA, _FINE)
    arc(0.5, 0.76, 0.14, 0.045)
    arc(0.5, 0.76, 0.14, 0.012, 0, 180)
    return image
