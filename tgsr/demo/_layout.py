"""Writing the generated clips in the folder layouts of SMIC and CASME II, with the sheets and the truth."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tgsr.demo._camera import CAMERAS, Camera, film, see
from tgsr.demo._movement import ACTIONS, moving_regions
from tgsr.demo._plan import DemoSettings, Recording, plan
from tgsr.errors import DataError
from tgsr.protocols import CLASS_NAMES, N_REGIONS

__all__ = ["DemoSettings", "database_folder", "write_demo"]

_MARK = "GENERATED.txt"
_VERSION = 2

_TEXT = """GENERATED DATA - NOT A RECORDING OF ANYONE

The clips in this folder were drawn by `tgsr demo-data`. No person and no camera was involved. They have the folder
layout of the databases SMIC and CASME II and are neither: results on them say nothing about real faces.

Use them to learn the way: clips -> features -> study -> model -> prediction. truth.json beside each database lists
the regions that move in each class (indices 0-84: grids of 1x1, 2x2, 4x4 and 8x8 blocks, row by row).
"""

_SMIC_COLUMNS = "Subject,Filename,OnsetF,ApexF,OffsetF,Emotion"
_CASME_COLUMNS = "Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Estimated Emotion"
_SHEETS = {
    "SMIC_HS": "SMIC-HS-E_annotation_2019.csv",
    "SMIC_VIS": "SMIC-VIS-E_annotation.csv",
    "SMIC_NIR": "SMIC-NIR-E_annotation.csv",
    "CASME2": "CASME2-coding-20140508.csv",
}

Progress = Callable[[str, int, int], None]


def database_folder(root: Path, database: str) -> Path:
    """Where a database's clips, sheet and truth are in a demo folder."""
    if database == "CASME2":
        return root / "CASME2"
    return root / "SMIC" / "SMIC_all_cropped" / database.removeprefix("SMIC_")


def write_demo(
    out: str | os.PathLike[str], settings: DemoSettings | None = None, progress: Progress | None = None
) -> dict[str, int]:
    """Render the four demo databases into a folder; it is there whole or not at all.

    Parameters
    ----------
    out : path
        A folder that does not exist yet or is empty. One that already holds the same demo is left as it is.
    settings : DemoSettings, optional
    progress : callable, optional
        Called with the database, the clips done and the clips in all.

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
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for database, clips in recordings.items():
            _write_database(building, database, clips, settings, progress)
        (building / _MARK).write_text(header, encoding="utf-8")
        building.chmod(0o755)
        if out.exists():
            out.rmdir()
        building.replace(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return counts


def _write_database(
    root: Path, database: str, clips: list[Recording], settings: DemoSettings, progress: Progress | None
) -> None:
    camera = CAMERAS[database].resized(settings.frame_factor)
    folder = database_folder(root, database)
    faces: dict[int, Any] = {}
    rows = []
    for done, recording in enumerate(clips, start=1):
        if recording.number not in faces:
            faces[recording.number] = see(recording.subject, camera)
        rows.append(_write_clip(folder, camera, recording, faces[recording.number]))
        if progress is not None:
            progress(database, done, len(clips))
    _write_sheet(folder, database, rows)
    (folder / "truth.json").write_text(json.dumps(_truth(database, clips), indent=1) + "\n", encoding="utf-8")


def _write_sheet(folder: Path, database: str, rows: list[dict[str, Any]]) -> None:
    """Write the sheet in the real one's columns; a few apex frames of CASME II are "/", as there."""
    casme = database == "CASME2"
    lines = [_CASME_COLUMNS if casme else _SMIC_COLUMNS]
    for index, row in enumerate(rows):
        negative = "disgust" if index % 3 else "sadness"
        emotion = {"negative": negative, "positive": "happiness", "surprise": "surprise"}[row["label"]]
        apex = "/" if casme and index % 11 == 10 else row["apex"]
        cells = [row["subject"], row["filename"], row["onset"], apex, row["offset"], emotion if casme else row["label"]]
        lines.append(",".join(map(str, cells)))
    (folder / _SHEETS[database]).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_clip(folder: Path, camera: Camera, recording: Recording, face: Any) -> dict[str, Any]:
    """Write the frames of a clip; give its row of the sheet."""
    import cv2

    rng = np.random.default_rng((recording.noise_seed, *camera.database.encode()))
    if camera.database == "CASME2":
        path, first = folder / "Cropped" / f"sub{recording.number:02d}" / recording.clip, int(rng.integers(20, 120))
    else:
        path = folder / f"s{recording.number}" / "micro" / recording.event.label / recording.clip
        first = int(rng.integers(2000, 50000))
    path.mkdir(parents=True)
    number = first - 1
    for number, frame in enumerate(film(face, recording.subject, recording.event, camera, rng), start=first):
        file = path / camera.name.format(number)
        options = [cv2.IMWRITE_JPEG_QUALITY, camera.quality] if file.suffix == ".jpg" else []
        _, data = cv2.imencode(file.suffix, frame, options)
        file.write_bytes(data.tobytes())
    return {
        "subject": recording.number,
        "filename": recording.clip,
        "onset": first,
        "apex": first + round(recording.event.apex * (number - first)),
        "offset": number,
        "label": recording.event.label,
    }


def _truth(database: str, clips: list[Recording]) -> dict[str, Any]:
    """Regions that move in each class on the face of anybody in the database."""
    people = {recording.number: recording.subject for recording in clips}
    regions = {
        label: sorted({region for person in people.values() for region in moving_regions(label, person)})
        for label in CLASS_NAMES
    }
    return {
        "generated": True,
        "database": database,
        "n_regions": N_REGIONS,
        "actions": {label: [action for action, _ in ACTIONS[label]] for label in CLASS_NAMES},
        "moving_regions": regions,
        "moving_in_any_class": sorted(set().union(*regions.values())),
    }
