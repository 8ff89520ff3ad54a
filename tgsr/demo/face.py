"""A smooth, shaded face: geometry, relief, skin and features, in coordinates of the unit square.

x runs from 0 (left) to 1 (right), y from 0 (forehead) to 1 (chin), as in the cropped frames of SMIC and CASME II.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Illumination", "Subject", "draw_subject", "render_face"]

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """The shape, colours and skin of one generated person; lengths are fractions of the frame."""

    eye_x: float  # distance of each eye from the middle
    eye_y: float
    eye_width: float
    brow_y: float
    brow_thickness: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_fullness: float
    face_width: float
    skin: tuple[float, float, float]  # red, green, blue in 0…1
    hair: tuple[float, float, float]
    lips: tuple[float, float, float]
    texture: float  # contrast of the skin
    seed: int  # of the skin's texture


@dataclass(frozen=True)
class Illumination:
    """Direction of the main light (x to the right, y down, z to the camera), and the share of ambient light."""

    direction: tuple[float, float, float]
    ambient: float
    infrared: bool = False


def draw_subject(rng: np.random.Generator) -> Subject:
    """Draw a person at random."""

    def around(mean: float, spread: float) -> float:
        return float(np.clip(rng.normal(mean, spread), mean - 2 * spread, mean + 2 * spread))

    tone = rng.uniform(0.0, 1.0)
    skin = np.array([0.90, 0.74, 0.65]) * (1 - tone) + np.array([0.66, 0.50, 0.41]) * tone
    hair = np.array([0.10, 0.08, 0.07]) + rng.uniform(0, 0.12) * np.array([1.0, 0.7, 0.45])
    lips = skin * np.array([0.88, 0.62, 0.64])
    return Subject(
        eye_x=around(0.205, 0.008),
        eye_y=around(0.375, 0.008),
        eye_width=around(0.088, 0.005),
        brow_y=around(0.262, 0.010),
        brow_thickness=around(0.020, 0.003),
        nose_y=around(0.600, 0.010),
        nose_width=around(0.088, 0.006),
        mouth_y=around(0.775, 0.010),
        mouth_width=around(0.168, 0.010),
        lip_fullness=around(0.034, 0.004),
        face_width=around(0.475, 0.012),
        skin=_colour(skin),
        hair=_colour(hair),
        lips=_colour(lips),
        texture=around(0.055, 0.010),
        seed=int(rng.integers(2**31)),
    )


def render_face(subject: Subject, light: Illumination, height: int, width: int) -> npt.NDArray[np.float32]:
    """Render the neutral face.

    Returns
    -------
    float32 array of shape (height, width, 3)
        Red, green, blue in 0…1; the three are equal under infrared light.
    """
    y, x = np.meshgrid(_centres(height), _centres(width), indexing="ij")
    skin = _texture(subject.seed, height, width)
    relief = _relief(subject, x, y) + np.float32(0.00045) * skin
    shade = _shade(relief, light)
    infrared = light.infrared
    tone = _reflectance(subject.skin, infrared)
    albedo = np.broadcast_to(tone, (height, width, 3)) * (1 + np.float32(subject.texture) * skin[..., None])
    albedo = _blend(albedo, _reflectance(_flushed(subject.skin), infrared), 0.5 * _cheeks(subject, x, y))
    albedo = _paint_mouth(albedo, subject, x, y, infrared)
    albedo = _paint_nostrils(albedo, subject, x, y, infrared)
    for side in (-1, 1):
        albedo = _paint_eye(albedo, subject, side * (x - 0.5), y, infrared)
        albedo = _paint_brow(albedo, subject, side * (x - 0.5), y, skin, infrared)
    face = albedo * shade[..., None]
    return np.clip(_surround(face, subject, x, y, skin, infrared), 0, 1).astype(np.float32)


def _centres(length: int) -> Plane:
    return ((np.arange(length) + 0.5) / length).astype(np.float32)


def _colour(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def _flushed(skin: tuple[float, float, float]) -> tuple[float, float, float]:
    return (min(1.0, skin[0] * 1.02), skin[1] * 0.86, skin[2] * 0.86)


def _reflectance(colour: tuple[float, float, float], infrared: bool) -> Plane:
    """The colour as the sensor sees it: in near-infrared skin and lips are bright and much alike, hair less dark."""
    if not infrared:
        return np.array(colour, dtype=np.float32)
    return np.full(3, 0.42 + 0.45 * float(np.mean(colour)), dtype=np.float32)


def _bump(x: Plane, y: Plane, cx: float, cy: float, sx: float, sy: float) -> Plane:
    return np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2)).astype(np.float32)


def _step(values: Plane, edge: float, softness: float) -> Plane:
    """Smoothly from 0 (values above the edge) to 1 (below it)."""
    t = np.clip((edge - values) / softness + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _blend(base: npt.NDArray[np.float32], colour: Plane, weight: Plane) -> npt.NDArray[np.float32]:
    return np.asarray(base + weight[..., None] * (colour - base), dtype=np.float32)


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
    """Height of the face above the image plane, in fractions of the frame."""
    dome = np.sqrt(np.clip(1 - ((x - 0.5) / 0.62) ** 2 - ((y - 0.5) / 0.80) ** 2, 0.03, None))
    relief = 0.42 * dome
    bridge = _bump(x, y, 0.5, s.nose_y - 0.13, 0.030, 0.12)
    tip = _bump(x, y, 0.5, s.nose_y - 0.005, 0.045, 0.038)
    relief += 0.045 * bridge + 0.060 * tip
    relief += 0.012 * _bump(x, y, 0.5, s.mouth_y - 0.045, 0.10, 0.05)
    relief += 0.010 * _bump(x, y, 0.5, s.mouth_y + s.lip_fullness, 0.10, 0.022)
    relief -= 0.012 * _bump(x, y, 0.5, s.mouth_y + 0.065, 0.10, 0.022)
    relief += 0.028 * _bump(x, y, 0.5, 0.95, 0.13, 0.06)
    relief -= 0.008 * _bump(x, y, 0.5, s.mouth_y - 0.075, 0.012, 0.03)  # philtrum
    for side in (-1.0, 1.0):
        relief += 0.022 * _bump(x, y, 0.5 + side * s.nose_width, s.nose_y + 0.012, 0.026, 0.026)
        relief += 0.022 * _bump(x, y, 0.5 + side * s.eye_x, s.brow_y + 0.010, 0.12, 0.028)
        relief -= 0.030 * _bump(x, y, 0.5 + side * s.eye_x * 0.92, s.eye_y, 0.085, 0.045)
        relief += 0.014 * _bump(x, y, 0.5 + side * s.eye_x, s.eye_y + 0.002, 0.060, 0.028)  # eyeball
        relief += 0.035 * _bump(x, y, 0.5 + side * 0.27, 0.545, 0.10, 0.07)
        relief -= _fold(x, y, s, side)
    return np.asarray(relief, dtype=np.float32)


def _fold(x: Plane, y: Plane, s: Subject, side: float) -> Plane:
    """The fold from the nose wing to the mouth corner."""
    t = np.clip((y - s.nose_y) / (s.mouth_y - s.nose_y), 0, 1)
    line = 0.5 + side * (s.nose_width + 0.035 + (s.mouth_width - s.nose_width) * t)
    strength = np.exp(-0.5 * ((t - 0.4) / 0.28) ** 2) * (y > s.nose_y - 0.05)
    return np.asarray(0.0035 * strength * np.exp(-0.5 * ((x - line) / 0.018) ** 2), dtype=np.float32)


def _shade(relief: Plane, light: Illumination) -> Plane:
    """Lambert's cosine law on the relief, with ambient light."""
    height, width = relief.shape
    slope_y, slope_x = np.gradient(relief, 1 / height, 1 / width)
    direction = np.array(light.direction) / np.linalg.norm(light.direction)
    norm = np.sqrt(slope_x**2 + slope_y**2 + 1)
    cosine = (-slope_x * direction[0] - slope_y * direction[1] + direction[2]) / norm
    return np.asarray(light.ambient + (1 - light.ambient) * np.clip(cosine, 0, None), dtype=np.float32)


