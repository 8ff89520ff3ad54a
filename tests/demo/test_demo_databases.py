from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import DatabasePair, load_clips, load_database, save_features
from tgsr.datasets._frame_order import number_frames
from tgsr.datasets.clips import read_frames
from tgsr.demo import DemoSettings, write_demo
from tgsr.demo._film import CAMERAS
from tgsr.demo._layout import database_folder, plan
from tgsr.errors import DataError, ParameterError
from tgsr.features._collection import extract_collection
from tgsr.protocols import CLASS_NAMES, DATABASES, EXPECTED_COUNTS
from tgsr.trials.fitter import Fitter
from tgsr.trials.spec import make_spec
from tgsr.trials.tasks import grid_tasks

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
    small, home = ["--kappas", "5,6", "--xis", "1,2"], ["--home", str(tmp_path / "home")]
    for command in (
        ["grid", *common, *small, "--out", str(tmp_path / "grid.csv")],
        ["compare", *common, "--methods", "SVM", "--choose", "fixed", "--out", str(tmp_path / "compare.csv"), *home],
        ["study", *common, *small, "--choose", "oracle", *home, "--quiet"],
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


def test_classes_move_few_and_different_regions(tiny: Path) -> None:
    moving = json.loads((database_folder(tiny, "SMIC_HS") / "truth.json").read_text())["moving_regions"]
    regions = {label: set(moving[label]) for label in CLASS_NAMES}
    assert all(0 < len(found) < 30 for found in regions.values())
    assert len({frozenset(found) for found in regions.values()}) == len(CLASS_NAMES)


def test_the_cameras_of_smic_see_the_same_people() -> None:
    recordings = plan(DemoSettings())
    assert {one.number for one in recordings["SMIC_VIS"]} == {one.number for one in recordings["SMIC_NIR"]}
    casme = {id(recording.subject) for recording in recordings["CASME2"]}
    assert not casme & {id(recording.subject) for recording in recordings["SMIC_HS"]}


@pytest.mark.slow
def test_the_demos_grid_has_something_to_find(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", DemoSettings(databases=("SMIC_VIS", "SMIC_NIR")))
    sides = [extract_collection(load_clips(name, tmp_path / "demo")).dataset for name in ("SMIC_VIS", "SMIC_NIR")]
    pair = DatabasePair(*sides)
    spec = make_spec(pair, axes={"kappa": [1, 2, 3, 5, 10, 20, 40, 85], "xi": [0.001, 0.1, 10.0]})
    trials = [trial for task in grid_tasks(spec) for trial in Fitter(spec, pair, ("circular",)).fit(task)]
    f1 = np.array([trial.metrics["macro_f1"] for trial in trials])
    chosen = f1[np.argmax([trial.rules["circular"] for trial in trials])]
    assert f1.max() > 0.85
    assert np.median(f1) + 0.1 < chosen <= f1.max()
