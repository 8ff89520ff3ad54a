"""A drawn and shaded face, in coordinates of the unit square.

x runs from 0 (left) to 1 (right), y from 0 (forehead) to 1 (chin). The crop is tight: no hair, no background.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["PAD", "SIDE", "Plane", "Point", "Subject", "bump", "draw_subject", "render_face", "unit_grid"]

Plane = npt.NDArray[np.float32]
Point = tuple[float, float]

SIDE = 512
"""Pixels of a rendered face along the unit square: finer than any camera's frames."""
PAD = 32
"""Pixels rendered around it, which come into sight when the head moves."""
_FULL = SIDE + 2 * PAD

_PLACES = {"eye": (0.205, 0.375), "brow": (0.200, 0.262), "nose": (0.090, 0.600), "mouth": (0.168, 0.775)}
"""Distance from the middle line and y of what there is on both sides: pupils, brows, nose wings, mouth corners."""


@dataclass(frozen=True)
class Subject:
    """One generated person: the four places are those of the average face, moved a little."""

    seed: int  # of the skin's texture
    tone: float  # of the skin, from 0 (light) to 1 (dark)
    eye: Point
    brow: Point
    nose: Point
    mouth: Point


def draw_subject(rng: np.random.Generator) -> Subject:
    """Draw a person at random."""
    places = {
        part: (x + rng.uniform(-0.012, 0.012), y + rng.uniform(-0.012, 0.012)) for part, (x, y) in _PLACES.items()
    }
    return Subject(int(rng.integers(2**31)), float(rng.uniform()), **places)


def unit_grid(height: int, width: int) -> tuple[Plane, Plane]:
    """Give x and y of the pixels' centres, each of shape (height, width)."""
    y, x = np.indices((height, width), dtype=np.float32) + np.float32(0.5)
    return x / np.float32(width), y / np.float32(height)


def bump(x: Plane, y: Plane, place: Point, spread: Point) -> Plane:
    """A smooth hill of height 1 at a place."""
    return np.asarray(np.exp(-0.5 * (((x - place[0]) / spread[0]) ** 2 + ((y - place[1]) / spread[1]) ** 2)))


def render_face(subject: Subject, light: tuple[float, float, float], ambient: float, infrared: bool) -> Plane:
    """Render the neutral face.

    Parameters
    ----------
    subject : Subject
    light : tuple of float
        Direction of the main light: x to the right, y down, z to the camera.
    ambient : float
        Share of the light that comes from everywhere.
    infrared : bool
        Skin and lips are bright then, and much alike, and all is grey.

    Returns
    -------
    float32 array of shape (SIDE + 2 · PAD, SIDE + 2 · PAD, 3)
        Blue, green, red in 0…1.
    """
    colours, texture = _paint(subject), _texture(subject.seed)
    if infrared:
        colours[:] = 0.42 + 0.45 * colours.mean(axis=2, keepdims=True)
    slope_y, slope_x = np.gradient(_relief(subject) + np.float32(0.00045) * texture, 1 / SIDE)
    right, down, ahead = np.array(light) / np.linalg.norm(light)
    cosine = (ahead - slope_x * right - slope_y * down) / np.sqrt(slope_x**2 + slope_y**2 + 1)  # Lambert's law
    shade = ambient + (1 - ambient) * np.clip(cosine, 0, None)
    return np.asarray(np.clip(colours * shade[..., None] + 0.03 * texture[..., None], 0, 1), dtype=np.float32)


