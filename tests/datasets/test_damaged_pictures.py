"""Files that decoders read in spite of damage are named and left out, never used."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from films import pictures, write_pictures, write_video
from PIL import Image

from tgsr.cli import cli
from tgsr.datasets._decoders import damage, decoder_messages
from tgsr.datasets.clips import read_image, read_video
from tgsr.errors import DataError

Damage = Callable[[bytes], bytes]


def zeros(data: bytes) -> bytes:
    """A block of zeros, as a failing disk or a download in parts leaves."""
    middle, length = len(data) // 2, len(data) // 4
    return data[:middle] + bytes(length) + data[middle + length :]


def cut_and_closed(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10] + b"\xff\xd9"


def cut(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]


def short_rows(data: bytes) -> bytes:
    """A PNG whose checksums are right, of half the rows that its header states."""
    start = data.index(b"IDAT")
    rows = zlib.decompress(data[start + 4 : start + 4 + struct.unpack(">I", data[start - 4 : start])[0]])
    body = b"IDAT" + zlib.compress(rows[: len(rows) // 2])
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[: start - 4] + chunk + data[-12:]


def jpeg(picture: np.ndarray, *parameters: int) -> bytes:
    return cv2.imencode(".jpg", picture, parameters)[1].tobytes()


def saved(picture: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


CASES: dict[str, tuple[str, Callable[[np.ndarray], bytes], Damage]] = {
    "JPEG, zeros": (".jpg", jpeg, zeros),
    "JPEG, cut and closed": (".jpg", jpeg, cut_and_closed),
    "JPEG, cut": (".jpg", jpeg, cut),
    "JPEG, flipped": (".jpg", jpeg, flipped),
    "JPEG in colour, zeros": (".jpeg", lambda one: jpeg(np.dstack([one, one // 2, one])), zeros),
    "progressive JPEG, zeros": (".jpg", lambda one: jpeg(one, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), zeros),
    "JPEG, few zeros": (".jpg", jpeg, lambda data: data[:900] + bytes(90) + data[990:]),
    "JPEG with restarts, zeros": (".jpg", lambda one: jpeg(one, cv2.IMWRITE_JPEG_RST_INTERVAL, 4), zeros),
    "optimised JPEG, zeros": (".jpg", lambda one: saved(one, "JPEG", optimize=True), zeros),
    "JPEG called PNG, zeros": (".png", jpeg, zeros),
    "PNG, zeros": (".png", lambda one: saved(one, "PNG"), zeros),
    "PNG, flipped": (".png", lambda one: saved(one, "PNG"), flipped),
    "PNG, half the rows": (".png", lambda one: saved(one, "PNG"), short_rows),
    "BMP, cut": (".bmp", lambda one: saved(one, "BMP"), cut),
    "PGM, cut": (".pgm", lambda one: saved(one, "PPM"), cut),
    "GIF, zeros": (".gif", lambda one: saved(one, "GIF"), zeros),
    "GIF, cut": (".gif", lambda one: saved(one, "GIF"), cut),
    "WebP, cut": (".webp", lambda one: saved(one, "WEBP"), cut),
    "TIFF, cut": (".tif", lambda one: saved(one, "TIFF"), cut),
    "TIFF by LZW, zeros": (".tiff", lambda one: saved(one, "TIFF", compression="tiff_lzw"), zeros),
    "TIFF by deflate, flipped": (".tif", lambda one: saved(one, "TIFF", compression="tiff_adobe_deflate"), flipped),
    "JPEG 2000, cut": (".jp2", lambda one: saved(one, "JPEG2000"), cut),
}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_picture_is_named_and_a_whole_one_read(tmp_path: Path, case: str) -> None:
    suffix, encode, harm = CASES[case]
    (picture,) = pictures(1)
    whole, damaged = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    whole.write_bytes(encode(picture))
    damaged.write_bytes(harm(encode(picture)))
    assert np.abs(read_image(whole).astype(int) - picture).mean() < (60 if "colour" in case else 5)
    with pytest.raises(DataError, match=str(damaged)) as caught:
        read_image(damaged)
    assert "\n" not in str(caught.value)


def test_flat_areas_are_no_damage(tmp_path: Path) -> None:
    picture = np.zeros((900, 900), np.uint8)
    picture[:64, :64] = pictures(1)[0]
    (tmp_path / "1.jpg").write_bytes(jpeg(picture, cv2.IMWRITE_JPEG_OPTIMIZE, 1))
    assert bytes(100) in (tmp_path / "1.jpg").read_bytes()
    assert np.abs(read_image(tmp_path / "1.jpg").astype(int) - picture).mean() < 1


def test_a_damaged_frame_leaves_its_clip_out_and_fails_the_strict(tmp_path: Path) -> None:
    for name in ("good", "hole"):
        write_pictures(tmp_path / "in" / name, pictures(), "{}.jpg")
    frame = tmp_path / "in" / "hole" / "8.jpg"
    frame.write_bytes(zeros(frame.read_bytes()))
    arguments = ["features", "--database", "m", "--root", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    arguments += ["--crop", "none", "--no-cache", "--jobs", "1"]
    lenient, strict = CliRunner().invoke(cli, arguments), CliRunner().invoke(cli, [*arguments, "--strict"])
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert "m: 1 clips" in lenient.output
    for output in (lenient.output, strict.output):
        assert f"hole: {frame}: the image is damaged (Corrupt JPEG data" in output


@pytest.mark.parametrize(("code", "suffix"), [("MJPG", ".avi"), ("mp4v", ".mp4"), ("FFV1", ".mkv"), ("FLV1", ".flv")])
def test_a_video_that_is_decoded_in_spite_of_damage_is_named(tmp_path: Path, code: str, suffix: str) -> None:
    path = write_video(tmp_path / f"v{suffix}", pictures(30, 128), code)
    assert len(read_video(path)) == 30
    data = bytearray(path.read_bytes())
    start = len(data) // 2
    data[start : start + 24] = bytes(byte ^ 0xFF for byte in data[start : start + 24])
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=rf"{path}: .*(damaged|cut off)"):
        read_video(path)


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ("Corrupt JPEG data: premature end of data segment", True),
        ("Corrupt JPEG data: 363 extraneous bytes before marker 0xd2", True),
        ("Corrupt JPEG data: 2 extraneous bytes before marker 0xd9", False),  # webcams' JPEGs are padded so
        ("[mjpeg @ 0x55995b81e700] overread 8", True),
        ("[mjpeg @ 0x55995b81e700] unable to decode APP fields: Invalid data found", False),
        ("[ WARN:0@0.2] global cap.cpp:1 some advice", False),
        ("a line of another library", False),
    ],
)
def test_what_decoders_say_is_told_apart(said: str, counts: bool) -> None:
    assert bool(damage(f"{said}\n")) == counts
    assert "@ 0x" not in damage(said)


def test_what_others_write_meanwhile_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder_messages() as messages:
        os.write(2, b"Corrupt JPEG data: bad Huffman code\na warning of another thread\n")
        assert "bad Huffman code" in messages()
    assert capfd.readouterr().err == "a warning of another thread\n"


@pytest.mark.skipif(sys.platform == "win32", reason="closes standard error as a shell does")
def test_a_process_without_standard_error_reads_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path, pictures(1), "{}.jpg")
    read = f"read_image(Path({str(tmp_path)!r}, '1.jpg'))"
    code = f"from pathlib import Path; from tgsr.datasets.clips import read_image; {read}"
    assert subprocess.run(f'exec 2>&-; exec "{sys.executable}" -c "{code}"', shell=True, check=False).returncode == 0
