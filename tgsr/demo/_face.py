"""A smooth, shaded face: geometry, relief, skin and features, in coordinates of the unit square.

x runs from 0 (left) to 1 (right), y from 0 (forehead) to 1 (chin), as in the cropped frames of SMIC and CASME II.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Illumination", "Subject", "bump", "draw_subject", "pixel_grid", "render_face"]

Plane = npt.NDArray[np.float32]


def _around(mean: float, spread: float) -> Any:
    return field(metadata={"around": (mean, spread)})


@dataclass(frozen=True)
class Subject:
    """The shape, colours and skin of one generated person; lengths are fractions of the frame."""

    skin: tuple[float, ...]  # red, green, blue in 0…1
    hair: tuple[float, ...]
    lips: tuple[float, ...]
    seed: int  # of the skin's texture
    eye_x: float = _around(0.205, 0.008)  # distance of each eye from the middle
    eye_y: float = _around(0.375, 0.008)
    eye_width: float = _around(0.088, 0.005)
    brow_y: float = _around(0.262, 0.010)
    brow_thickness: float = _around(0.020, 0.003)
    nose_y: float = _around(0.600, 0.010)
    nose_width: float = _around(0.088, 0.006)
    mouth_y: float = _around(0.775, 0.010)
    mouth_width: float = _around(0.168, 0.010)
    lip_fullness: float = _around(0.034, 0.004)
    face_width: float = _around(0.475, 0.012)
    texture: float = _around(0.055, 0.010)  # contrast of the skin


@dataclass(frozen=True)
class Illumination:
    """Direction of the main light (x to the right, y down, z to the camera), and the share of ambient light."""

    direction: tuple[float, float, float]
    ambient: float
    infrared: bool = False


def draw_subject(rng: np.random.Generator) -> Subject:
    """Draw a person at random; no length is further than two spreads from its mean."""
    tone = rng.uniform(0.0, 1.0)
    skin = np.array([0.90, 0.74, 0.65]) * (1 - tone) + np.array([0.66, 0.50, 0.41]) * tone
    hair = np.array([0.10, 0.08, 0.07]) + rng.uniform(0, 0.12) * np.array([1.0, 0.7, 0.45])
    lengths = {}
    for one in fields(Subject):
        if one.metadata:
            mean, spread = one.metadata["around"]
            lengths[one.name] = float(np.clip(rng.normal(mean, spread), mean - 2 * spread, mean + 2 * spread))
    return Subject(
        **lengths,
        skin=tuple(skin.tolist()),
        hair=tuple(hair.tolist()),
        lips=tuple((skin * np.array([0.88, 0.62, 0.64])).tolist()),
        seed=int(rng.integers(2**31)),
    )


def pixel_grid(height: int, width: int) -> tuple[Plane, Plane]:
    """Give x and y of the pixels' centres, each of shape (height, width)."""
    across, down = ((np.arange(length) + 0.5) / length for length in (width, height))
    x, y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    return x, y


def render_face(subject: Subject, light: Illumination, height: int, width: int) -> npt.NDArray[np.float32]:
    """Render the neutral face.

    Returns
    -------
    float32 array of shape (height, width, 3)
        Red, green, blue in 0…1; the three are equal under infrared light.
    """
    x, y = pixel_grid(height, width)
    canvas = _Canvas(subject, light.infrared, x, y)
    canvas.paint_cheeks()
    canvas.paint_mouth()
    canvas.paint_nostrils()
    for side in (-1, 1):
        canvas.paint_eye(side * (x - 0.5))
        canvas.paint_brow(side * (x - 0.5))
    canvas.albedo *= _shade(_relief(subject, x, y) + np.float32(0.00045) * canvas.skin, light)[..., None]
    canvas.paint_surround()
    return np.asarray(np.clip(canvas.albedo, 0, 1), dtype=np.float32)