def _cheeks(s: Subject, x: Plane, y: Plane) -> Plane:
    left, right = (_bump(x, y, 0.5 + side * 0.26, s.nose_y + 0.01, 0.09, 0.07) for side in (-1, 1))
    return left + right


def _paint_mouth(
    albedo: npt.NDArray[np.float32], s: Subject, x: Plane, y: Plane, infrared: bool
) -> npt.NDArray[np.float32]:
    across = (x - 0.5) / s.mouth_width
    taper = np.sqrt(np.clip(1 - across**2, 0, 1))
    line = s.mouth_y + 0.007 * (1 - across**2) - 0.004 * np.exp(-((across / 0.14) ** 2))
    upper = line - s.lip_fullness * taper * (0.85 - 0.22 * np.exp(-((across / 0.16) ** 2)))
    lower = line + s.lip_fullness * 1.25 * taper
    inside = _step(upper - y, 0.0, 0.012) * _step(y - lower, 0.0, 0.014) * _step(abs(across), 0.97, 0.10)
    albedo = _blend(albedo, _reflectance(s.lips, infrared), 0.85 * inside)
    dark = np.exp(-0.5 * ((y - line) / 0.0050) ** 2) * _step(abs(across), 1.0, 0.12)
    corner = _bump(abs(x - 0.5), y, s.mouth_width, s.mouth_y, 0.012, 0.009)
    shadow = np.asarray(np.clip(0.75 * dark + 0.45 * corner, 0, 1), dtype=np.float32)
    return _blend(albedo, _reflectance((0.22, 0.10, 0.10), infrared) * 0.6, shadow)


