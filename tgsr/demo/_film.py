"""Micro-movements of a face, which differ by class, and the cameras that take frames of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.demo._face import Illumination, Subject, bump, pixel_grid, render_face
from tgsr.regions import region_boxes

__all__ = [
    "ACTIONS",
    "CAMERAS",
    "Camera",
    "Event",
    "displacement",
    "draw_event",
    "film",
    "moving_regions",
    "profile",
    "see",
]

Frame = npt.NDArray[np.uint8]

ACTIONS: dict[str, tuple[tuple[str, float], ...]] = {
    "negative": (("brow_lowered", 1.0), ("nose_wrinkled", 0.85)),
    "positive": (("mouth_corner_raised", 1.0), ("cheek_raised", 0.75)),
    "surprise": (("brow_raised", 1.0), ("jaw_dropped", 0.8)),
}
"""What moves in each class, with its share of the event's amplitude (facial action units 4+9, 12+6, 1+2+26)."""


@dataclass(frozen=True)
class Event:
    """One micro-expression of one person, as every camera that looks on sees it."""

    label: str  # class name
    seconds: float  # from onset to offset
    apex: float  # when the movement is largest, as a fraction of the seconds
    amplitude: float  # largest displacement, as a fraction of the frame's width
    balance: float  # from -1 (only the left half of the face) to 1 (only the right); about 0
    strengths: tuple[float, ...]  # factor of each of the class's actions
    sway: npt.NDArray[
        np.float64
    ]  # of the head: x, y, roll (fractions, radians) × two frequencies × amplitude and phase


@dataclass(frozen=True)
class Camera:
    """What separates one recording set-up from another."""

    database: str  # whose frames it takes
    fps: float
    width: int  # of the cropped frames, pixels
    height: int
    light: Illumination
    exposure: float  # grey value = exposure · light + offset, of 0…1
    offset: float
    blur: float  # standard deviation of the optical blur, in pixels of the frame
    noise: float  # standard deviation of the sensor's noise at mid-grey, in grey values of 0…255
    name: str  # format of the frames' file names


_HS_LIGHT = Illumination((-0.25, -0.40, 0.88), ambient=0.42)
_VIS_LIGHT = Illumination((0.40, -0.25, 0.88), ambient=0.40)
_NIR_LIGHT = Illumination((0.0, -0.10, 1.0), ambient=0.50, infrared=True)
_CASME2_LIGHT = Illumination((0.10, -0.50, 0.90), ambient=0.45)
_CAMERAS = (
    Camera("SMIC_HS", 100, 139, 170, _HS_LIGHT, 1.00, 0.00, blur=0.7, noise=2.2, name="reg_image{:06d}.bmp"),
    Camera("SMIC_VIS", 25, 139, 170, _VIS_LIGHT, 0.82, 0.02, blur=0.9, noise=1.8, name="reg_{:05d}.bmp"),
    Camera("SMIC_NIR", 25, 139, 170, _NIR_LIGHT, 0.75, 0.12, blur=0.9, noise=2.0, name="reg_{:05d}.bmp"),
    Camera("CASME2", 200, 231, 282, _CASME2_LIGHT, 0.95, 0.03, blur=0.9, noise=2.6, name="reg_img{}.jpg"),
)
CAMERAS: dict[str, Camera] = {camera.database: camera for camera in _CAMERAS}
"""The four cameras at the real databases' frame rates and sizes."""


def draw_event(label: str, rng: np.random.Generator) -> Event:
    """Draw one event of a class at random: faint to clear, and not the same on both sides of the face."""
    sizes = np.array([[0.0036, 0.0015], [0.0036, 0.0015], [0.0045, 0.0018]])
    sway = np.stack([sizes * rng.uniform(0.3, 1.0, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))], axis=-1)
    return Event(
        label=label,
        seconds=float(rng.uniform(0.2, 0.5)),
        apex=float(rng.uniform(0.4, 0.6)),
        amplitude=float(0.014 * rng.uniform(0.4, 1.3)),
        balance=float(rng.uniform(-0.5, 0.5)),
        strengths=tuple(float(value) for value in rng.uniform(0.2, 1.2, len(ACTIONS[label]))),
        sway=sway,
    )


def profile(event: Event, when: float) -> float:
    """Share of the amplitude at a time from 0 (onset) to 1 (offset): a smooth rise to 1 and a smooth fall."""
    phase = when / event.apex if when < event.apex else 1 + (when - event.apex) / (1 - event.apex)
    return 0.5 - 0.5 * float(np.cos(np.pi * phase))


