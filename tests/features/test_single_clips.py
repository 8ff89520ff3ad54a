"""Reading single clips: whatever is wrong with a file is a typed error that names it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tgsr.datasets import _videos
from tgsr.datasets.clips import Clip, frame_files, read_frames, read_image, read_video
from tgsr.errors import DataError, MissingDataError, TgsrError
from tgsr.features.extraction import load_clip

WriteFrames = Callable[..., list[Path]]


def write_video(path: Path, n_frames: int = 12) -> list[np.ndarray]:
    """Write a motion-JPEG video of a smooth drifting texture; give its frames."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((64, 80 + n_frames)), (0, 0), 6)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = [texture[:, n : n + 80] for n in range(n_frames)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (80, 64))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return frames


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tiff", ".pgm"])
def test_frames_are_read_grey_and_in_numeric_order(tmp_path: Path, write_frames: WriteFrames, suffix: str) -> None:
    paths = write_frames(tmp_path / "clip", suffix=suffix)
    frames = load_clip(tmp_path / "clip")
    assert [(frame.shape, frame.dtype) for frame in frames] == [((40, 40), np.uint8)] * 5
    for frame, path in zip(frames, paths, strict=True):
        np.testing.assert_array_equal(frame, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def test_colour_becomes_grey(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), image)
    grey = read_image(tmp_path / "1.png")
    assert abs(grey.astype(int) - cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
def test_more_than_8_bits_are_refused(tmp_path: Path, write_frames: WriteFrames, suffix: str) -> None:
    paths = write_frames(tmp_path / "clip", suffix=suffix)
    deep = cv2.imread(str(paths[2]), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
    cv2.imwrite(str(paths[2]), deep)
    with pytest.raises(DataError, match=rf"{paths[2]}: an image of more than 8 bits; convert"):
        load_clip(tmp_path / "clip")


@pytest.mark.parametrize("name", ["img12 (1).png", "img12_copy2.png", "other13.png"])
def test_a_frame_called_unlike_the_others_is_refused(tmp_path: Path, write_frames: WriteFrames, name: str) -> None:
    paths = write_frames(tmp_path / "clip")
    (tmp_path / "clip" / name).write_bytes(paths[0].read_bytes())
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'clip' / name}: its name is unlike")):
        load_clip(tmp_path / "clip")


def test_hidden_and_other_files_are_no_frames(tmp_path: Path, write_frames: WriteFrames) -> None:
    paths = write_frames(tmp_path / "clip")
    for name in ("Thumbs.db", "notes.txt", "._img8.png", ".DS_Store"):
        (tmp_path / "clip" / name).write_bytes(b"x")
    (tmp_path / "clip" / "sub9.png").mkdir()
    frames, strays = frame_files(tmp_path / "clip")
    assert frames == tuple(paths)
    assert {path.name for path in strays} == {"Thumbs.db", "notes.txt", "._img8.png", ".DS_Store", "sub9.png"}


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def blank(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((40, 40), np.uint8))


def other_size(path: Path) -> None:
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 41), dtype=np.uint8))


def huge_header(path: Path) -> None:
    """A PNG whose header asks for 2^31 - 1 pixels a side."""
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    path.write_bytes(data)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no bytes": (".png", lambda path: path.write_bytes(b"")),
    "PNG cut": (".png", lambda path: cut(path, 0.5)),
    "PNG without its end": (".png", lambda path: cut(path, 0.99)),
    "JPEG cut": (".jpg", lambda path: cut(path, 0.6)),
    "JPEG header only": (".jpg", lambda path: path.write_bytes(path.read_bytes()[:20])),
    "BMP cut": (".bmp", lambda path: cut(path, 0.7)),
    "BMP header only": (".bmp", lambda path: path.write_bytes(path.read_bytes()[:30])),
    "text under an image's name": (".jpg", lambda path: path.write_text("not an image")),
    "a web page under an image's name": (".png", lambda path: path.write_text("<html>404</html>")),
    "PNG altered in the middle": (".png", alter),
    "zeros": (".bmp", lambda path: path.write_bytes(bytes(5000))),
    "absurd size": (".png", huge_header),
    "black": (".png", blank),
    "another size": (".png", other_size),
    "gone": (".png", lambda path: path.unlink()),
    "a dangling link": (".png", lambda path: (path.unlink(), path.symlink_to("nowhere.png"))),
    "a folder": (".png", lambda path: (path.unlink(), path.mkdir())),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_frame_is_an_error_that_names_it(tmp_path: Path, write_frames: WriteFrames, damage: str) -> None:
    suffix, apply = DAMAGES[damage]
    paths = write_frames(tmp_path / "clip", suffix=suffix)
    apply(paths[2])
    with pytest.raises(TgsrError, match=str(paths[2])):
        read_frames(Clip("clip", "MINE", "s1", "positive", tuple(paths)))


