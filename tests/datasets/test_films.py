"""Videos, and files of several pictures: all frames count, in their order, or one line says why not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from films import pictures, write_pictures, write_video
from PIL import Image

from tgsr.cli import cli
from tgsr.datasets import load_clips
from tgsr.datasets.clips import Clip, read_frames, read_images, read_video
from tgsr.errors import DataError, TgsrError
from tgsr.features.extraction import load_clip


def write_film(path: Path, drawn: list[np.ndarray], **options: Any) -> Path:
    """Several pictures in one file, losslessly: a TIFF, GIF, PNG or WebP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (Image.fromarray(picture) for picture in drawn)
    if path.suffix == ".webp":
        first, others, options = (
            first.convert("RGB"),
            [one.convert("RGB") for one in others],
            {"lossless": True, **options},
        )
    first.save(path, save_all=True, append_images=others, **options)
    return path


def extract(root: Path, out: Path, *more: str) -> Any:
    arguments = ["features", "--database", "m", "--root", str(root), "--out", str(out), "--crop", "none", "--jobs", "1"]
    return CliRunner().invoke(cli, [*arguments, *more])


FILMS = (".tif", ".tiff", ".gif", ".png", ".webp")


@pytest.mark.parametrize("suffix", FILMS)
def test_all_pictures_of_a_file_are_frames(tmp_path: Path, suffix: str) -> None:
    drawn = pictures(12)
    path = write_film(tmp_path / f"film{suffix}", drawn)
    assert np.abs(np.array(load_clip(path)).astype(int) - drawn).max() <= 1
    (clip,) = load_clips("m", tmp_path).clips
    np.testing.assert_array_equal(read_frames(clip), load_clip(path))


@pytest.mark.parametrize("suffix", FILMS)
def test_several_such_files_of_a_folder_are_one_clip_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    drawn = pictures(21)
    for part, start in ((2, 8), (10, 16), (1, 0)):  # not the order of their names as text; the last has five
        write_film(tmp_path / "clips" / f"part{part}{suffix}", drawn[start : start + 8])
    collection = load_clips("m", tmp_path)
    assert np.abs(np.array(read_frames(collection.clips[0])).astype(int) - drawn).max() <= 1
    assert any(
        "3 files of several pictures are one clip; if each is one, list them" in note for note in collection.notes
    )


@pytest.mark.parametrize("suffix", FILMS)
def test_films_that_are_not_numbered_are_a_clip_each(tmp_path: Path, suffix: str) -> None:
    for seed, name in enumerate(("anna_joy_1", "ben_anger_7")):
        write_film(tmp_path / f"{name}{suffix}", pictures(5, seed=seed))
    clips = load_clips("m", tmp_path).clips
    assert [(clip.id, len(read_frames(clip))) for clip in clips] == [
        (f"anna_joy_1{suffix}", 5),
        (f"ben_anger_7{suffix}", 5),
    ]


@pytest.mark.parametrize("suffix", FILMS)
def test_onset_and_offset_count_the_pictures_of_a_film(tmp_path: Path, suffix: str) -> None:
    drawn = pictures(20)
    write_film(tmp_path / f"one{suffix}", drawn)
    write_film(tmp_path / "two" / f"1{suffix}", drawn[:10])
    write_film(tmp_path / "two" / f"2{suffix}", drawn[10:])
    rows = f"one{suffix},negative,5,12\ntwo,positive,5,12\ntwo,positive,15,21\none{suffix},surprise,,3\n"
    (tmp_path / "clips.csv").write_text(f"clip,label,onset,offset\n{rows}")
    one, two, beyond, start = load_clips("m", tmp_path).clips
    np.testing.assert_array_equal(read_frames(one), load_clip(tmp_path / f"one{suffix}")[4:12])
    np.testing.assert_array_equal(read_frames(two), read_frames(one))
    assert len(read_frames(start)) == 3
    with pytest.raises(DataError, match="onset 15 to offset 21 is not within its 20 pictures"):
        read_frames(beyond)


def test_pictures_among_single_ones_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "clip", pictures(3), "img{}.tif")
    write_film(tmp_path / "clip" / "img4.tif", pictures(3))
    with pytest.raises(DataError, match=r"img4\.tif: 3 pictures, but the clip's first file has one"):
        load_clip(tmp_path / "clip")
    (tmp_path / "img1.tif").write_bytes((tmp_path / "clip" / "img1.tif").read_bytes())
    with pytest.raises(DataError, match=r"img1\.tif: 1 frame"):
        load_clip(tmp_path / "img1.tif")


