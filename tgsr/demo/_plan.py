"""Who is filmed doing what: the generated people and events of each database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.demo._face import Subject, draw_subject
from tgsr.demo._movement import Event, draw_event
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
        if self.size not in ("small", "full"):
            raise ParameterError(f"size = {self.size!r}; choose small or full")
        if not 2 <= self.subjects <= len(_SMIC_ALL_CAMERAS):
            raise ParameterError(f"subjects = {self.subjects} is out of range; choose 2 to {len(_SMIC_ALL_CAMERAS)}")
        if not 1 <= self.clips_per_class <= 99:
            raise ParameterError(f"clips_per_class = {self.clips_per_class} is out of range; choose 1 to 99")
        if self.seed < 0:
            raise ParameterError(f"seed = {self.seed}; choose 0 or more")

    @property
    def frame_factor(self) -> float:
        """Size of the frames against the real databases'."""
        return 0.8 if self.size == "small" else 1.0


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
    full = settings.size == "full"
    smic = _SMIC_ALL_CAMERAS if full else _SMIC_ALL_CAMERAS[: settings.subjects]
    casme = range(1, 27) if full else range(1, settings.subjects + 1)
    small = dict.fromkeys(CLASS_NAMES, settings.clips_per_class)

    def counts(database: str) -> dict[str, int]:
        return dict(zip(CLASS_NAMES, EXPECTED_COUNTS[database], strict=True)) if full else small

    shared = _record(settings.seed, 1, smic, counts("SMIC_VIS"))
    recordings = {"SMIC_HS": list(shared), "SMIC_VIS": shared, "SMIC_NIR": shared}
    if full:
        rest = {name: counts("SMIC_HS")[name] - counts("SMIC_VIS")[name] for name in CLASS_NAMES}
        recordings["SMIC_HS"] += _record(settings.seed, 2, _SMIC_HS_ONLY, rest)
    recordings["CASME2"] = _record(settings.seed, 3, casme, counts("CASME2"), casme_names=True)
    return recordings


def _record(
    seed: int, group: int, numbers: tuple[int, ...] | range, counts: dict[str, int], casme_names: bool = False
) -> list[Recording]:
    """Spread the clips of each class over the people in turn."""
    people = {number: draw_subject(np.random.default_rng((seed, group, number))) for number in numbers}
    recordings = []
    for class_index, (label, count) in enumerate(counts.items()):
        for index in range(count):
            number = numbers[(index + class_index) % len(numbers)]
            take = index // len(numbers) + 1
            clip = f"EP{class_index + 1:02d}_{take:02d}f" if casme_names else f"s{number}_{_SHORT[label]}_{take:02d}"
            rng = np.random.default_rng((seed, group, number, class_index, take))
            event = draw_event(label, rng)
            recordings.append(Recording(number, clip, people[number], event, int(rng.integers(2**31))))
    return recordings