def _paint_nostrils(
    albedo: npt.NDArray[np.float32], s: Subject, x: Plane, y: Plane, infrared: bool
) -> npt.NDArray[np.float32]:
    hole = _bump(abs(x - 0.5), y, 0.55 * s.nose_width, s.nose_y + 0.034, 0.017, 0.008)
    wing = _bump(abs(x - 0.5), y, s.nose_width + 0.024, s.nose_y + 0.016, 0.009, 0.022)
    below = _bump(x, y, 0.5, s.nose_y + 0.045, 0.075, 0.012)
    shadow = np.asarray(np.clip(0.85 * hole + 0.30 * wing + 0.22 * below, 0, 1), dtype=np.float32)
    return _blend(albedo, _reflectance((0.20, 0.11, 0.09), infrared) * 0.6, shadow)


def _paint_eye(
    albedo: npt.NDArray[np.float32], s: Subject, outward: Plane, y: Plane, infrared: bool
) -> npt.NDArray[np.float32]:
    """Almond-shaped eye; ``outward`` is the distance from the face's middle, positive on this eye's side."""
    across = (outward - s.eye_x) / s.eye_width
    taper = np.clip(1 - across**2, 0, 1)
    upper, lower = s.eye_y - 0.034 * taper**0.8, s.eye_y + 0.020 * taper
    within = _step(abs(across), 0.98, 0.12)
    opening = _step(upper - y, 0.0, 0.008) * _step(y - lower, 0.0, 0.008) * within
    distance = np.hypot(outward - s.eye_x, (y - s.eye_y + 0.006) * 0.84).astype(np.float32)
    albedo = _blend(albedo, _reflectance((0.80, 0.77, 0.74), infrared), 0.95 * opening)
    albedo = _blend(albedo, _reflectance(s.hair, infrared) * 0.8 + 0.05, _step(distance, 0.031, 0.008) * opening)
    albedo = _blend(albedo, np.full(3, 0.03, dtype=np.float32), _step(distance, 0.014, 0.006) * opening)
    glint = np.hypot(outward - s.eye_x + 0.010, y - s.eye_y + 0.014).astype(np.float32)
    albedo = _blend(albedo, np.full(3, 0.95, dtype=np.float32), _step(glint, 0.006, 0.005) * opening)
    lash = np.exp(-0.5 * ((y - upper) / 0.0055) ** 2) * within
    rim = 0.35 * np.exp(-0.5 * ((y - lower) / 0.0045) ** 2) * within
    crease = 0.35 * np.exp(-0.5 * ((y - upper + 0.022) / 0.0055) ** 2) * _step(abs(across), 0.9, 0.3)
    bag = 0.12 * np.exp(-0.5 * ((y - lower - 0.030) / 0.010) ** 2) * _step(abs(across), 0.8, 0.5)
    shadow = np.asarray(np.clip(0.9 * lash + rim + crease + bag, 0, 1), dtype=np.float32)
    return _blend(albedo, _reflectance((0.14, 0.09, 0.08), infrared) * 0.6, shadow)


def _paint_brow(
    albedo: npt.NDArray[np.float32], s: Subject, outward: Plane, y: Plane, skin: Plane, infrared: bool
) -> npt.NDArray[np.float32]:
    along = (outward - 0.085) / 0.24  # 0 at the inner end, 1 at the outer end
    arch = s.brow_y - 0.024 * np.sin(np.pi * np.clip(along, 0, 1) ** 1.2) + 0.012 * np.clip(along, 0, 1.2) ** 2
    thickness = s.brow_thickness * (1.05 - 0.65 * np.clip(along, 0, 1) ** 1.5)
    body = np.exp(-((((y - arch) / thickness) ** 2) ** 1.5))
    ends = _step(-along, 0.0, 0.18) * _step(along, 1.0, 0.25)
    hairs = np.clip(0.80 + 0.18 * skin, 0, 1)
    return _blend(
        albedo,
        _reflectance(s.hair, infrared) * (0.75 if infrared else 1),
        np.asarray(0.85 * body * ends * hairs, dtype=np.float32),
    )


def _surround(
    face: npt.NDArray[np.float32], s: Subject, x: Plane, y: Plane, skin: Plane, infrared: bool
) -> npt.NDArray[np.float32]:
    """Hair above and the background at the sides and below the jaw."""
    jaw = s.face_width - 0.16 * np.clip((y - 0.62) / 0.38, 0, 1) ** 2.2
    outside = _step(jaw - abs(x - 0.5), 0.0, 0.035)
    background = np.full(3, 0.30 if not infrared else 0.22, dtype=np.float32)
    shaded = face * (1 - 0.55 * np.exp(-np.clip(jaw - abs(x - 0.5), 0, None) / 0.035))[..., None]
    out = _blend(np.asarray(shaded, dtype=np.float32), background, outside)
    hairline = 0.045 - 0.10 * ((x - 0.5) / 0.5) ** 2 + 0.17 * ((x - 0.5) / 0.5) ** 4
    hair = _step(y - hairline, 0.0, 0.05)
    strands = np.clip(_reflectance(s.hair, infrared) * (0.75 if infrared else 1) * (1 + 0.10 * skin[..., None]), 0, 1)
    return np.asarray(out + hair[..., None] * (strands - out), dtype=np.float32)