def test_a_second_picture_that_is_no_frame_is_left_out(tmp_path: Path) -> None:
    """A telephone's JPEG has a smaller one behind it, a TIFF copies of its pages, a PNG one for old programs."""
    drawn = pictures(4)
    Image.fromarray(drawn[0]).save(tmp_path / "1.jpg", "MPO", save_all=True, append_images=[Image.fromarray(drawn[1])])
    assert len(read_images(tmp_path / "1.jpg")) == 1
    images = [Image.fromarray(picture) for picture in drawn]
    images[1].encoderinfo = {"tiffinfo": {254: 1}}
    images[0].save(tmp_path / "2.tif", save_all=True, append_images=images[1:])
    np.testing.assert_array_equal(read_images(tmp_path / "2.tif"), [drawn[0], drawn[2], drawn[3]])
    write_film(tmp_path / "3.png", drawn, default_image=True)
    np.testing.assert_array_equal(read_images(tmp_path / "3.png"), drawn[1:])


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png", ".webp"])
def test_a_film_that_is_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    path = write_film(tmp_path / f"film{suffix}", pictures(8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(TgsrError, match=str(path)):
        load_clip(path)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_pictures_shown_for_different_times_are_said(tmp_path: Path, suffix: str) -> None:
    write_film(tmp_path / f"even{suffix}", pictures(6), duration=40)
    write_film(tmp_path / f"uneven{suffix}", pictures(6), duration=[40, 40, 40, 200, 200, 200])
    result = extract(tmp_path, tmp_path / "out")
    assert f"uneven{suffix}: the frame rate varies, 40 to 200 ms a frame" in result.output
    assert f"/even{suffix}: " not in result.output


@pytest.mark.parametrize("suffix", [".tif", ".png", ".pgm", ".jp2"])
def test_pictures_of_more_than_8_bits_are_refused(tmp_path: Path, suffix: str) -> None:
    write_pictures(tmp_path / "c", [one.astype(np.uint16) * 16 for one in pictures(3)], f"{{}}{suffix}")
    with pytest.raises(DataError, match="more than 8 bits"):
        load_clip(tmp_path / "c")


def test_deep_pages_of_a_film_are_refused(tmp_path: Path) -> None:
    drawn = pictures(3)
    write_film(tmp_path / "deep.tif", [one.astype(np.uint16) * 16 for one in drawn])
    write_film(tmp_path / "real.tif", [one.astype(np.float32) / 255 for one in drawn])
    write_film(tmp_path / "mixed.tif", [drawn[0], drawn[1].astype(np.uint16) * 16])
    for name in ("deep", "real", "mixed"):
        with pytest.raises(DataError, match=rf"{name}\.tif: an image of more than 8 bits"):
            load_clip(tmp_path / f"{name}.tif")


@pytest.mark.parametrize(("code", "suffix"), [("FFV1", ".mkv"), ("FFV1", ".avi"), ("PNG ", ".mkv")])
def test_videos_of_more_than_8_bits_are_refused_and_others_read(tmp_path: Path, code: str, suffix: str) -> None:
    deep = write_video(tmp_path / f"deep{suffix}", pictures(), code, deep=True)
    flat = write_video(tmp_path / f"flat{suffix}", pictures(), code)
    np.testing.assert_array_equal(read_video(flat), pictures())
    with pytest.raises(DataError, match=rf"{deep}: a video of more than 8 bits"):
        read_video(deep)


READABLE = (
    "avi",
    "MTS",
    "m2ts",
    "3gp",
    "3g2",
    "flv",
    "F4V",
    "ogv",
    "ts",
    "vob",
    "asf",
    "mxf",
    "mjpeg",
    "m4v",
    "divx",
    "qt",
    "tod",
)


@pytest.mark.parametrize("suffix", READABLE)
def test_videos_of_every_known_ending_are_clips(tmp_path: Path, suffix: str) -> None:
    video = write_video(tmp_path / "a.avi", pictures())
    path = video.rename(tmp_path / "clips" / f"b.{suffix}") if (tmp_path / "clips").mkdir() is None else video
    (clip,) = load_clips("m", path.parent).clips
    assert (clip.id, len(read_frames(clip))) == (path.name, 10)


@pytest.mark.parametrize("suffix", ["webp", "gif", "jp2", "ppm", "pbm", "tga", "jpe", "jfif", "dib", "avif", "PNG"])
def test_folders_of_every_known_kind_of_picture_are_clips(tmp_path: Path, suffix: str) -> None:
    kind = {"pbm": "PPM", "jpe": "JPEG", "jfif": "JPEG", "jp2": "JPEG2000"}.get(suffix)
    (tmp_path / "clip").mkdir()
    for number, picture in enumerate(pictures(4)):
        Image.fromarray(picture).save(tmp_path / "clip" / f"{number}.{suffix}", kind)
    (clip,) = load_clips("m", tmp_path).clips
    assert np.abs(np.array(read_frames(clip)).astype(int) - pictures(4)).mean() < 4


@pytest.mark.parametrize("name", ["IMG_1.heic", "take.cine", "take.R3D", "1.exr", "clip/1.cr2", "clip/1.svg"])
def test_pictures_and_films_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path / "in" / "good", pictures())
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "in" / name).write_bytes(b"something")
    result = extract(tmp_path / "in", tmp_path / "out", "--strict")
    assert result.exit_code == 1
    assert f"{name}: pictures or films of a kind that cannot be read (1 files); convert them" in result.output


