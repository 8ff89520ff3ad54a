"""Micro-movements: smooth local displacement fields that differ by class, and where on the face they act."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.demo._face import Subject
from tgsr.regions import region_boxes

__all__ = ["ACTIONS", "Event", "displacement", "draw_event", "moving_regions", "profile"]

_Field = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

FRAME_SIZE = 112
MARGIN = 3  # LBP-TOP's radius: regions lie on the interior of the frame

ACTIONS: dict[str, tuple[tuple[str, float], ...]] = {
    "negative": (("brow_lowered", 1.0), ("nose_wrinkled", 0.85)),
    "positive": (("mouth_corner_raised", 1.0), ("cheek_raised", 0.75)),
    "surprise": (("brow_raised", 1.0), ("jaw_dropped", 0.8)),
}
"""What moves in each class, with its share of the event's amplitude (facial action units 4+9, 12+6, 1+2+26)."""


@dataclass(frozen=True)
class Event:
    """One micro-expression of one person, as every camera that looks on sees it.

    Attributes
    ----------
    label : str
        Class name.
    seconds : float
        From onset to offset.
    apex : float
        When the movement is largest, as a fraction of ``seconds``.
    amplitude : float
        Largest displacement, as a fraction of the frame's width.
    balance : float
        From -1 (only the left half of the face) to 1 (only the right); about 0.
    strengths : tuple of float
        Factor of each of the class's actions.
    sway : array of shape (3, 2, 2)
        Amplitude and phase of the head's slow movement: x, y (fractions of the frame) and roll (radians), of two
        frequencies.
    """

    label: str
    seconds: float
    apex: float
    amplitude: float
    balance: float
    strengths: tuple[float, ...]
    sway: npt.NDArray[np.float64]


def draw_event(label: str, rng: np.random.Generator, amplitude: float = 0.014) -> Event:
    """Draw one event of a class at random: faint to clear, and not the same on both sides of the face."""
    sizes = np.array([[0.0036, 0.0015], [0.0036, 0.0015], [0.0045, 0.0018]])
    sway = np.stack([sizes * rng.uniform(0.3, 1.0, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))], axis=-1)
    return Event(
        label=label,
        seconds=float(rng.uniform(0.2, 0.5)),
        apex=float(rng.uniform(0.4, 0.6)),
        amplitude=float(amplitude * rng.uniform(0.4, 1.3)),
        balance=float(rng.uniform(-0.5, 0.5)),
        strengths=tuple(float(value) for value in rng.uniform(0.2, 1.2, len(ACTIONS[label]))),
        sway=sway,
    )


def profile(event: Event, when: float) -> float:
    """Share of the amplitude at a time from 0 (onset) to 1 (offset): a smooth rise to 1 and a smooth fall."""
    phase = when / event.apex if when < event.apex else 1 + (when - event.apex) / (1 - event.apex)
    return 0.5 - 0.5 * float(np.cos(np.pi * phase))


def displacement(subject: Subject, event: Event, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> _Field:
    """Displacement at the apex: x and y components in fractions of the frame, each of the shape of ``x``."""
    actions = [action for action, _ in ACTIONS[event.label]]
    shares = [share * strength for (_, share), strength in zip(ACTIONS[event.label], event.strengths, strict=True)]
    total_x, total_y = np.zeros_like(x), np.zeros_like(y)
    for action, share in zip(actions, shares, strict=True):
        cx, cy, sx, sy, dx, dy = _bump(action, subject)
        for side in (-1, 1):
            weight = event.amplitude * share * (1 + side * event.balance)
            bump = weight * np.exp(-0.5 * (((x - 0.5 - side * cx) / sx) ** 2 + ((y - cy) / sy) ** 2))
            total_x += side * dx * bump
            total_y += dy * bump
    return total_x, total_y


def moving_regions(label: str, subject: Subject, share: float = 0.25, area: float = 1 / 3) -> list[int]:
    """Regions that move in a class: at least ``area`` of the region moves by ``share`` of the largest displacement.

    Returns
    -------
    list of int
        Indices 0…84 in the canonical order, on the 106 × 106 interior of a 112 × 112 frame.
    """
    centres = ((np.arange(FRAME_SIZE) + 0.5) / FRAME_SIZE).astype(np.float32)
    y, x = np.meshgrid(centres, centres, indexing="ij")
    neutral = Event(label, 0.3, 0.5, 1.0, 0.0, (1.0,) * len(ACTIONS[label]), np.zeros((3, 2, 2)))
    size = np.hypot(*displacement(subject, neutral, x, y))
    moves = size[MARGIN:-MARGIN, MARGIN:-MARGIN] >= share * size.max()
    boxes = region_boxes(*moves.shape)
    return [i for i, (top, left, bottom, right) in enumerate(boxes) if moves[top:bottom, left:right].mean() >= area]


def _bump(action: str, s: Subject) -> tuple[float, float, float, float, float, float]:
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