class _Canvas:
    """The colours of a face as the sensor sees them, painted feature by feature."""

    def __init__(self, subject: Subject, infrared: bool, x: Plane, y: Plane) -> None:
        self.s, self.infrared, self.x, self.y = subject, infrared, x, y
        self.side, self.skin = np.abs(x - 0.5), _texture(subject.seed, *x.shape)
        self.hair = self.seen(subject.hair) * np.float32(0.75 if infrared else 1)
        self.albedo = self.seen(subject.skin) * (1 + np.float32(subject.texture) * self.skin[..., None])

    def seen(self, colour: tuple[float, ...]) -> Plane:
        """In near-infrared skin and lips are bright and much alike, hair is less dark."""
        if not self.infrared:
            return np.array(colour, dtype=np.float32)
        return np.full(3, 0.42 + 0.45 * float(np.mean(colour)), dtype=np.float32)

    def paint(self, colour: Plane, weight: npt.NDArray[np.floating]) -> None:
        self.albedo += np.clip(weight, 0, 1).astype(np.float32)[..., None] * (colour - self.albedo)

    def shade(self, colour: tuple[float, ...], weight: npt.NDArray[np.floating]) -> None:
        self.paint(self.seen(colour) * np.float32(0.6), weight)

    def paint_cheeks(self) -> None:
        red, green, blue = self.s.skin
        flushed = self.seen((min(1.0, red * 1.02), green * 0.86, blue * 0.86))
        self.paint(flushed, 0.5 * bump(self.side, self.y, 0.26, self.s.nose_y + 0.01, 0.09, 0.07))

    def paint_mouth(self) -> None:
        s, y, across = self.s, self.y, (self.x - 0.5) / self.s.mouth_width
        taper = np.sqrt(np.clip(1 - across**2, 0, 1))
        line = s.mouth_y + 0.007 * (1 - across**2) - 0.004 * np.exp(-((across / 0.14) ** 2))
        upper = line - s.lip_fullness * taper * (0.85 - 0.22 * np.exp(-((across / 0.16) ** 2)))
        lower = line + s.lip_fullness * 1.25 * taper
        inside = _step(upper - y, 0.0, 0.012) * _step(y - lower, 0.0, 0.014) * _step(abs(across), 0.97, 0.10)
        self.paint(self.seen(s.lips), 0.85 * inside)
        dark = _ridge(y - line, 0.0050) * _step(abs(across), 1.0, 0.12)
        corner = bump(self.side, y, s.mouth_width, s.mouth_y, 0.012, 0.009)
        self.shade((0.22, 0.10, 0.10), 0.75 * dark + 0.45 * corner)

    def paint_nostrils(self) -> None:
        s, y = self.s, self.y
        hole = bump(self.side, y, 0.55 * s.nose_width, s.nose_y + 0.034, 0.017, 0.008)
        wing = bump(self.side, y, s.nose_width + 0.024, s.nose_y + 0.016, 0.009, 0.022)
        below = bump(self.x, y, 0.5, s.nose_y + 0.045, 0.075, 0.012)
        self.shade((0.20, 0.11, 0.09), 0.85 * hole + 0.30 * wing + 0.22 * below)

    def paint_eye(self, outward: Plane) -> None:
        """Almond-shaped; ``outward`` is the distance from the face's middle, positive on this eye's side."""
        s, y, across = self.s, self.y, (outward - self.s.eye_x) / self.s.eye_width
        taper = np.clip(1 - across**2, 0, 1)
        upper, lower = s.eye_y - 0.034 * taper**0.8, s.eye_y + 0.020 * taper
        within = _step(abs(across), 0.98, 0.12)
        opening = _step(upper - y, 0.0, 0.008) * _step(y - lower, 0.0, 0.008) * within
        distance = np.hypot(outward - s.eye_x, (y - s.eye_y + 0.006) * 0.84)
        self.paint(self.seen((0.80, 0.77, 0.74)), 0.95 * opening)
        self.paint(self.seen(s.hair) * np.float32(0.8) + np.float32(0.05), _step(distance, 0.031, 0.008) * opening)
        self.paint(np.full(3, 0.03, dtype=np.float32), _step(distance, 0.014, 0.006) * opening)
        shadow = (0.9 * _ridge(y - upper, 0.0055) + 0.35 * _ridge(y - lower, 0.0045)) * within
        crease = 0.35 * _ridge(y - upper + 0.022, 0.0055) * _step(abs(across), 0.9, 0.3)
        self.shade((0.14, 0.09, 0.08), shadow + crease)

    def paint_brow(self, outward: Plane) -> None:
        along = (outward - 0.085) / 0.24  # 0 at the inner end, 1 at the outer end
        inside = np.clip(along, 0, 1)
        arch = self.s.brow_y - 0.024 * np.sin(np.pi * inside**1.2) + 0.012 * np.clip(along, 0, 1.2) ** 2
        thickness = self.s.brow_thickness * (1.05 - 0.65 * inside**1.5)
        body = np.exp(-((((self.y - arch) / thickness) ** 2) ** 1.5))
        ends = _step(-along, 0.0, 0.18) * _step(along, 1.0, 0.25)
        self.paint(self.hair, 0.85 * body * ends * np.clip(0.80 + 0.18 * self.skin, 0, 1))

    def paint_surround(self) -> None:
        """Hair above and the background at the sides and below the jaw."""
        to_jaw = self.s.face_width - 0.16 * np.clip((self.y - 0.62) / 0.38, 0, 1) ** 2.2 - self.side
        self.albedo *= (1 - 0.55 * np.exp(-np.clip(to_jaw, 0, None) / 0.035)).astype(np.float32)[..., None]
        self.paint(np.full(3, 0.22 if self.infrared else 0.30, dtype=np.float32), _step(to_jaw, 0.0, 0.035))
        side = self.side / 0.5
        strands = np.clip(self.hair * (1 + np.float32(0.10) * self.skin[..., None]), 0, 1)
        self.paint(strands, _step(self.y - 0.045 + 0.10 * side**2 - 0.17 * side**4, 0.0, 0.05))


