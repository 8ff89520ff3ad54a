from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from studies.demo_experiments import run_experiments
from tgsr.cli import cli
from tgsr.datasets import load_clips, load_database, save_features
from tgsr.datasets._clips import read_frames
from tgsr.datasets._frame_order import number_frames
from tgsr.demo import DemoSettings, write_demo
from tgsr.demo._face import draw_subject, pixel_grid
from tgsr.demo._film import (
    ACTIONS,
    CAMERAS,
    Event,
    displacement,
    draw_event,
    film,
    moving_regions,
    profile,
    see,
)
from tgsr.demo._layout import database_folder
from tgsr.demo._plan import plan
from tgsr.errors import DataError, ParameterError
from tgsr.features._collection import extract_collection
from tgsr.protocols import CLASS_NAMES, DATABASES, EXPECTED_COUNTS
from tgsr.regions import region_boxes

TINY = DemoSettings(subjects=2, clips_per_class=1, seed=7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "tiny"
    write_demo(folder, TINY)
    return folder


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize("database", DATABASES.values())
def test_the_demo_is_read_like_the_real_databases(tiny: Path, database: str) -> None:
    collection = load_clips(database, tiny)
    assert Counter(clip.label for clip in collection.clips) == dict.fromkeys(CLASS_NAMES, 1)
    assert collection.skipped == ()
    assert any("generated data" in note for note in collection.notes)
    assert collection.generated
    for clip in collection.clips:
        assert clip.cropped
        numbers = number_frames(clip.frames).values()
        assert (clip.onset, clip.offset) == (min(numbers), max(numbers))
        assert 0.19 <= (len(clip.frames) - 1) / CAMERAS[database].fps <= 0.53
        shapes = {frame.shape for frame in read_frames(clip)}
        assert len(shapes) == 1


def test_generated_features_say_so_wherever_they_are_shown(tiny: Path, tmp_path: Path) -> None:
    data = tmp_path / "features"
    for database in ("SMIC_VIS", "SMIC_NIR"):
        dataset = extract_collection(load_clips(database, tiny)).dataset
        assert dataset.is_generated
        save_features(dataset, data / f"{database}.tgsr.npz")
    assert load_database("V", data).is_generated
    assert not replace(dataset, parameters={"origin": "clips"}).is_generated
    listed = CliRunner().invoke(cli, ["data", "--data", str(data)]).output
    assert listed.count("; generated\n") == 2
    assert "the paper has" not in listed
    said = "generated data: SMIC_NIR, SMIC_VIS; the paper's numbers do not apply"
    common = ["--experiment", "V-N", "--data", str(data)]
    small = ["--kappas", "5,6", "--xis", "1,2"]
    for command in (
        ["grid", *common, *small, "--out", str(tmp_path / "grid.csv")],
        ["compare", *common, "--methods", "SVM", "--selection", "fixed", "--out", str(tmp_path / "compare.csv")],
        ["study", *common, *small, "--selection", "oracle", "--home", str(tmp_path / "home"), "--quiet"],
    ):
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        assert said in result.output


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tiny: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again", TINY)
    assert digest(tmp_path / "again") == digest(tiny)
    write_demo(tmp_path / "other", DemoSettings(subjects=2, clips_per_class=1, seed=8))
    assert digest(tmp_path / "other") != digest(tiny)


def test_generated_clips_are_labelled_and_never_mixed_with_other_data(tiny: Path, tmp_path: Path) -> None:
    assert "GENERATED" in (tiny / "GENERATED.txt").read_text()
    (tmp_path / "real.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_demo(tmp_path, TINY)
    with pytest.raises(DataError, match="not empty"):
        write_demo(tiny, DemoSettings(subjects=3, clips_per_class=1))
    before = digest(tiny)
    write_demo(tiny, TINY)
    assert digest(tiny) == before


def test_an_interrupted_rendering_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tgsr.demo._layout._truth", stop)
    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "demo", TINY)
    assert list(tmp_path.iterdir()) == []


def test_the_truth_names_regions_where_the_frames_change(tiny: Path) -> None:
    """The kept regions' pixels change more between onset and apex than the others', in the clearest camera."""
    truth = json.loads((database_folder(tiny, "SMIC_HS") / "truth.json").read_text())
    boxes = region_boxes(106, 106)
    small = np.flatnonzero((boxes[:, 2] - boxes[:, 0]) < 20)
    subject = draw_subject(np.random.default_rng(1))
    camera = CAMERAS["SMIC_HS"]
    face = see(subject, camera)
    for label in CLASS_NAMES:
        event = Event(label, 0.3, 0.5, 0.02, 0.0, (1.0, 1.0), np.zeros((3, 2, 2)))
        taken = [
            cv2.resize(f.mean(axis=2), (112, 112)) for f in film(face, subject, event, camera, np.random.default_rng(0))
        ]
        change = np.abs(taken[len(taken) // 2] - taken[0])[3:-3, 3:-3]
        by_region = np.array([change[top:bottom, left:right].mean() for top, left, bottom, right in boxes])
        moving = [region for region in small if region in truth["moving_regions"][label]]
        still = [region for region in small if region not in truth["moving_regions"][label]]
        assert by_region[moving].mean() > 2 * by_region[still].mean()


def test_classes_move_different_regions() -> None:
    subject = draw_subject(np.random.default_rng(0))
    regions = {label: set(moving_regions(label, subject)) for label in CLASS_NAMES}
    for first, second in (("negative", "positive"), ("positive", "surprise"), ("negative", "surprise")):
        assert len(regions[first] ^ regions[second]) > len(regions[first] & regions[second])
    assert all(0 < len(found) < 30 for found in regions.values())


def test_movements_are_micro_and_come_back_to_rest() -> None:
    subject, rng = draw_subject(np.random.default_rng(0)), np.random.default_rng(3)
    x, y = pixel_grid(112, 112)
    for label in ACTIONS:
        event = draw_event(label, rng)
        largest = 112 * np.hypot(*displacement(subject, event, x, y)).max()
        assert 0.1 < largest < 4
        assert profile(event, 0) == profile(event, 1) == 0
        assert profile(event, event.apex) == pytest.approx(1)


def test_near_infrared_frames_are_grey_and_share_their_events_with_visible_ones() -> None:
    recordings = plan(DemoSettings())
    assert recordings["SMIC_VIS"] == recordings["SMIC_NIR"]
    casme = {id(r.subject) for r in recordings["CASME2"]}
    assert not casme & {id(r.subject) for r in recordings["SMIC_HS"]}
    recording = recordings["SMIC_NIR"][0]
    camera = replace(CAMERAS["SMIC_NIR"], width=70, height=85)
    frame = next(
        film(see(recording.subject, camera), recording.subject, recording.event, camera, np.random.default_rng(0))
    )
    assert frame.shape == (85, 70)


def test_the_full_size_has_the_real_databases_numbers() -> None:
    recordings = plan(DemoSettings(size="full"))
    for database, counts in EXPECTED_COUNTS.items():
        found = Counter(recording.event.label for recording in recordings[database])
        assert tuple(found[name] for name in CLASS_NAMES) == counts
        clips = [(recording.number, recording.clip) for recording in recordings[database]]
        assert len(set(clips)) == len(clips)
    assert {r.number for r in recordings["SMIC_VIS"]} < {r.number for r in recordings["SMIC_HS"]}
    assert len({r.number for r in recordings["CASME2"]}) == 26


@pytest.mark.parametrize(
    "bad", [{"subjects": 1}, {"subjects": 9}, {"clips_per_class": 0}, {"seed": -1}, {"size": "big"}]
)
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        DemoSettings(**bad)  # type: ignore[arg-type]


def test_tgsr_beats_the_majority_and_keeps_the_regions_that_move(tmp_path: Path) -> None:
    """The demo experiments at the default, small size."""
    write_demo(tmp_path / "demo")
    table = run_experiments(tmp_path / "demo")
    assert len(table) == 12
    assert table["accuracy"].mean() > table["majority"].mean() + 0.2
    assert (table["precision"] > table["chance"]).all()
    assert (table["accuracy"] > table["majority"]).all()


def test_the_command_writes_what_the_function_writes(tiny: Path, tmp_path: Path) -> None:
    arguments = [
        "demo-data",
        "--out",
        str(tmp_path / "demo"),
        "--subjects",
        "2",
        "--clips-per-class",
        "1",
        "--seed",
        "7",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "CASME2        3 generated clips" in result.output
    assert digest(tmp_path / "demo") == digest(tiny)
    refused = CliRunner().invoke(cli, ["demo-data", "--out", str(tiny.parent)])
    assert refused.exit_code == 1
    assert "Error: " in refused.output
