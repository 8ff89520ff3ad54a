"""``tgsr features`` from a table of clips to a feature file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tgsr.cli import cli
from tgsr.datasets import find_databases, load_features
from tgsr.features.extraction import ExtractionSettings, clip_features, load_clip
from tgsr.preprocessing import find_face

SMALL = ["--n-frames", "8", "--size", "64", "--jobs", "1"]


@pytest.fixture
def table(make_collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own database: three clips a class, listed in a CSV."""
    monkeypatch.setenv("TGSR_CACHE", str(tmp_path / "cache"))
    collection = make_collection()
    lines = [f"clip{i},{clip.label},{clip.subject}" for i, clip in enumerate(collection.clips)]
    path = tmp_path / "data" / "clips.csv"
    path.write_text("\n".join(["clip,label,subject", *lines]) + "\n")
    return path


def run(table: Path, out: Path, *options: str) -> Result:
    arguments = ["features", "--database", "MINE", "--root", str(table), "--out", str(out), *SMALL, *options]
    return CliRunner().invoke(cli, arguments)


def test_a_table_of_clips_becomes_a_feature_file(table: Path, tmp_path: Path) -> None:
    result = run(table, tmp_path / "features")
    assert result.exit_code == 0, result.output
    assert "6 clips (2 negative, 2 positive, 2 surprise)" in result.output
    (found,) = find_databases(tmp_path / "features")
    assert (found.name, found.path.name) == ("MINE", "MINE.tgsr.npz")
    assert load_features(found.path).parameters["size"] == 64


def test_run_again_it_takes_the_cache_and_gives_the_same_file(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "MINE.tgsr.npz"
    first = run(table, out)
    again = run(table, out)
    assert "0 of them from the cache" in first.output
    assert "6 of them from the cache" in again.output
    assert first.output.splitlines()[-1] == again.output.splitlines()[-1]
    assert "0 of them from the cache" in run(table, out, "--no-cache").output


def test_skipped_clips_are_listed_and_are_no_failure(table: Path, tmp_path: Path) -> None:
    frame = table.parent / "clip3" / "img9.png"
    frame.write_bytes(b"")
    result = run(table, tmp_path / "MINE.tgsr.npz")
    assert result.exit_code == 0, result.output
    assert "skipped 1 clips" in result.output
    assert str(frame) in result.output
    assert len(load_features(tmp_path / "MINE.tgsr.npz")) == 5


def test_strict_fails_and_leaves_the_old_file(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "MINE.tgsr.npz"
    run(table, out)
    before = out.read_bytes()
    (table.parent / "clip3" / "img9.png").write_bytes(b"")
    result = run(table, out, "--strict")
    assert result.exit_code == 1
    assert "Error: 1 clips were skipped" in result.output
    assert out.read_bytes() == before


def drawn_face(lift: int) -> np.ndarray:
    """A blurred drawing that the cascade takes for a face; ``lift`` raises the brows by pixels."""
    image = np.full((240, 320), 60, np.uint8)
    shapes = [(0, 0, 62, 82, 190), (0, 10, 7, 22, 210), (0, 50, 24, 7, 100)]
    for side in (-1, 1):
        shapes += [(26 * side, -18, 15, 6, 70), (26 * side, -32 - lift, 18, 4, 80), (8 * side, 28, 5, 4, 120)]
    for x, y, half_width, half_height, grey in shapes:
        cv2.ellipse(image, (160 + x, 120 + y), (half_width, half_height), 0, 0, 360, grey, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.5), dtype=np.uint8)


def test_raw_clips_are_cropped_to_the_face_and_reported_without_one(table: Path, tmp_path: Path) -> None:
    folder = table.parent / "raw"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"image{number}.png"), drawn_face(number))
    table.write_text("clip,label,subject,cropped\nraw,positive,s1,no\nclip0,negative,s1,no\nclip1,negative,s1,yes\n")
    result = run(table, tmp_path / "MINE.tgsr.npz")
    assert result.exit_code == 0, result.output
    assert "clip0: no face was found" in result.output
    dataset = load_features(tmp_path / "MINE.tgsr.npz")
    assert dataset.sample_ids.tolist() == ["raw", "clip1"]
    frames = load_clip(folder)
    top, left, bottom, right = find_face(frames[0])
    faces = [frame[top:bottom, left:right] for frame in frames]
    np.testing.assert_array_equal(dataset.features[0], clip_features(faces, ExtractionSettings(n_frames=8, size=64)))


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--radii", "3", "3", "9"], "radii"), (["--size", "5"], "radii"), (["--crop", "face"], "no face")],
)
def test_what_cannot_work_is_an_error_and_writes_nothing(
    table: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    result = run(table, tmp_path / "features", *options)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "features").exists()


def test_a_name_that_is_no_feature_file_is_refused(table: Path, tmp_path: Path) -> None:
    result = run(table, tmp_path / "features.csv")
    assert result.exit_code == 2
    assert ".tgsr.npz" in result.output


def test_a_file_in_the_way_is_an_error_that_names_it(table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run(table, tmp_path / "file" / "MINE.tgsr.npz")
    assert result.exit_code == 1
    assert "MINE.tgsr.npz: cannot be written" in result.output
