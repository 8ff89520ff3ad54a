"""Who is filmed doing what: the generated people and events of each database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tgsr.demo._face import Subject, draw_subject
from tgsr.demo._film import Event, draw_event
from tgsr.errors import ParameterError
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS

__all__ = ["DemoSettings", "Recording", "plan"]

_SMIC_HS_ONLY = (1, 2, 3, 4, 5, 6, 8, 9)
_SMIC_ALL_CAMERAS = (11, 12, 13, 14, 15, 18, 19, 20)
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
    """

    subjects: int = 4
    clips_per_class: int = 8
    seed: int = 0
    size: str = "small"

    def __post_init__(self) -> None:
        for name, within, choice in (
            ("size", self.size in ("small", "full"), "small or full"),
            ("subjects", 2 <= self.subjects <= len(_SMIC_ALL_CAMERAS), f"2 to {len(_SMIC_ALL_CAMERAS)}"),
            ("clips_per_class", 1 <= self.clips_per_class <= 99, "1 to 99"),
            ("seed", self.seed >= 0, "0 or more"),
        ):
            if not within:
                raise ParameterError(f"{name} = {getattr(self, name)!r} is out of range; choose {choice}")


@dataclass(frozen=True)
class Recording:
    """One event of one person: folder names as in the real databases, and a seed for what the camera adds."""

    number: int  # of the subject
    clip: str
    subject: Subject
    event: Event
    noise_seed: int


def plan(settings: DemoSettings) -> dict[str, list[Recording]]:
    """Draw the people and events of each database.

    SMIC's VIS and NIR cameras see the same events, of people whom the HS camera sees too; with ``size="full"`` the
    HS camera alone sees eight more. Nobody in SMIC is in CASME II.
    """
    full, seed = settings.size == "full", settings.seed
    counts = EXPECTED_COUNTS if full else dict.fromkeys(EXPECTED_COUNTS, (settings.clips_per_class,) * 3)
    smic = _SMIC_ALL_CAMERAS if full else _SMIC_ALL_CAMERAS[: settings.subjects]
    shared = _record(seed, 1, smic, counts["SMIC_VIS"])
    rest = [more - both for more, both in zip(counts["SMIC_HS"], counts["SMIC_VIS"], strict=True)]
    return {
        "SMIC_HS": shared + _record(seed, 2, _SMIC_HS_ONLY, rest),
        "SMIC_VIS": shared,
        "SMIC_NIR": shared,
        "CASME2": _record(seed, 3, range(1, 27 if full else settings.subjects + 1), counts["CASME2"]),
    }


def _record(seed: int, group: int, numbers: Sequence[int], counts: Sequence[int]) -> list[Recording]:
    """Spread the clips of each class over the people in turn."""
    people = {number: draw_subject(np.random.default_rng((seed, group, number))) for number in numbers}
    recordings = []
    for class_index, (label, count) in enumerate(zip(CLASS_NAMES, counts, strict=True)):
        for index in range(count):
            number = numbers[(index + class_index) % len(numbers)]
            take = index // len(numbers) + 1
            smic, casme = f"s{number}_{_SHORT[label]}_{take:02d}", f"EP{class_index + 1:02d}_{take:02d}f"
            rng = np.random.default_rng((seed, group, number, class_index, take))
            event = draw_event(label, rng)
            clip = casme if group == 3 else smic
            recordings.append(Recording(number, clip, people[number], event, int(rng.integers(2**31))))
    return recordings
