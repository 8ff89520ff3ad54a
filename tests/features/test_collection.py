"""A database of clips to features: order, processes, cache, resumption, and what is skipped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tgsr.datasets import load_features, save_features
from tgsr.datasets.clips import Skipped
from tgsr.errors import DataError, ParameterError
from tgsr.features import _collection as collection_module
from tgsr.features._collection import extract_collection
from tgsr.features.extraction import ExtractionSettings, clip_features, load_clip
from tgsr.preprocessing import FaceNotFoundError


def test_samples_are_the_clips_in_their_order(make_collection, tmp_path: Path) -> None:
    collection = make_collection()
    dataset = extract_collection(collection).dataset
    assert dataset.name == "MINE"
    assert dataset.sample_ids.tolist() == [f"clip{i}" for i in range(6)]
    assert dataset.subjects.tolist() == ["s0"] * 3 + ["s1"] * 3
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2]
    for i in (0, 5):
        np.testing.assert_array_equal(dataset.features[i], clip_features(load_clip(tmp_path / "data" / f"clip{i}")))


def test_the_feature_file_records_every_parameter(make_collection, tmp_path: Path) -> None:
    settings = ExtractionSettings(n_frames=10, radii=(3, 3, 2))
    extraction = extract_collection(make_collection(2), settings)
    loaded = load_features(save_features(extraction.dataset, tmp_path / "MINE.tgsr.npz"))
    assert ExtractionSettings.from_dict(loaded.parameters) == replace(settings, crop="none")
    assert {"origin", "opencv", "tgsr", "decimals", "order", "skipped"} <= set(loaded.parameters)
    assert loaded.digest == extraction.dataset.digest


@pytest.mark.parametrize(
    ("crop", "cropped", "recorded"),
    [
        ("auto", [True, True], "none"),
        ("none", [False, True], "none"),
        ("auto", [False, False], "face"),
        ("face", [True, False], "face"),
        ("auto", [True, False], "auto"),
    ],
)
def test_the_crop_that_was_done_is_recorded(
    make_collection, monkeypatch: pytest.MonkeyPatch, crop: str, cropped: list[bool], recorded: str
) -> None:
    monkeypatch.setattr("tgsr.preprocessing._face.find_face", lambda image: (2, 2, 38, 38))
    collection = make_collection(2)
    clips = tuple(replace(clip, cropped=known) for clip, known in zip(collection.clips, cropped, strict=True))
    extraction = extract_collection(replace(collection, clips=clips), ExtractionSettings(crop=crop))
    assert extraction.dataset.parameters["crop"] == recorded
    assert any("raw and cropped clips are mixed" in note for note in extraction.notes) == (recorded == "auto")


def test_processes_give_what_one_gives(make_collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_module, "_FEWEST_FRAMES", 1)
    collection = make_collection(9)
    done = []
    many = extract_collection(collection, jobs=2, progress=lambda *step: done.append(step))
    assert done == [(i, 9) for i in range(1, 10)]
    assert many.dataset.digest == extract_collection(collection).dataset.digest


def test_the_cache_is_used_and_changes_nothing(make_collection, tmp_path: Path) -> None:
    collection = make_collection()
    first = extract_collection(collection, cache=tmp_path / "cache")
    again = extract_collection(collection, cache=tmp_path / "cache")
    assert (first.n_cached, again.n_cached) == (0, 6)
    assert again.dataset.digest == first.dataset.digest == extract_collection(collection).dataset.digest
    other = extract_collection(collection, ExtractionSettings(size=64), cache=tmp_path / "cache")
    assert other.n_cached == 0


def test_a_changed_frame_is_computed_anew(make_collection, tmp_path: Path) -> None:
    collection = make_collection()
    first = extract_collection(collection, cache=tmp_path / "cache")
    frames = collection.clips[4].frames
    frames[0].write_bytes(frames[1].read_bytes())
    second = extract_collection(collection, cache=tmp_path / "cache")
    assert second.n_cached == 5
    changed = (first.dataset.features != second.dataset.features).any(axis=(1, 2))
    assert changed.tolist() == [False] * 4 + [True, False]


def test_interrupted_it_goes_on_where_it_stopped(make_collection, tmp_path: Path) -> None:
    collection = make_collection()

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_collection(collection, cache=tmp_path / "cache", progress=interrupt)
    resumed = extract_collection(collection, cache=tmp_path / "cache")
    assert resumed.n_cached == 4
    assert resumed.dataset.digest == extract_collection(collection).dataset.digest


def test_unusable_clips_are_skipped_with_file_and_reason(make_collection, tmp_path: Path) -> None:
    collection = make_collection()
    earlier = Skipped("clip9", tmp_path / "clip9", "unknown emotion")
    collection = replace(collection, skipped=(earlier,), notes=("a note",))
    broken = collection.clips[2].frames[1]
    broken.write_bytes(broken.read_bytes()[:50])
    extraction = extract_collection(collection)
    assert extraction.dataset.sample_ids.tolist() == ["clip0", "clip1", "clip3", "clip4", "clip5"]
    assert [entry.clip for entry in extraction.skipped] == ["clip9", "clip2"]
    assert str(broken) in extraction.skipped[1].reason
    assert extraction.notes == ("a note", "MINE surprise: 1 of 2 clips can be used")
    assert extraction.dataset.parameters["skipped"] == ["clip9", "clip2"]


def test_lost_clips_are_compared_with_the_published_counts(make_collection) -> None:
    collection = make_collection(name="CASME2")
    collection.clips[0].frames[0].write_bytes(b"")
    notes = extract_collection(collection).notes
    assert notes == ("CASME2 negative: 1 of 2 clips can be used; the published database has 73",)


def test_a_raw_clip_without_a_face_is_skipped_and_not_guessed(make_collection) -> None:
    collection = make_collection(3)
    raw = replace(collection.clips[1], cropped=False)
    extraction = extract_collection(replace(collection, clips=(collection.clips[0], raw)))
    (entry,) = extraction.skipped
    assert entry.clip == "clip1"
    assert entry.path == raw.frames[0].parent
    assert "no face" in entry.reason
    assert issubclass(FaceNotFoundError, DataError)


def test_clips_with_the_same_frames_are_noted(make_collection) -> None:
    collection = make_collection(3)
    twin = replace(collection.clips[0], id="twin", label="surprise")
    notes = extract_collection(replace(collection, clips=(*collection.clips, twin))).notes
    assert notes == ("MINE: clip0 and twin have the same frames, under different labels",)


def test_subjects_are_left_out_unless_all_are_known(make_collection) -> None:
    collection = make_collection(2)
    clips = (replace(collection.clips[0], subject=None), collection.clips[1])
    extraction = extract_collection(replace(collection, clips=clips))
    assert extraction.dataset.subjects is None
    assert "subjects are not known" in extraction.notes[0]


def test_no_usable_clip_is_an_error_with_the_reasons(make_collection) -> None:
    collection = make_collection(2)
    for clip in collection.clips:
        clip.frames[0].write_bytes(b"")
    with pytest.raises(DataError, match=r"no clip can be used: clip0 .*img8\.png.*; clip1"):
        extract_collection(collection)
    with pytest.raises(DataError, match="no clip can be used"):
        extract_collection(replace(collection, clips=()))


def test_a_label_outside_the_classes_is_an_error(make_collection) -> None:
    collection = make_collection(2)
    clips = (replace(collection.clips[0], label="boredom"),)
    with pytest.raises(DataError, match="boredom"):
        extract_collection(replace(collection, clips=clips))


def test_other_settings_give_other_groups(make_collection) -> None:
    dataset = extract_collection(make_collection(2), ExtractionSettings(grid=(1, 2), neighbours=4)).dataset
    assert (dataset.n_groups, dataset.X.shape) == (5, (2, 5 * 3 * 15))


def test_clips_without_labels_are_a_dataset_without_labels(make_collection) -> None:
    collection = make_collection(2)
    clips = tuple(replace(clip, label=None, subject=None) for clip in collection.clips)
    extraction = extract_collection(replace(collection, clips=clips))
    assert not extraction.dataset.is_labelled
    assert extraction.notes == ()


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_must_be_a_positive_integer(make_collection, jobs: object) -> None:
    with pytest.raises(ParameterError, match="jobs"):
        extract_collection(make_collection(1), jobs=jobs)


def test_a_dead_worker_is_an_error_with_the_remedy(make_collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_module, "_FEWEST_FRAMES", 1)
    monkeypatch.setattr(collection_module, "_start_worker", _die)
    with pytest.raises(DataError, match="--jobs 1"):
        extract_collection(make_collection(9), jobs=2)


def _die() -> None:
    import os

    os._exit(1)


def test_parameters_are_json(make_collection) -> None:
    parameters = extract_collection(make_collection(1)).dataset.parameters
    assert json.loads(json.dumps(parameters)) == parameters