def _paint(subject: Subject) -> Plane:
    """The skin's colour, and what is drawn on it."""
    skin = np.array([0.65, 0.74, 0.90]) * (1 - subject.tone) + np.array([0.41, 0.50, 0.66]) * subject.tone
    dark, hair, white, lips = skin * 0.2, [0.10, 0.13, 0.17], [0.74, 0.77, 0.80], skin * [0.64, 0.62, 0.88]
    image = np.full((_FULL, _FULL, 3), skin, dtype=np.float32)
    t = np.linspace(-1, 1, 41)
    arch = 1 - t**2

    def points(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int32]:
        places = np.stack(np.broadcast_arrays(x, y), axis=-1)
        return np.asarray(np.rint(16 * (SIDE * places + PAD)), dtype=np.int32)  # OpenCV's shift: sixteenths of a pixel

    def fill(x: npt.ArrayLike, upper: npt.ArrayLike, lower: npt.ArrayLike, colour: npt.ArrayLike) -> None:
        outline = np.vstack([points(x, upper), points(x, lower)[::-1]])
        cv2.fillPoly(image, [outline], np.asarray(colour).tolist(), shift=4)

    def stroke(x: npt.ArrayLike, y: npt.ArrayLike, width: float, colour: npt.ArrayLike) -> None:
        cv2.polylines(image, [points(x, y)], False, np.asarray(colour).tolist(), round(width * SIDE), shift=4)

    for side in (-1, 1):
        x, y = 0.5 + side * subject.eye[0], subject.eye[1]
        fill(x + 0.088 * t, y - 0.034 * arch, y + 0.020 * arch, white)
        for radius, colour in ((0.026, hair), (0.013, dark)):
            disc = radius * np.sqrt(arch)
            fill(x + radius * t, y - 0.006 - disc, y - 0.006 + disc, colour)
        stroke(x + 0.088 * t, y - 0.034 * arch, 0.010, dark)
        stroke(x + 0.088 * t, y - 0.010 - 0.046 * arch, 0.006, skin * 0.8)
        stroke(x + 0.088 * t, y + 0.020 * arch, 0.006, skin * 0.7)
        x, y = 0.5 + side * subject.brow[0], subject.brow[1]
        fill(x + side * 0.115 * t, y - 0.033 * arch - 0.001, y - 0.024 * arch + 0.017 - 0.006 * t, hair)
        x, y = 0.5 + side * subject.nose[0], subject.nose[1]
        fill(x - side * 0.045 + 0.020 * t, y + 0.034 - 0.009 * arch, y + 0.034 + 0.009 * arch, dark)
        stroke(x + side * 0.012 * arch, y + 0.015 + 0.03 * t, 0.010, skin * 0.75)
    x, y = 0.5, subject.mouth[1]
    corners, middle = x + subject.mouth[0] * t, y + 0.007 * arch
    fill(corners, middle - 0.028 * np.sqrt(arch), middle + 0.040 * np.sqrt(arch), lips)
    stroke(corners, middle, 0.010, dark)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.004 * SIDE), dtype=np.float32)


def _texture(seed: int) -> Plane:
    """Skin: noise in several octaves, standard deviation 1, fixed to the face."""
    rng = np.random.default_rng(seed)
    total = np.zeros((_FULL, _FULL), dtype=np.float32)
    for cells, weight in ((6, 0.5), (14, 0.5), (30, 0.6), (60, 0.7), (110, 0.6)):
        noise = rng.standard_normal((cells, cells), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(noise, (_FULL, _FULL), interpolation=cv2.INTER_CUBIC)
    return np.asarray(total / total.std())


def _relief(subject: Subject) -> Plane:
    """Height of the face above the image plane: a dome, and what stands out of it or lies in it."""
    x, y = (grid * np.float32(_FULL / SIDE) - np.float32(PAD / SIDE) for grid in unit_grid(_FULL, _FULL))
    side = np.abs(x - np.float32(0.5))
    relief = 0.42 * np.sqrt(1 - (side / 0.75) ** 2 - ((y - 0.5) / 0.95) ** 2)
    for height, place, spread in (
        (0.045, (0.0, subject.nose[1] - 0.13), (0.030, 0.12)),  # bridge, tip and wings of the nose
        (0.060, (0.0, subject.nose[1] - 0.005), (0.045, 0.038)),
        (0.022, (subject.nose[0], subject.nose[1] + 0.012), (0.026, 0.026)),
        (0.012, (0.0, subject.mouth[1]), (0.10, 0.05)),  # lips, and the dent below them
        (-0.012, (0.0, subject.mouth[1] + 0.065), (0.10, 0.022)),
        (0.028, (0.0, 0.95), (0.13, 0.06)),  # chin
        (0.022, (subject.eye[0], subject.brow[1] + 0.010), (0.12, 0.028)),  # ridge of the brow, socket of the eye
        (-0.030, (subject.eye[0] * 0.92, subject.eye[1]), (0.085, 0.045)),
        (0.035, (0.27, 0.545), (0.10, 0.07)),  # cheek
    ):
        relief += np.float32(height) * bump(side, y, place, spread)
    return np.asarray(relief, dtype=np.float32)
