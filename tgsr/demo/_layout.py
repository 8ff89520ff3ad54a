"""Who is filmed doing what, and the clips in the folder layouts of SMIC and CASME II, with the sheets and the truth."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joblib import cpu_count
from tqdm import tqdm

from tgsr.demo._face import Plane, Subject, draw_subject
from tgsr.demo._film import ACTIONS, CAMERAS, DISTRACTORS, Action, Camera, Event, draw_event, film, moving_regions, see
from tgsr.errors import DataError
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS, N_REGIONS, check_choice, check_integer

__all__ = ["DemoSettings", "Recording", "database_folder", "plan", "write_demo"]

_MARK = "GENERATED.txt"
_VERSION = 3

_TEXT = """GENERATED DATA - NOT A RECORDING OF ANYONE

The clips in this folder were drawn by `tgsr demo-data`. No person and no camera was involved. They have the folder
layout of the databases SMIC and CASME II and are neither: results on them say nothing about real faces.

Use them to learn the way: clips -> features -> study -> model -> prediction. truth.json beside each database lists
the regions that move in each class, and those that move whatever the class (indices 0-84: grids of 1x1, 2x2, 4x4 and
8x8 blocks, row by row).
"""

_DELIVERED = {  # the folder of a database, and the sheet in it
    "SMIC_HS": ("SMIC/SMIC_all_cropped/HS", "SMIC-HS-E_annotation_2019.csv"),
    "SMIC_VIS": ("SMIC/SMIC_all_cropped/VIS", "SMIC-VIS-E_annotation.csv"),
    "SMIC_NIR": ("SMIC/SMIC_all_cropped/NIR", "SMIC-NIR-E_annotation.csv"),
    "CASME2": ("CASME2", "CASME2-coding-20140508.csv"),
}
_COLUMNS = "Subject,Filename,OnsetF,ApexF,OffsetF,Emotion"
_CASME2_COLUMNS = "Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Estimated Emotion"


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


def database_folder(root: Path, database: str) -> Path:
    """Where a database's clips, sheet and truth are in a demo folder."""
    return root / _DELIVERED[database][0]


def write_demo(
    out: str | os.PathLike[str], settings: DemoSettings | None = None, *, progress: bool = False
) -> dict[str, int]:
    """Render the four demo databases into a folder; it is there whole or not at all.

    Parameters
    ----------
    out : path
        A folder that does not exist yet or is empty. One that already holds the same demo is left as it is.
    settings : DemoSettings, optional
    progress : bool
        Whether to show a bar for each database.

    Returns
    -------
    dict
        Number of clips of each database.

    Raises
    ------
    DataError
        If the folder holds something else: generated clips are never mixed with other data.
    """
    settings = settings or DemoSettings()
    out = Path(out)
    recordings = plan(settings)
    counts = {database: len(clips) for database, clips in recordings.items()}
    header = _TEXT + "\n" + json.dumps({"version": _VERSION, **asdict(settings)}, sort_keys=True) + "\n"
    if out.exists():
        if (out / _MARK).is_file() and (out / _MARK).read_text(encoding="utf-8") == header:
            return counts
        if not out.is_dir() or any(out.iterdir()):
            raise DataError(f"{out}: not empty; name a new folder for the generated databases")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        building = Path(folder) / "demo"
        for database, clips in recordings.items():
            _write_database(building, CAMERAS[database], clips, 0.8 if settings.size == "small" else 1.0, progress)
        (building / _MARK).write_text(header, encoding="utf-8")
        if out.exists():
            out.rmdir()
        building.replace(out)
    return counts


def _write_database(root: Path, camera: Camera, clips: Sequence[Recording], size: float, progress: bool) -> None:
    camera = replace(camera, width=round(camera.width * size), height=round(camera.height * size))
    folder = database_folder(root, camera.database)
    people = {clip.number: clip.subject for clip in clips}
    faces = {number: see(subject, camera) for number, subject in people.items()}
    hidden = None if progress else True  # None: hidden where there is no terminal
    with ThreadPoolExecutor(cpu_count()) as pool:
        rows = pool.map(
            lambda index: _write_clip(folder, camera, clips[index], faces[clips[index].number], index),
            range(len(clips)),
        )
        shown = list(tqdm(rows, total=len(clips), unit="clip", desc=camera.database, disable=hidden))
    columns = _CASME2_COLUMNS if camera.database == "CASME2" else _COLUMNS
    sheet = [columns, *(",".join(map(str, row)) for row in shown)]
    (folder / _DELIVERED[camera.database][1]).write_text("\n".join(sheet) + "\n", encoding="utf-8")
    truth = json.dumps(_truth(camera.database, people.values()), indent=1)
    (folder / "truth.json").write_text(truth + "\n", encoding="utf-8")


def _write_clip(folder: Path, camera: Camera, recording: Recording, face: Plane, row: int) -> Sequence[int | str]:
    """Write the frames of a clip; give its row of the sheet: a few apex frames of CASME II are "/", as there."""
    rng = np.random.default_rng(recording.noise_seed)
    event, emotion = recording.event, recording.event.label
    if camera.database == "CASME2":
        path, first = folder / "Cropped" / f"sub{recording.number:02d}" / recording.clip, int(rng.integers(20, 120))
        emotion = {"negative": "disgust" if row % 3 else "sadness", "positive": "happiness"}.get(emotion, emotion)
    else:
        path = folder / f"s{recording.number}" / "micro" / emotion / recording.clip
        first = int(rng.integers(2000, 50000))
    path.mkdir(parents=True)
    frames = list(film(face, recording.subject, event, camera, rng))
    for number, frame in enumerate(frames, start=first):
        file = path / camera.name.format(number)
        file.write_bytes(cv2.imencode(file.suffix, frame)[1].tobytes())
    last = first + len(frames) - 1
    unknown = camera.database == "CASME2" and row % 11 == 10
    apex = "/" if unknown else first + round(event.movements[0].apex * (last - first))
    return recording.number, recording.clip, first, apex, last, emotion


def _truth(database: str, people: Collection[Subject]) -> dict[str, Any]:
    """Regions that move in each class on the face of anybody in the database."""

    def regions(*actions: Action) -> list[int]:
        return sorted({region for person in people for region in moving_regions(actions, person)})

    return {
        "generated": True,
        "database": database,
        "n_regions": N_REGIONS,
        "actions": {label: action.name for label, action in ACTIONS.items()},
        "moving_regions": {label: regions(action) for label, action in ACTIONS.items()},
        "moving_in_any_class": regions(*ACTIONS.values()),
        "distractors": {action.name: regions(action) for action in DISTRACTORS},
    }