def bump(x: Plane, y: Plane, cx: float, cy: float, sx: float, sy: float) -> Plane:
    """A smooth hill of height 1 at (cx, cy) with spreads sx and sy."""
    return np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2)).astype(np.float32)


def _ridge(distance: Plane, width: float) -> Plane:
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2), dtype=np.float32)


def _step(values: Plane, edge: float, softness: float) -> Plane:
    """Smoothly from 0 (values above the edge) to 1 (below it)."""
    t = np.clip((edge - values) / softness + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _texture(seed: int, height: int, width: int) -> Plane:
    """Skin: noise in several octaves, standard deviation about 1, fixed to the face."""
    import cv2

    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), dtype=np.float32)
    for cells, weight in ((6, 0.5), (14, 0.5), (30, 0.6), (60, 0.7), (110, 0.6)):
        grid = rng.normal(size=(round(cells * height / width), cells)).astype(np.float32)
        total += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(total / total.std(), dtype=np.float32)


def _relief(s: Subject, x: Plane, y: Plane) -> Plane:
    """Height of the face above the image plane, in fractions of the frame: a dome, and what stands out of it."""
    side = np.abs(x - 0.5)
    relief = 0.42 * np.sqrt(np.clip(1 - ((x - 0.5) / 0.62) ** 2 - ((y - 0.5) / 0.80) ** 2, 0.03, None))
    bumps = (  # height, distance from the middle, y, spreads
        (0.045, 0, s.nose_y - 0.13, 0.030, 0.12),
        (0.060, 0, s.nose_y - 0.005, 0.045, 0.038),
        (0.012, 0, s.mouth_y - 0.045, 0.10, 0.05),
        (0.010, 0, s.mouth_y + s.lip_fullness, 0.10, 0.022),
        (-0.012, 0, s.mouth_y + 0.065, 0.10, 0.022),
        (0.028, 0, 0.95, 0.13, 0.06),
        (-0.008, 0, s.mouth_y - 0.075, 0.012, 0.03),
        (0.022, s.nose_width, s.nose_y + 0.012, 0.026, 0.026),
        (0.022, s.eye_x, s.brow_y + 0.010, 0.12, 0.028),
        (-0.030, s.eye_x * 0.92, s.eye_y, 0.085, 0.045),
        (0.014, s.eye_x, s.eye_y + 0.002, 0.060, 0.028),
        (0.035, 0.27, 0.545, 0.10, 0.07),
    )
    for height, *place in bumps:
        relief += height * bump(side, y, *place)
    t = np.clip((y - s.nose_y) / (s.mouth_y - s.nose_y), 0, 1)  # the fold from nose wing to mouth corner
    fold = side - s.nose_width - 0.035 - (s.mouth_width - s.nose_width) * t
    relief -= 0.0035 * _ridge(t - 0.4, 0.28) * (y > s.nose_y - 0.05) * _ridge(fold, 0.018)
    return np.asarray(relief, dtype=np.float32)


def _shade(relief: Plane, light: Illumination) -> Plane:
    """Lambert's cosine law on the relief, with ambient light."""
    height, width = relief.shape
    slope_y, slope_x = np.gradient(relief, 1 / height, 1 / width)
    direction = np.array(light.direction) / np.linalg.norm(light.direction)
    norm = np.sqrt(slope_x**2 + slope_y**2 + 1)
    cosine = (-slope_x * direction[0] - slope_y * direction[1] + direction[2]) / norm
    return np.asarray(light.ambient + (1 - light.ambient) * np.clip(cosine, 0, None), dtype=np.float32)
