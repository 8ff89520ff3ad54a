"""Video files as grey 8-bit frames."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from tgsr.datasets._decoders import MOST_FRAMES, MOST_PIXELS, MOST_VALUES, damage, decoder_messages, uneven_times
from tgsr.datasets._images import Image
from tgsr.errors import DataError, MissingDataError

__all__ = ["VIDEO_SUFFIXES", "read_video"]

_ENDINGS = (
    "264 265 3g2 3gp amv asf avi divx dv f4v flc fli flv gxf h264 h265 hevc insv ivf lrv m1v m2t m2ts m2v "
    "m4v mj2 mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nut ogg ogm ogv qt rm rmvb tod trp ts "
    "vob webm wmv wtv y4m"
)
VIDEO_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())

_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# FFmpeg's codes of grey or RGB of more than 8 bits, whose values need not fill the range; YUV from cameras does
_DEEP = re.compile(
    rb"(Y[12]|G[34])\0[\x09-\x10]|[\x09-\x10]\0([12]Y|[34]G)|(RGB|BGR)0|0(RGB|BGR)|(RBA|BRA)@|@(RBA|BRA)"
)


def read_video(path: Path, first: int = 1, last: int | None = None, notes: list[str] | None = None) -> list[Image]:
    """Read frames ``first`` to ``last`` (counted from 1, both included; by default all) of a video as grey images.

    ``notes`` takes remarks: on a frame rate that varies, on frames that are there and not shown. A file that is not
    there is a `MissingDataError`; one that cannot be opened, is damaged, has no such frames or too many, has grey or
    RGB values of more than 8 bits, or ends well before the number of frames that it announces, a `DataError`.
    """
    import cv2

    if not path.is_file():
        raise MissingDataError(f"{path}: no such video")
    if not 1 <= first <= (first if last is None else last):
        raise DataError(f"{path}: onset {first} to offset {last} is no range of frames; they are counted from 1")
    with decoder_messages() as messages:
        capture = cv2.VideoCapture(str(path))
        try:
            if not capture.isOpened():
                reason = f" ({said})" if (said := damage(messages())) else ""
                raise DataError(f"{path}: not a readable video{reason}; convert it, or give a folder of frames")
            opened = len(messages())
            frames, number, times = _read(capture, path, first, last)
            announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        except cv2.error as error:
            raise DataError(f"{path}: the video cannot be decoded ({error.err})") from error
        finally:
            capture.release()
        said = damage(messages()[opened:])
        # containers without an index only estimate their number of frames, hence the tolerance
        expected = announced - max(2, announced // 20)
        hidden = number < expected and (last is None or number < last) and _count_all(path) >= expected
    remarks = [remark] if (remark := uneven_times(times)) else []
    if hidden:
        remarks.append(f"its edit list shows {number} of its {announced} frames; the others are not used")
    if last is not None and number < last:
        raise DataError(
            f"{path}: onset {first} to offset {last} is not within the {number} frames that can be read"
            + (f" ({remarks[-1]})" if hidden else "")
        )
    if last is None and not hidden and (not frames or number < expected):
        raise DataError(f"{path}: only {number} of {announced} frames can be read; the video is cut off or damaged")
    if said:
        raise DataError(f"{path}: the video is damaged ({said}); restore it or remove the clip")
    if notes is not None:
        notes += remarks
    return frames


def _read(capture: Any, path: Path, first: int, last: int | None) -> tuple[list[Image], int, list[float]]:
    """The frames, how many were passed until then, and the frames' times in milliseconds."""
    import cv2

    size, kind = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT), cv2.CAP_PROP_CODEC_PIXEL_FORMAT
    pixels = int(np.prod([capture.get(side) for side in size]))
    if pixels > MOST_PIXELS:
        raise DataError(f"{path}: frames of {pixels} pixels; make the video smaller (at most {MOST_PIXELS})")
    if _DEEP.fullmatch((int(capture.get(kind)) & 0xFFFFFFFF).to_bytes(4, "little")):
        raise DataError(f"{path}: a video of more than 8 bits; convert it to 8 bits")
    frames: list[Image] = []
    times: list[float] = []
    number = 0
    while (last is None or number < last) and capture.grab():
        number += 1
        if number < first:
            continue
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        frames.append(np.asarray(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY), dtype=np.uint8))
        if len(frames) > min(MOST_FRAMES, MOST_VALUES // max(pixels, 1)):
            raise DataError(f"{path}: more than {len(frames) - 1} frames; cut the clip out, or give onset and offset")
    return frames, number, times


def _count_all(path: Path) -> int:
    """The frames of a video with those that its edit list hides: telephones trim so, and FFmpeg without re-encoding."""
    import cv2

    before = os.environ.get(_FFMPEG_OPTIONS)
    os.environ[_FFMPEG_OPTIONS] = "ignore_editlist;1"
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        number = 0
        while capture.grab():
            number += 1
        capture.release()
        return number
    finally:
        del os.environ[_FFMPEG_OPTIONS]
        if before is not None:
            os.environ[_FFMPEG_OPTIONS] = before
