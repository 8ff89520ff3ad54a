"""Labelled clips as found on disk, and reading their frames.

Frames are read as grey 8-bit images. Whatever is wrong with a file is a `DataError` that names it: decoders would
rather return half a picture than say that a file is cut off, so that is looked for here.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError, MissingDataError
from tgsr.protocols import CLASS_NAMES

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipCollection",
    "Skipped",
    "frame_files",
    "frame_number",
    "read_frames",
    "read_image",
    "read_video",
]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".pgm", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})

Image = npt.NDArray[np.uint8]

_MOST_FRAMES = 5000  # a video of minutes is no clip of a micro-expression, and would fill the memory
_MOST_PIXELS = 2**24  # of a frame: twice that of 4K video
_MOST_IN_A_CLIP = 2**29


@dataclass(frozen=True)
class Clip:
    """One clip of a database, as found on disk: a folder's frames, or a video file."""

    id: str  # unique within the database, such as "sub01/EP02_01f"
    database: str
    subject: str | None  # who is seen, where known
    label: str | None  # class name, where known
    frames: tuple[Path, ...] = ()  # in their order, onset to offset only; empty when the clip is a video file
    video: Path | None = None
    # first and last frame that count, as the sheet numbers them: applied to ``frames`` already, to ``video`` (counted
    # from 1) by `read_frames`
    onset: int | None = None
    offset: int | None = None
    cropped: bool = True  # False for raw frames, in which the face is still to be found

    @property
    def path(self) -> Path:
        """What a message names: the video file, or the folder of the frames."""
        if self.video is not None:
            return self.video
        return self.frames[0].parent if self.frames else Path(self.id)


@dataclass(frozen=True)
class Skipped:
    """A clip that was found but cannot be used, the file or folder to look at, and why."""

    clip: str
    path: Path
    reason: str


@dataclass(frozen=True)
class ClipCollection:
    """The usable clips of a database, those that were skipped, and remarks for the user.

    ``generated``: whether they were drawn. ``label_map``: the protocol whose classes these are, ``"own"`` for a user's
    own map, empty where the labels are as found.
    """

    database: str
    clips: tuple[Clip, ...]
    skipped: tuple[Skipped, ...] = ()
    class_names: tuple[str, ...] = CLASS_NAMES
    notes: tuple[str, ...] = ()
    generated: bool = False
    label_map: str = ""


def frame_number(path: Path) -> int | None:
    """The number in a frame's name, such as 36237 in ``reg_image036237.bmp``: its last digits. None without any."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else None


def frame_files(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Frames of a folder in numeric order, and the files in it that are no frames (hidden, or another suffix).

    Raises
    ------
    MissingDataError
        If there is no such folder.
    DataError
        If an image has no number in its name, two have the same, or one is called unlike the others (a copy such as
        ``img60 (1).jpg``, whose number is 1): their order would be a guess.
    """
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder of frames")
    numbered: dict[int, Path] = {}
    strays = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
            strays.append(path)
            continue
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: neither a file nor a folder; remove it")  # reading a FIFO would wait for ever
        number = frame_number(path)
        if number is None:
            raise DataError(f"{path}: no frame number in its name; rename it (img12.jpg) or move it away")
        if number in numbered:
            raise DataError(f"{path}: same frame number as {numbered[number].name}; remove one of them")
        numbered[number] = path
    _check_names(list(numbered.values()))
    return tuple(numbered[number] for number in sorted(numbered)), tuple(strays)


def _check_names(frames: list[Path]) -> None:
    """Refuse a frame whose name without its number is not that of the clip's others."""
    patterns = [re.sub(r"\d+(?=\D*$)", "#", path.stem).lower() for path in frames]
    usual = Counter(patterns).most_common(1)
    for path, pattern in zip(frames, patterns, strict=True):
        if pattern != usual[0][0]:
            raise DataError(
                f"{path}: its name is unlike those of the clip's others ({usual[0][0]}, # being the frame number); "
                "rename it or move it away"
            )


def read_image(path: Path) -> Image:
    """Read one image file as grey, shape (height, width).

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is empty, truncated or no image, or has more than 8 bits a channel or 16 million pixels.
    """
    import cv2  # here and below: 0.15 s that most commands need not wait for

    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a file; remove it")
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror})") from error
    if _is_truncated(data):
        raise DataError(f"{path}: the image is empty or truncated; restore it or remove the clip")
    width, height = _declared_size(path, data)
    if width * height > _MOST_PIXELS:
        raise DataError(f"{path}: {width} × {height} pixels; make the frames smaller (at most {_MOST_PIXELS} pixels)")
    try:
        if _is_deep(data):
            raise DataError(f"{path}: an image of more than 8 bits; convert the clip to 8 bits, all frames alike")
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise DataError(f"{path}: the image cannot be decoded ({error.err})") from error
    if image is None:
        raise DataError(f"{path}: not a readable image; restore it or remove the clip")
    return np.asarray(image, dtype=np.uint8)