def test_an_unreadable_frame_is_an_error_that_names_it(tmp_path: Path, write_frames: WriteFrames) -> None:
    paths = write_frames(tmp_path / "clip")
    paths[1].chmod(0)
    if os.access(paths[1], os.R_OK):
        pytest.skip("run as a user whom permissions bind")
    with pytest.raises(DataError, match=str(paths[1])):
        load_clip(tmp_path / "clip")


@pytest.mark.parametrize("n_frames", [0, 1])
def test_fewer_than_two_frames_are_an_error(tmp_path: Path, write_frames: WriteFrames, n_frames: int) -> None:
    write_frames(tmp_path / "clip", n_frames=n_frames)
    with pytest.raises(TgsrError, match=str(tmp_path / "clip")):
        load_clip(tmp_path / "clip")


@pytest.mark.parametrize("name", ["first.png", "img09.png", "img9.jpg"])
def test_frames_without_a_clear_order_are_an_error(tmp_path: Path, write_frames: WriteFrames, name: str) -> None:
    paths = write_frames(tmp_path / "clip")
    (tmp_path / "clip" / name).write_bytes(paths[0].read_bytes())
    with pytest.raises(DataError, match="frame number"):
        load_clip(tmp_path / "clip")


def test_a_video_is_read_and_cut_to_its_frames(tmp_path: Path) -> None:
    expected = write_video(tmp_path / "clip.avi")
    frames = load_clip(tmp_path / "clip.avi")
    assert len(frames) == 12
    for frame, drawn in zip(frames, expected, strict=True):
        assert abs(frame.astype(int) - drawn).mean() < 3  # motion JPEG is lossy
    part = read_frames(Clip("clip", "MINE", None, "positive", video=tmp_path / "clip.avi", onset=4, offset=9))
    np.testing.assert_array_equal(part, frames[3:9])


@pytest.mark.parametrize(("onset", "offset"), [(4, 13), (0, 13), (9, 4), (5, 5)])
def test_a_range_outside_the_video_is_an_error(tmp_path: Path, onset: int, offset: int) -> None:
    write_video(tmp_path / "clip.avi")
    with pytest.raises(DataError, match=r"clip\.avi"):
        read_frames(Clip("clip", "MINE", None, "positive", video=tmp_path / "clip.avi", onset=onset, offset=offset))


def test_a_video_of_minutes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.avi")
    monkeypatch.setattr(_videos, "MOST_FRAMES", 10)
    with pytest.raises(DataError, match="more than 10 frames"):
        load_clip(tmp_path / "clip.avi")
    assert len(read_video(tmp_path / "clip.avi", 3, 12)) == 10


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_a_truncated_video_is_an_error_that_names_it(tmp_path: Path, share: float) -> None:
    write_video(tmp_path / "clip.avi")
    cut(tmp_path / "clip.avi", share)
    with pytest.raises(DataError, match=r"clip\.avi"):
        read_video(tmp_path / "clip.avi")


def test_a_video_of_something_else_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("not a video")
    with pytest.raises(DataError, match=r"clip\.mp4"):
        load_clip(tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["nothing", "nothing.avi"])
def test_a_clip_that_is_not_there_is_a_missing_data_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingDataError, match=name):
        load_clip(tmp_path / name)


def test_a_file_that_is_no_video_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("file 'clip.avi'")
    with pytest.raises(DataError, match=r"list\.txt: not a known kind of video"):
        load_clip(tmp_path / "list.txt")