def displacement(
    subject: Subject, event: Event, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Displacement at the apex: x and y components in fractions of the frame, each of the shape of ``x``."""
    total_x, total_y = np.zeros_like(x), np.zeros_like(y)
    for (action, share), strength in zip(ACTIONS[event.label], event.strengths, strict=True):
        cx, cy, sx, sy, dx, dy = _place(action, subject)
        for side in (-1, 1):
            weight = event.amplitude * (share * strength) * (1 + side * event.balance)
            moved = weight * bump(x - 0.5, y, side * cx, cy, sx, sy)
            total_x += side * dx * moved
            total_y += dy * moved
    return total_x, total_y


def _place(action: str, s: Subject) -> tuple[float, float, float, float, float, float]:
    """Centre (x from the middle, y), spread and direction (outward, down) of an action on one side of the face."""
    table = {
        "brow_lowered": (0.115, s.brow_y - 0.005, 0.060, 0.042, -0.45, 0.90),
        "nose_wrinkled": (s.nose_width * 0.9, s.nose_y - 0.035, 0.042, 0.045, 0.15, -1.0),
        "mouth_corner_raised": (s.mouth_width, s.mouth_y, 0.055, 0.045, 0.55, -0.85),
        "cheek_raised": (s.eye_x + 0.055, s.eye_y + 0.090, 0.060, 0.040, 0.10, -1.0),
        "brow_raised": (s.eye_x - 0.010, s.brow_y - 0.010, 0.085, 0.042, 0.0, -1.0),
        "jaw_dropped": (0.055, s.mouth_y + 0.085, 0.070, 0.050, 0.0, 1.0),
    }
    return table[action]


def moving_regions(label: str, subject: Subject) -> list[int]:
    """Regions (0…84) of which at least a third moves by a quarter of the class's largest displacement.

    Regions lie on the 106 × 106 interior of a 112 × 112 frame.
    """
    neutral = Event(label, 0.3, 0.5, 1.0, 0.0, (1.0,) * len(ACTIONS[label]), np.zeros((3, 2, 2)))
    size = np.hypot(*displacement(subject, neutral, *pixel_grid(112, 112)))
    moves = size[3:-3, 3:-3] >= 0.25 * size.max()
    boxes = region_boxes(*moves.shape)
    return [i for i, (top, left, bottom, right) in enumerate(boxes) if moves[top:bottom, left:right].mean() >= 1 / 3]


def see(subject: Subject, camera: Camera) -> npt.NDArray[np.float32]:
    """The neutral face in this camera's light, twice as fine as its frames and already blurred by its optics.

    Returns
    -------
    float32 array of shape (2 · height, 2 · width, 3)
        Blue, green, red in 0…1.
    """
    import cv2

    face = render_face(subject, camera.light, 2 * camera.height, 2 * camera.width)
    spread = 2 * float(np.hypot(camera.blur, 0.4))
    return np.asarray(cv2.GaussianBlur(face[..., ::-1], (0, 0), spread), dtype=np.float32)


def film(
    face: npt.NDArray[np.float32], subject: Subject, event: Event, camera: Camera, rng: np.random.Generator
) -> Iterator[Frame]:
    """Take the frames of one event, from onset to offset; ``face`` is from `see`, the noise from ``rng``.

    Yields
    ------
    uint8 array of shape (height, width, 3), blue, green, red; or (height, width) under infrared light
    """
    import cv2

    height, width = camera.height, camera.width
    x, y = pixel_grid(height, width)
    move_x, move_y = displacement(subject, event, x, y)
    n_frames = max(3, round(event.seconds * camera.fps) + 1)
    for index in range(n_frames):
        share = np.float32(profile(event, index / (n_frames - 1)))
        sway_x, sway_y, roll = _sway(event, index / camera.fps)
        # inverse warp: where in the neutral face the light of this pixel comes from
        from_x = x - share * move_x - sway_x + roll * (y - np.float32(0.6))
        from_y = y - share * move_y - sway_y - roll * (x - np.float32(0.5))
        places = from_x * (2 * width) - 0.5, from_y * (2 * height) - 0.5
        frame = cv2.remap(face, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield _expose(np.asarray(frame, dtype=np.float32), camera, rng)


def _sway(event: Event, seconds: float) -> npt.NDArray[np.float32]:
    """The head's slow movement since the onset: x, y, roll."""
    amplitude, phase = event.sway[..., 0], event.sway[..., 1]
    angle = 2 * np.pi * np.array([0.7, 1.9]) * seconds
    moved: npt.NDArray[np.float64] = (amplitude * (np.sin(angle + phase) - np.sin(phase))).sum(axis=-1)
    return moved.astype(np.float32)


def _expose(frame: npt.NDArray[np.float32], camera: Camera, rng: np.random.Generator) -> Frame:
    """Exposure, shot noise (the same in the three channels: it is luminance that LBP-TOP sees), 8 bits."""
    signal = camera.exposure * (frame[..., 0] if camera.light.infrared else frame) + camera.offset
    level = signal if camera.light.infrared else signal[..., 1]
    noise = rng.standard_normal(level.shape, dtype=np.float32) * np.sqrt(np.clip(level, 0.05, None) / 0.5)
    noise *= np.float32(camera.noise)
    values = 255 * signal + (noise if camera.light.infrared else noise[..., None])
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
