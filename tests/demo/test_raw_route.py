"""Raw frames all the way: a generated face in a wide frame, cut to onset and offset, found, cropped, described."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest

from tgsr.datasets import load_clips
from tgsr.datasets.clips import read_frames
from tgsr.demo.camera import CAMERAS, film, see
from tgsr.demo.plan import DemoSettings, Recording, plan
from tgsr.features.collection import extract_collection
from tgsr.preprocessing.face import find_face

TOP, LEFT = 90, 140
ONSET = 20


def wide(frame: np.ndarray) -> np.ndarray:
    scene = np.full((480, 560, 3), 70, np.uint8)
    height, width = frame.shape[:2]
    scene[TOP : TOP + height, LEFT : LEFT + width] = frame
    return scene


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CASME2_RAW_selected with a clip of each class; still frames stand before the onset and after the offset."""
    root = tmp_path_factory.mktemp("raw")
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion"])
    recordings: list[Recording] = plan(DemoSettings(subjects=3, clips_per_class=1))["CASME2"]
    camera = CAMERAS["CASME2"]
    for recording in recordings:
        rng = np.random.default_rng(0)
        face = see(recording.subject, camera)
        frames = list(film(face, recording.subject, recording.event, camera, rng))[::4]
        folder = root / "CASME2_RAW_selected" / f"sub{recording.number:02d}" / recording.clip
        folder.mkdir(parents=True)
        for number, frame in enumerate([frames[0]] * 5 + frames + [frames[-1]] * 5, start=ONSET - 5):
            cv2.imwrite(str(folder / f"img{number}.jpg"), wide(frame))
        emotion = {"negative": "disgust", "positive": "happiness", "surprise": "surprise"}[recording.event.label]
        book.active.append([recording.number, recording.clip, ONSET, "/", ONSET + len(frames) - 1, emotion])
    book.save(root / "CASME2-coding-20140508.xlsx")
    return root


def test_raw_clips_are_cut_to_onset_and_offset(raw: Path) -> None:
    collection = load_clips("CASME2", raw)
    assert len(collection.clips) == 3
    for clip in collection.clips:
        assert not clip.cropped
        assert clip.frames[0].name == f"img{ONSET}.jpg"
        assert clip.offset is not None
        assert clip.frames[-1].name == f"img{clip.offset}.jpg"


def test_the_generated_face_is_found_where_it_is(raw: Path) -> None:
    camera = CAMERAS["CASME2"]
    for clip in load_clips("CASME2", raw).clips:
        box = find_face(read_frames(clip)[0])
        assert box is not None
        top, left, bottom, right = box
        assert abs((left + right) / 2 - (LEFT + camera.width / 2)) < 0.1 * camera.width
        assert abs((top + bottom) / 2 - (TOP + camera.height / 2)) < 0.15 * camera.height
        assert 0.6 * camera.width < right - left < 1.5 * camera.width


def test_raw_clips_become_features(raw: Path) -> None:
    extraction = extract_collection(load_clips("CASME2", raw), root=raw)
    assert extraction.skipped == ()
    assert extraction.dataset.features.shape == (3, 85, 177)
    assert sorted(extraction.dataset.labels) == [0, 1, 2]