def test_every_other_file_is_named_in_a_note(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "good", pictures())
    for name in ("notes.txt", "deep/er/take.xyz", "good/labels.json"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "in" / name).write_text("text")
    result = extract(tmp_path / "in", tmp_path / "out", "--strict")
    assert result.exit_code == 0, result.output
    for name in ("notes.txt", "take.xyz", "labels.json"):
        assert f"passed over {name}" in result.output


def box(data: bytearray, name: bytes) -> int:
    """Where the content of an MP4's box begins."""
    return data.index(name) + 4


def trim(data: bytearray) -> bytearray:
    """Show the second half only, as telephones do and ``ffmpeg -ss … -c copy``."""
    (scale,) = struct.unpack(">I", data[box(data, b"mdhd") + 12 :][:4])
    at = box(data, b"elst") + 8
    (duration,) = struct.unpack(">I", data[at : at + 4])
    data[at : at + 8] = struct.pack(">Ii", duration // 2, scale * 20 // 25 // 2)
    return data


def slow_down(data: bytearray) -> bytearray:
    """Show the second half of the frames for five times as long."""
    at = box(data, b"stts") - 8
    count, length = struct.unpack(">II", data[at + 16 : at + 24])
    table = struct.pack(">I4sIIIIII", 32, b"stts", 0, 2, count // 2, length, count - count // 2, 5 * length)
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = box(data, parent) - 8
        data[start : start + 4] = struct.pack(">I", struct.unpack(">I", data[start : start + 4])[0] + 8)
    data = data[:at] + table + data[at + 24 :]
    edits, media = box(data, b"edts"), box(data, b"mdhd") + 16
    data[edits - 4 : edits] = b"free"
    data[media : media + 4] = struct.pack(">I", 3 * struct.unpack(">I", data[media : media + 4])[0])
    return data


def alter(path: Path, change: Callable[[bytearray], bytearray]) -> Path:
    path.write_bytes(bytes(change(bytearray(path.read_bytes()))))
    return path


def test_frames_that_an_edit_list_hides_are_not_used_and_that_is_said(tmp_path: Path) -> None:
    whole = read_video(write_video(tmp_path / "whole.mp4", pictures(20), "mp4v"))
    path = alter(write_video(tmp_path / "trimmed.mp4", pictures(20), "mp4v"), trim)
    notes: list[str] = []
    np.testing.assert_array_equal(read_video(path, notes=notes), whole[10:])
    assert notes == ["its edit list shows 10 of its 20 frames; the others are not used"]
    np.testing.assert_array_equal(read_video(path, 3, 6), whole[12:16])
    with pytest.raises(
        DataError, match=r"onset 3 to offset 15 is not within the 10 frames .* edit list shows 10 of its 20"
    ):
        read_video(path, 3, 15)


def test_a_video_that_is_cut_off_is_no_edit_list(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", pictures(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="frames can be read; the video is cut off or damaged"):
        read_video(path)


def test_a_frame_rate_that_varies_is_said_also_from_the_cache(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "even.mp4", pictures(20), "mp4v")
    path = alter(write_video(tmp_path / "in" / "phone.mp4", pictures(20, seed=1), "mp4v"), slow_down)
    said = f"note: {path}: the frame rate varies, 40 to 200 ms a frame; they are taken as evenly spaced"
    for cached in (0, 2):
        result = extract(tmp_path / "in", tmp_path / "out", "--cache", str(tmp_path / "cache"))
        assert f"{cached} of them from the cache" in result.output
        assert [line for line in result.output.splitlines() if "frame rate" in line] == [said]


def test_what_is_said_of_a_single_clip_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = alter(write_video(tmp_path / "phone.mp4", pictures(20), "mp4v"), slow_down)
    load_clip(path)
    assert caplog.messages == [f"{path}: the frame rate varies, 40 to 200 ms a frame; they are taken as evenly spaced"]


def test_only_the_frames_between_onset_and_offset_are_asked_for_their_times(tmp_path: Path) -> None:
    path = alter(write_video(tmp_path / "phone.mp4", pictures(20), "mp4v"), slow_down)
    notes: list[str] = []
    read_frames(Clip("a", "m", None, None, video=path, onset=2, offset=9), notes)
    assert notes == []
