"""Who is filmed doing what: the generated people and events of each database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tgsr.demo._face import Subject, draw_subject
from tgsr.demo._film import Event, draw_event
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS, check_choice, check_integer

__all__ = ["DemoSettings", "Recording", "plan"]

_PEOPLE: dict[str, Sequence[int]] = {
    "SMIC_VIS": (11, 12, 13, 14, 15, 18, 19, 20),
    "SMIC_NIR": (11, 12, 13, 14, 15, 18, 19, 20),
    "SMIC_HS": (11, 12, 13, 14, 15, 18, 19, 20, 1, 2, 3, 4, 5, 6, 8, 9),
    "CASME2": range(1, 27),
}
"""Numbers of the subjects, as in the real databases: VIS and NIR show the same people, HS these and others."""
_SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}


@dataclass(frozen=True)
class DemoSettings:
    """What `write_demo` renders; the same settings give the same bytes.

    Attributes
    ----------
    subjects : int
        People in each database (``"small"``: SMIC's cameras see the same ones); 2 to 8.
    clips_per_class : int
        Clips of each class in each database.
    seed : int
    size : str
        ``"small"``, or ``"full"`` for the real databases' numbers of subjects and clips and sizes of frames.
    databases : tuple of str
        Which of the four to render.

    Raises
    ------
    ParameterError
        If one is out of its range.
    """

    subjects: int = 8
    clips_per_class: int = 24
    seed: int = 0
    size: str = "small"
    databases: tuple[str, ...] = tuple(EXPECTED_COUNTS)

    def __post_init__(self) -> None:
        check_choice("size", self.size, ("small", "full"))
        check_integer("subjects", self.subjects, 2, 8)
        check_integer("clips_per_class", self.clips_per_class, 1, 99)
        check_integer("seed", self.seed, 0)
        for database in self.databases:
            check_choice("databases", database, EXPECTED_COUNTS)


@dataclass(frozen=True)
class Recording:
    """One event of one person: folder names as in the real databases, and a seed for what the camera adds."""

    number: int  # of the subject
    clip: str
    subject: Subject
    event: Event
    noise_seed: int


def plan(settings: DemoSettings) -> dict[str, list[Recording]]:
    """Draw the people and events of each database; clips of a class are spread over the people in turn.

    SMIC's cameras see the same people and not the same events, so that no method can match clips instead of classes.
    Nobody in SMIC is in CASME II.
    """
    return {database: _record(database, settings) for database in settings.databases}


def _record(database: str, settings: DemoSettings) -> list[Recording]:
    full, numbers, counts = settings.size == "full", _PEOPLE[database], EXPECTED_COUNTS[database]
    if not full:
        numbers, counts = numbers[: settings.subjects], (settings.clips_per_class,) * 3
    casme = database == "CASME2"
    people = {number: draw_subject(np.random.default_rng((settings.seed, casme, number))) for number in numbers}
    recordings = []
    for class_index, (label, count) in enumerate(zip(CLASS_NAMES, counts, strict=True)):
        for index in range(count):
            number = numbers[(index + class_index) % len(numbers)]
            take = index // len(numbers) + 1
            clip = f"EP{class_index + 1:02d}_{take:02d}f" if casme else f"s{number}_{_SHORT[label]}_{take:02d}"
            rng = np.random.default_rng((settings.seed, *database.encode(), number, class_index, take))
            event = draw_event(label, rng)
            recordings.append(Recording(number, clip, people[number], event, int(rng.integers(2**31))))
    return recordings
