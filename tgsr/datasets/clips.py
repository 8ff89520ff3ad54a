"""Labelled clips as found on disk, and reading their frames as grey 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tgsr.datasets._decoders import MOST_FRAMES, MOST_VALUES
from tgsr.datasets._frame_order import number_frames
from tgsr.datasets._images import IMAGE_SUFFIXES, Image, holds_several, read_image, read_images
from tgsr.datasets._videos import VIDEO_SUFFIXES, read_video
from tgsr.errors import DataError, MissingDataError
from tgsr.protocols import CLASS_NAMES

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipCollection",
    "Skipped",
    "frame_files",
    "is_film",
    "read_frames",
    "read_image",
    "read_images",
    "read_video",
]


@dataclass(frozen=True)
class Clip:
    """One clip of a database, as found on disk: a folder's frames, or a film (a video, files of several pictures)."""

    id: str  # unique within the database, such as "sub01/EP02_01f"
    database: str
    subject: str | None  # who is seen, where known
    label: str | None  # class name, where known
    frames: tuple[Path, ...] = ()  # image files in their order; empty when the clip is a video file
    video: Path | None = None
    # first and last frame that count, as the sheet numbers them: applied to the images of a folder already, to a film
    # (counted from 1) by `read_frames`
    onset: int | None = None
    offset: int | None = None
    cropped: bool | None = True  # False for raw frames, in which the face is still to be found; None if nothing says so

    @property
    def path(self) -> Path:
        """What a message names: the video or only image file, or the folder of the frames."""
        if self.video is not None:
            return self.video
        if len(self.frames) == 1:
            return self.frames[0]
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


def frame_files(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Frames of a folder in their order, and the files in it that are no frames (hidden, or another suffix).

    An order that is not clear is a `DataError`, see `tgsr.datasets._frame_order.number_frames`.
    """
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: no such folder of frames")
    frames, strays = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
            strays.append(path)
        elif path.exists() and not path.is_file():
            raise DataError(f"{path}: neither a file nor a folder; remove it")  # reading a FIFO would wait for ever
        else:
            frames.append(path)
    one_film = len(frames) == 1 and holds_several(frames[0])  # whatever it is called
    return tuple(frames if one_film else number_frames(frames)), tuple(strays)


def is_film(clip: Clip) -> bool:
    """Whether a clip is a video, or files of several pictures: its frames are then counted from 1."""
    return clip.video is not None or (len(clip.frames) > 0 and holds_several(clip.frames[0]))


def read_frames(clip: Clip, notes: list[str] | None = None) -> list[Image]:
    """Read the frames of a clip, grey, each of the same shape (height, width).

    ``notes`` takes remarks: on a frame rate that varies, on frames of a video that are not shown, on frames
    that are all the same. A file that is not
    there is a `MissingDataError`; one that cannot be read or shows one grey value only, mixed sizes, and fewer than two
    frames are a `DataError`.
    """
    if clip.video is None:
        frames, names = _read_files(clip, notes)
    else:
        first = 1 if clip.onset is None else clip.onset
        frames = read_video(clip.video, first, clip.offset, notes)
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
    if notes is not None and all((frame == frames[0]).all() for frame in frames):
        notes.append("all its frames are the same picture; nothing moves")
    return frames


def _read_files(clip: Clip, notes: list[str] | None) -> tuple[list[Image], list[str]]:
    """The pictures of a clip's image files, and what each is called."""
    frames: list[Image] = []
    names: list[str] = []
    film = is_film(clip)
    for path in clip.frames:
        images = read_images(path, notes)
        if len(images) > 1 and not film:
            raise DataError(f"{path}: {len(images)} pictures, but the clip's first file has one; divide it into frames")
        frames += images
        names += [f"{path}, picture {n}" for n in range(1, len(images) + 1)] if len(images) > 1 else [str(path)]
        n, pixels = max(len(clip.frames), len(frames)), frames[0].size
        if n > min(MOST_FRAMES, MOST_VALUES // pixels):
            raise DataError(
                f"{clip.path}: {n} frames of {pixels} pixels are too many for a clip; give onset and offset"
            )
    if not film or (clip.onset is None and clip.offset is None):
        return frames, names
    first, last = 1 if clip.onset is None else clip.onset, len(frames) if clip.offset is None else clip.offset
    if not 1 <= first <= last <= len(frames):
        raise DataError(f"{clip.path}: onset {first} to offset {last} is not within its {len(frames)} pictures")
    return frames[first - 1 : last], names[first - 1 : last]


def _size(frame: Image) -> str:
    return f"{frame.shape[1]} × {frame.shape[0]}"
