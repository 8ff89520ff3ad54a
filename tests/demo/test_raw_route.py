"""Raw frames all the way: a generated face in a wide frame, cut to onset and offset, found, cropped, described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import load_clips
from tgsr.datasets.clips import read_frames
from tgsr.demo._film import CAMERAS, film, see
from tgsr.demo._layout import DemoSettings, Recording, plan
from tgsr.errors import DataError
from tgsr.features._collection import extract_collection
from tgsr.features.extraction import ExtractionSettings
from tgsr.models.prediction import first_frame, predict_clips
from tgsr.models.registered import Header, RegisteredModel
from tgsr.preprocessing._face import find_face
from tgsr.protocols import CLASS_NAMES
from tgsr.tracking.client import open_client
from tgsr.tracking.config import resolve_config

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
    extraction = extract_collection(load_clips("CASME2", raw))
    assert extraction.skipped == ()
    assert extraction.dataset.features.shape == (3, 85, 177)
    assert sorted(extraction.dataset.labels) == [0, 1, 2]


class Linear:
    region_norms_ = np.ones(85)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return X @ np.random.default_rng(0).random((15045, 3))

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.decision_function(X).argmax(axis=1)


class Loaded(RegisteredModel):
    """A loaded model that remembers the feature rows that it was given."""

    def __init__(self, extraction: dict[str, Any]) -> None:
        super().__init__(Linear(), Header(CLASS_NAMES, 15045, "region", extraction))

    def answer(self, rows: np.ndarray) -> pd.DataFrame:
        self.rows = rows
        return super().answer(rows)


def test_a_model_of_raw_features_crops_raw_clips_as_its_training_did(raw: Path) -> None:
    collection = load_clips("CASME2", raw)
    dataset = extract_collection(collection).dataset
    model = Loaded(ExtractionSettings.from_dict(dataset.parameters).to_dict())
    path = raw / "as_cut"  # the model has no sheet: it takes the folder's frames from the first to the last
    for clip in collection.clips:
        folder = path / clip.path.name
        folder.mkdir(parents=True)
        for frame in clip.frames:
            (folder / frame.name).write_bytes(frame.read_bytes())
    folders = [path / clip.path.name for clip in collection.clips]
    table = predict_clips(model, folders).table
    np.testing.assert_array_equal(model.rows, dataset.X)
    assert table["clip"].tolist() == [str(folder) for folder in folders]
    entries = np.empty(1, dtype=object)
    entries[0] = folders[0]
    assert model.predict(entries)["label"].tolist() == table["label"].tolist()[:1]
    top, left, bottom, right = find_face(read_frames(collection.clips[0])[0]) or (0, 0, 0, 0)
    assert first_frame(model, folders[0]).shape == (bottom - top, right - left)
    predict_clips(model, folders, crop="none")
    assert not np.array_equal(model.rows, dataset.X)
    assert first_frame(model, folders[0], crop="none").shape == (480, 560)


@pytest.mark.parametrize("crop", ["auto", "none"])
def test_models_of_earlier_versions_take_frames_as_they_are(raw: Path, crop: str) -> None:
    model = Loaded({**ExtractionSettings().to_dict(), "crop": crop})
    clip = load_clips("CASME2", raw).clips[0].path
    assert first_frame(model, clip).shape == (480, 560)
    predict_clips(model, [clip])
    rows = model.rows
    predict_clips(model, [clip], crop="face")
    assert not np.array_equal(model.rows, rows)


@pytest.fixture
def faceless(tmp_path: Path) -> Path:
    for number in range(1, 4):
        (tmp_path / "faceless").mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (60, 50), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "faceless" / f"img{number}.png"), noise)
    return tmp_path / "faceless"


def test_bad_clips_are_named_and_the_good_ones_predicted(raw: Path, faceless: Path) -> None:
    model = Loaded({**ExtractionSettings().to_dict(), "crop": "face"})
    good = load_clips("CASME2", raw).clips[0].path
    predicted = predict_clips(model, [faceless, good, raw / "gone"])
    assert predicted.table["clip"].tolist() == [str(good)]
    assert [str(path) in text for path, text in zip((faceless, raw / "gone"), predicted.failed, strict=True)] == [1, 1]
    assert "no face" in predicted.failed[0]
    with pytest.raises(DataError, match="faceless: no face"):
        predict_clips(model, [faceless])
    clips = np.empty(2, dtype=object)
    clips[:] = good, np.random.default_rng(0).random((3, 60, 50)) * 255
    with pytest.raises(DataError, match="clip 2: no face"):
        model.predict(clips)


def test_the_command_prints_the_good_clips_and_ends_with_status_1(
    raw: Path, faceless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Loaded({**ExtractionSettings().to_dict(), "crop": "face"})
    monkeypatch.setattr("tgsr.models.loading.load_model", lambda *_, **given: model)
    open_client(resolve_config(tmp_path).tracking_uri)
    good = load_clips("CASME2", raw).clips[0].path
    arguments = ["predict", "--model", "models:/x@champion", "--home", str(tmp_path), str(faceless), str(good)]
    drawn: list[tuple[int, ...]] = []
    monkeypatch.setattr("tgsr.reports._masks.draw_mask", lambda strengths, grouping, frame: drawn.append(frame.shape))
    monkeypatch.setattr("tgsr.reports.style.save_figure", lambda figure, path: None)
    result = CliRunner().invoke(cli, [*arguments, "--overlay", str(tmp_path / "x.png")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert str(good) in result.stdout
    assert "Error: 1 of 2 clips cannot be used:\n" + str(faceless) + ": no face" in result.stderr
    assert drawn[0][0] < 480
    alone = CliRunner().invoke(cli, [*arguments[:-1]])
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert f"Error: {faceless}: no face" in alone.stderr
    raised = CliRunner().invoke(cli, [*arguments, "--crop", "none"])
    assert raised.exit_code == 0, raised.output