def read_video(path: Path, first: int = 1, last: int | None = None) -> list[Image]:
    """Read frames ``first`` to ``last`` (counted from 1, both included; by default all) of a video as grey images.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it cannot be opened, has no such frames or too many, or ends well before the number that it announces.
    """
    import cv2

    if not path.is_file():
        raise MissingDataError(f"{path}: no such video")
    if not 1 <= first <= (first if last is None else last):
        raise DataError(f"{path}: onset {first} to offset {last} is no range of frames; they are counted from 1")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise DataError(f"{path}: not a readable video; convert it, or give a folder of frames")
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        pixels = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if pixels > _MOST_PIXELS:
            raise DataError(f"{path}: frames of {pixels} pixels; make the video smaller (at most {_MOST_PIXELS})")
        frames: list[Image] = []
        number = 0
        while (last is None or number < last) and capture.grab():
            number += 1
            if number < first:
                continue
            frames.append(np.asarray(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY), dtype=np.uint8))
            if len(frames) > min(_MOST_FRAMES, _MOST_IN_A_CLIP // max(pixels, 1)):
                raise DataError(
                    f"{path}: more than {len(frames) - 1} frames; cut the clip out, or give onset and offset"
                )
    except cv2.error as error:
        raise DataError(f"{path}: the video cannot be decoded ({error.err})") from error
    finally:
        capture.release()
    if last is not None and number < last:
        raise DataError(f"{path}: onset {first} to offset {last} is not within the {number} frames that can be read")
    # containers without an index only estimate their number of frames, hence the tolerance
    if last is None and (not frames or number < announced - max(2, announced // 20)):
        raise DataError(f"{path}: only {number} of {announced} frames can be read; the video is truncated")
    return frames


def read_frames(clip: Clip) -> list[Image]:
    """Read the frames of a clip, grey, each of the same shape (height, width).

    Raises
    ------
    MissingDataError
        If a file is not there.
    DataError
        If a file cannot be read or shows one grey value only; if sizes are mixed; if there are fewer than two frames.
    """
    if clip.video is None:
        frames, names = _read_images(clip), [str(path) for path in clip.frames]
    else:
        first = 1 if clip.onset is None else clip.onset
        frames = read_video(clip.video, first, clip.offset)
        names = [f"{clip.video}, frame {number}" for number in range(first, first + len(frames))]
    if len(frames) < 2:
        raise DataError(f"{clip.path}: {len(frames)} frame(s) in clip {clip.id}; at least 2 are needed")
    for frame, name in zip(frames, names, strict=True):
        if frame.shape != frames[0].shape:
            raise DataError(
                f"{name}: {_size(frame)} pixels, but the clip's first frame has {_size(frames[0])}; "
                "all frames of a clip must have one size"
            )
        if frame.min() == frame.max():
            raise DataError(f"{name}: the frame is blank (every pixel is {frame.flat[0]})")
    return frames


def _read_images(clip: Clip) -> list[Image]:
    frames: list[Image] = []
    for path in clip.frames:
        frames.append(read_image(path))
        if len(clip.frames) > min(_MOST_FRAMES, _MOST_IN_A_CLIP // frames[0].size):
            n, pixels = len(clip.frames), frames[0].size
            raise DataError(
                f"{clip.path}: {n} frames of {pixels} pixels are too many for a clip; give onset and offset"
            )
    return frames


def _declared_size(path: Path, data: bytes) -> tuple[int, int]:
    """Width and height that an image's header states; its pixels are not decoded."""
    import warnings

    from PIL import Image as PillowImage

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes: they are looked at here
            with PillowImage.open(io.BytesIO(data)) as image:
                return image.size
    except PillowImage.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels ({error}); make the frames smaller") from error
    except Exception as error:  # Pillow's formats raise whatever their parsers raise on damaged headers
        raise DataError(f"{path}: not a readable image; restore it or remove the clip") from error


def _size(frame: Image) -> str:
    return f"{frame.shape[1]} × {frame.shape[0]}"


def _is_deep(data: bytes) -> bool:
    """Whether an image has more than 8 bits a channel: decoders drop the others, and with them most of a dark clip."""
    import cv2

    if data.startswith((b"\xff\xd8", b"BM")):  # what databases come in, and never deeper; decoded once only
        return False
    if data.startswith(b"\x89PNG"):
        return data[24:25] == b"\x10"
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image is not None and image.dtype != np.uint8


def _is_truncated(data: bytes) -> bool:
    """Whether an image file is empty or ends early, for the formats of the databases (BMP, JPEG, PNG)."""
    if data.startswith(b"\xff\xd8"):  # JPEG: the end marker must follow the last scan's start
        return data.rfind(b"\xff\xd9") < max(data.rfind(b"\xff\xda"), 2)
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(b"BM") and len(data) >= 54:
        start, width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (10, 18, 22))
        bits, compression = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
        stride = (width * bits + 31) // 32 * 4
        return compression == 0 and len(data) < start + stride * abs(height)
    return len(data) == 0
