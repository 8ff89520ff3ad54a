"""Micro-movements of a face, some of which tell its class, and the cameras that take frames of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tgsr.demo._face import PAD, SIDE, Plane, Point, Subject, bump, render_face, unit_grid
from tgsr.regions import region_boxes

__all__ = [
    "ACTIONS",
    "CAMERAS",
    "DISTRACTORS",
    "Action",
    "Camera",
    "Event",
    "Movement",
    "displacement",
    "draw_event",
    "film",
    "moving_regions",
    "see",
]


@dataclass(frozen=True)
class Action:
    """A warp around a place on each side of the face, such as a facial action unit makes; outward and down."""

    name: str
    part: str  # of the subject: the place moves with the person
    offset: Point  # from there
    spread: Point
    direction: Point


ACTIONS: dict[str, Action] = {
    "negative": Action("brow_lowered", "brow", (-0.095, 0.0), (0.03, 0.03), (-0.5, 0.9)),
    "positive": Action("mouth_corner_raised", "mouth", (0.0, 0.0), (0.03, 0.03), (0.6, -0.8)),
    "surprise": Action("brow_raised", "brow", (0.07, -0.01), (0.03, 0.03), (0.0, -1.0)),
}
"""What moves in each class (facial action units 4, 12 and 2)."""

DISTRACTORS: tuple[Action, ...] = (
    Action("blink", "eye", (0.0, -0.01), (0.07, 0.03), (0.0, 1.0)),
    Action("nostril_flared", "nose", (0.0, 0.01), (0.04, 0.035), (1.0, 0.0)),
    Action("jaw_shifted", "mouth", (-0.10, 0.11), (0.07, 0.045), (0.3, 0.9)),
    Action("cheek_raised", "eye", (0.08, 0.18), (0.07, 0.06), (0.3, -0.9)),
    Action("forehead_moved", "brow", (-0.05, -0.15), (0.09, 0.05), (0.0, -1.0)),
)
"""What moves in two of three events, whatever their class."""

_AMPLITUDES, _DISTRACTIONS = (0.018, 0.036), (-0.02, 0.04)
"""Least and largest, in fractions of the frame's width; what is below 0 does not move."""
_TREMOR = np.array([[0.0126, 0.0052], [0.0126, 0.0052], [0.0158, 0.0063]])
"""Largest amplitude of the head's x, y (fractions) and roll (radians) at each of two frequencies."""
_FREQUENCIES = np.array([0.7, 1.9])
_MOVES = 0.25


