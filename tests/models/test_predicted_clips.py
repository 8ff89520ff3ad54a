"""Clips are read for a prediction as they are for features: the same list gives the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from films import pictures, write_pictures, write_video

from tgsr.cli import cli
from tgsr.datasets import load_clips
from tgsr.errors import DataError, MissingDataError
from tgsr.features._collection import extract_collection
from tgsr.features.extraction import ExtractionSettings
from tgsr.models.prediction import first_frame, predict_clips
from tgsr.models.registered import Header, RegisteredModel
from tgsr.preprocessing import pipeline
from tgsr.protocols import CLASS_NAMES

SETTINGS = ExtractionSettings(size=32, n_frames=8, crop="none")


class Constant:
    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.zeros(len(X), dtype=np.int64)


class Loaded(RegisteredModel):
    """A model that remembers the rows that it was given, and calls every clip negative."""

    def __init__(self, crop: str = "none") -> None:
        extraction = {**SETTINGS.to_dict(), "crop": crop}
        super().__init__(Constant(), Header(CLASS_NAMES, 15045, "region", extraction))

    def answer(self, rows: np.ndarray) -> pd.DataFrame:
        self.rows = rows
        return super().answer(rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A recording in frames, one as a video, and a folder of a clip."""
    write_pictures(tmp_path / "day" / "session", pictures(30))
    write_video(tmp_path / "film.avi", pictures(30, seed=1))
    write_pictures(tmp_path / "single", pictures(8, seed=2))
    return tmp_path


LISTS = {
    "clips.csv": "clip,label,onset,offset\nday/session,Negative,1,9\nday/session,surprise,10,18\nsingle,positive,,\n",
    "video.csv": "clip,onset,offset\nfilm.avi,3,12\nfilm.avi,13,30\nfilm.avi,,5\n",
    "semicolons.csv": "clip;label;subject\nsingle;positive;anna\nday/session;negative;ben\n",
    "tabs.tsv": "clip\tcropped\nsingle\tyes\nfilm.avi\tYes\n",
    "windows.csv": "Clip,Label\nday\\session,negative\nsingle,positive\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_clips_gives_the_rows_that_features_gives(root: Path, name: str) -> None:
    (root / name).write_text(LISTS[name])
    model = Loaded()
    predicted = predict_clips(model, [root / name])
    expected = extract_collection(load_clips("mine", root / name), SETTINGS).dataset
    np.testing.assert_array_equal(model.rows, expected.X)
    assert [Path(clip).name for clip in predicted.table["clip"]] == [Path(name).name for name in expected.sample_ids]
    assert {str(clip.path) for clip in predicted.clips} == {clip.partition("@")[0] for clip in predicted.table["clip"]}
    assert predicted.failed == ()


def test_a_folder_gives_the_rows_that_features_gives_with_and_without_its_list(root: Path) -> None:
    model = Loaded()
    assert len(predict_clips(model, [root]).table) == 3
    np.testing.assert_array_equal(model.rows, extract_collection(load_clips("mine", root), SETTINGS).dataset.X)
    (root / "clips.csv").write_text(LISTS["clips.csv"])
    table = predict_clips(model, [root]).table
    assert table["true"].tolist() == ["negative", "surprise", "positive"]
    assert table["clip"].tolist() == [str(root / name) for name in ("day/session@1-9", "day/session@10-18", "single")]
    np.testing.assert_array_equal(model.rows, extract_collection(load_clips("mine", root), SETTINGS).dataset.X)


@pytest.mark.parametrize("trained", ["none", "face"])
def test_a_list_says_whether_the_face_is_looked_for_and_else_the_model(
    root: Path, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cropped: list[int] = []
    monkeypatch.setattr(pipeline, "crop_face", lambda clip: (cropped.append(len(clip)), clip)[1])
    monkeypatch.setattr("tgsr.preprocessing.crop_face", lambda clip: (cropped.append(len(clip)), clip)[1])
    (root / "clips.csv").write_text("clip,onset,offset,cropped\nday/session,1,5,no\nday/session,1,6,yes\nsingle,,,\n")
    model = Loaded(trained)
    by_model = [8] if trained == "face" else []
    predicted = predict_clips(model, [root / "clips.csv"])
    assert cropped == [5, *by_model]
    for crop, seen in (("none", []), ("face", [5, 6, 8])):
        cropped.clear()
        predict_clips(model, [root / "clips.csv"], crop)
        assert cropped == seen
    cropped.clear()
    for clip in predicted.clips:
        first_frame(model, clip)
    assert cropped == [1, *([1] if by_model else [])]


def test_the_first_frame_of_an_event_is_its_own(root: Path) -> None:
    (root / "clips.csv").write_text("clip,onset,offset\nday/session,11,18\nfilm.avi,4,9\n")
    model = Loaded()
    frames = [first_frame(model, clip) for clip in predict_clips(model, [root / "clips.csv"]).clips]
    np.testing.assert_array_equal(frames[0], pictures(30)[10])
    np.testing.assert_array_equal(first_frame(model, root / "day" / "session"), pictures(30)[0])


def test_labels_are_scored_in_any_case_and_others_are_named(root: Path) -> None:
    (root / "clips.csv").write_text("clip,label,onset,offset\nday/session,NEGATIVE,1,9\nday/session,Negative,2,9\n")
    scores = predict_clips(Loaded(), [root / "clips.csv"]).scores
    assert (scores["n"], scores["accuracy"]) == (2, 1)
    (root / "clips.csv").write_text("clip,label\nday/session,Negative\nsingle,happiness\nfilm.avi,\n")
    predicted = predict_clips(Loaded(), [root / "clips.csv"])
    assert (predicted.scores["n"], predicted.scores["accuracy"]) == (1, 1)
    assert predicted.table["true"].tolist() == ["negative", "happiness", ""]
    assert "labels that are none of the model's classes are not scored: happiness" in predicted.notes


def test_what_cannot_be_used_is_named_and_the_rest_predicted(root: Path) -> None:
    (root / "clips.csv").write_text(
        "clip,onset,offset\nday/session,1,9\nday/session,40,50\ngone,,\nsingle,x,3\n../out,,\n"
    )
    (root / "take.heic").write_bytes(b"x")
    predicted = predict_clips(Loaded(), [root / "clips.csv", root / "nowhere", root / "take.heic"])
    assert len(predicted.table) == 1
    for said in (
        "none of the frames 1-30",
        "gone is not there",
        "must be frame numbers",
        "nowhere: no such clip",
        "take.heic",
    ):
        assert sum(said in failed for failed in predicted.failed) == 1, said
    assert len(predicted.failed) == 6
    with pytest.raises(MissingDataError, match="nowhere"):
        predict_clips(Loaded(), [root / "nowhere"])
    with pytest.raises(DataError, match=r"nowhere: no such clip[^\n]*\n[^\n]*take\.heic"):
        predict_clips(Loaded(), [root / "nowhere", root / "take.heic"])


def test_the_command_prints_what_is_to_be_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgsr.models.loading.load_model", lambda *_, **given: Loaded())
    (root / "clips.csv").write_text("clip,label\nsingle,Negative\nday/session,joy\n")
    result = CliRunner().invoke(cli, ["predict", "--model", str(root), str(root / "clips.csv")])
    assert result.exit_code == 0, result.output
    assert "note: labels that are none of the model's classes are not scored: joy" in result.output
    assert "accuracy 1.0000" in result.output
