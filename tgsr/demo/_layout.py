"""Writing the generated clips in the folder layouts of SMIC and CASME II, with the sheets and the truth."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joblib import cpu_count
from tqdm import tqdm

from tgsr.demo._face import Plane, Subject
from tgsr.demo._film import ACTIONS, CAMERAS, DISTRACTORS, Action, Camera, film, moving_regions, see
from tgsr.demo._plan import DemoSettings, Recording, plan
from tgsr.errors import DataError
from tgsr.protocols import N_REGIONS

__all__ = ["DemoSettings", "database_folder", "write_demo"]

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