@dataclass(frozen=True)
class Movement:
    """One action in one event."""

    action: Action
    amplitudes: Point  # left and right: largest displacement, as a fraction of the frame's width
    apex: float  # when it is largest, as a fraction of the event's seconds

    def profile(self, when: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Share of the amplitude at times from 0 (onset) to 1 (offset): a smooth rise to 1 and a smooth fall."""
        return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.interp(np.asarray(when), (0, self.apex, 1), (0, 1, 2))))


@dataclass(frozen=True)
class Event:
    """One micro-expression of one person."""

    label: str  # class name
    seconds: float  # from onset to offset
    movements: tuple[Movement, ...]  # the class's comes first
    tremor: npt.NDArray[np.float64]  # of the head: x, y, roll × two frequencies × amplitude and phase


@dataclass(frozen=True)
class Camera:
    """What separates one recording set-up from another."""

    database: str  # whose frames it takes
    fps: float
    width: int  # of the cropped frames, pixels
    height: int
    light: tuple[float, float, float]  # see `render_face`
    ambient: float
    infrared: bool
    exposure: float  # grey value = exposure · light + offset, of 0…1
    offset: float
    blur: float  # standard deviation of the optical blur, in pixels of the frame
    noise: float  # standard deviation of the sensor's noise at mid-grey, in grey values of 0…255
    name: str  # format of the frames' file names


_CAMERAS = (
    Camera("SMIC_HS", 100, 139, 170, (-0.25, -0.40, 0.88), 0.42, False, 1.00, 0.00, 0.7, 4.5, "reg_image{:06d}.bmp"),
    Camera("SMIC_VIS", 25, 139, 170, (0.40, -0.25, 0.88), 0.40, False, 0.82, 0.02, 0.9, 4.0, "reg_{:05d}.bmp"),
    Camera("SMIC_NIR", 25, 139, 170, (0.0, -0.10, 1.0), 0.50, True, 0.75, 0.12, 0.9, 5.0, "reg_{:05d}.bmp"),
    Camera("CASME2", 200, 231, 282, (0.10, -0.50, 0.90), 0.45, False, 0.95, 0.03, 0.9, 5.0, "reg_img{}.jpg"),
)
CAMERAS = {camera.database: camera for camera in _CAMERAS}
"""The four cameras at the real databases' frame rates and sizes."""


def draw_event(label: str, rng: np.random.Generator) -> Event:
    """Draw one event of a class at random: not the same on both sides of the face, and amid other movements."""

    def move(action: Action, amplitudes: Point) -> Movement:
        left, right = max(0.0, rng.uniform(*amplitudes)) * rng.uniform(0.6, 1.0, 2)
        return Movement(action, (float(left), float(right)), float(rng.uniform(0.35, 0.65)))

    movements = [move(ACTIONS[label], _AMPLITUDES), *(move(action, _DISTRACTIONS) for action in DISTRACTORS)]
    tremor = np.stack([_TREMOR * rng.uniform(0.3, 1.0, _TREMOR.shape), rng.uniform(0, 2 * np.pi, _TREMOR.shape)], -1)
    return Event(label, float(rng.uniform(0.2, 0.5)), tuple(movements), tremor)


def displacement(subject: Subject, movement: Movement, x: Plane, y: Plane) -> Plane:
    """Displacement at the movement's apex, in fractions of the frame: shape (2, height, width), x and y."""
    action, total = movement.action, np.zeros((2, *x.shape), dtype=np.float32)
    across, down = np.add(getattr(subject, action.part), action.offset)
    for side, amplitude in zip((-1, 1), movement.amplitudes, strict=True):
        moved = np.float32(amplitude) * bump(side * (x - np.float32(0.5)), y, (across, down), action.spread)
        total += [side * np.float32(action.direction[0]) * moved, np.float32(action.direction[1]) * moved]
    return total


def moving_regions(actions: Iterable[Action], subject: Subject) -> list[int]:
    """Regions (0…84) that an action moves, in their mean, at least a quarter as much as the region that it moves most.

    They lie on the 106 × 106 interior of a 112 × 112 frame.
    """
    grid, boxes, moving = unit_grid(112, 112), region_boxes(106, 106), set()
    for action in actions:
        size = np.hypot(*displacement(subject, Movement(action, (1.0, 1.0), 0.5), *grid))[3:-3, 3:-3]
        means = np.array([size[top:bottom, left:right].mean() for top, left, bottom, right in boxes])
        moving.update(np.flatnonzero(means >= _MOVES * means.max()).tolist())
    return sorted(moving)


def see(subject: Subject, camera: Camera) -> Plane:
    """The neutral face in this camera's light, blurred by its optics: `render_face`'s array."""
    blur = float(np.hypot(camera.blur, 0.4)) * SIDE / camera.width
    return np.asarray(
        cv2.GaussianBlur(render_face(subject, camera.light, camera.ambient, camera.infrared), (0, 0), blur),
        dtype=np.float32,
    )


def film(
    face: Plane, subject: Subject, event: Event, camera: Camera, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """Take the frames of one event, from onset to offset; ``face`` is from `see`, the noise from ``rng``.

    Yields
    ------
    uint8 array of shape (height, width, 3), blue, green, red; or (height, width) under infrared light
    """
    x, y = unit_grid(camera.height, camera.width)
    warps = np.array([displacement(subject, movement, x, y) for movement in event.movements])
    when = np.linspace(0, 1, max(3, round(event.seconds * camera.fps) + 1))
    shares = np.array([movement.profile(when) for movement in event.movements], dtype=np.float32).T
    for share, (tremor_x, tremor_y, roll) in zip(shares, _head(event, when), strict=True):
        warp_x, warp_y = np.tensordot(share, warps, axes=1)
        # inverse warp: where in the neutral face the light of this pixel comes from
        from_x = x - warp_x - tremor_x + roll * (y - np.float32(0.6))
        from_y = y - warp_y - tremor_y - roll * (x - np.float32(0.5))
        from_x, from_y = (np.float32(SIDE) * place + np.float32(PAD - 0.5) for place in (from_x, from_y))
        seen = cv2.remap(face, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield _expose(np.asarray(seen[..., 0] if camera.infrared else seen), camera, rng)


def _head(event: Event, when: npt.NDArray[np.float64]) -> Plane:
    """The head's movement since the onset, shape (n, 3): x, y, roll."""
    amplitude, phase = event.tremor[..., 0], event.tremor[..., 1]
    angle = 2 * np.pi * _FREQUENCIES * event.seconds * when[:, None, None]
    return np.asarray((amplitude * (np.sin(angle + phase) - np.sin(phase))).sum(axis=-1), dtype=np.float32)


def _expose(light: Plane, camera: Camera, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Exposure, shot noise (the same in the three channels: it is luminance that LBP-TOP sees), 8 bits."""
    signal = np.float32(camera.exposure) * light + np.float32(camera.offset)
    level = signal if camera.infrared else signal[..., 1]
    noise = rng.standard_normal(level.shape, dtype=np.float32) * np.sqrt(np.clip(level, 0.05, None) / 0.5)
    noise *= np.float32(camera.noise)
    values = 255 * signal + (noise if camera.infrared else noise[..., None])
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
