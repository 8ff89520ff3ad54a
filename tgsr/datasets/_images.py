"""Image files, of one picture or several, as grey 8-bit frames.

Decoders would rather return half a picture than say that a file is damaged: that is looked for here.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets._decoders import MOST_FRAMES, MOST_PIXELS, MOST_VALUES, damage, decoder_messages, uneven_times
from tgsr.errors import DataError, MissingDataError
from tgsr.files import reading

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["IMAGE_SUFFIXES", "Image", "holds_several", "read_image", "read_images"]

_MAY_HOLD_SEVERAL = frozenset({".apng", ".gif", ".png", ".tif", ".tiff", ".webp"})
IMAGE_SUFFIXES = _MAY_HOLD_SEVERAL | {
    *(".avif", ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".tga"),
}

Image = npt.NDArray[np.uint8]

_HOLE, _AC, _END_OF_BLOCK = 48, 0x10, 0  # bytes; a JPEG's table of codes for brightness; its symbol of flat areas
_REDUCED, _BITS = 254, 258  # TIFF's tags: a page that is a smaller copy of another; bits of each channel
_OPENCV = ("BMP", "JPEG", "MPO", "PNG")  # formats that OpenCV reads; of others, and of films, Pillow sees all
_MODES = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")  # Pillow's of 8 bits a channel


def holds_several(path: Path) -> bool:
    """Whether a file has several pictures: pages of a TIFF, an animation. Only its header is read."""
    if path.suffix.lower() not in _MAY_HOLD_SEVERAL or not path.is_file():
        return False
    try:
        with warnings.catch_warnings(action="ignore"), _opened(path) as picture:
            return _n_pictures(picture) > 1
    except Exception:  # Pillow's formats raise whatever their parsers raise; it is said when the file is read
        return False


def read_image(path: Path) -> Image:
    """Read the first picture of an image file as grey, shape (height, width); errors as of `read_images`."""
    return read_images(path)[0]


def read_images(path: Path, notes: list[str] | None = None) -> list[Image]:
    """Read all pictures of an image file as grey, each of shape (height, width).

    ``notes`` takes a remark where an animation's pictures are not shown for equally long. A file that is not there is a
    `MissingDataError`; one that is empty, damaged or no image, or has more than 8 bits a channel or 16 million pixels,
    a `DataError`.
    """
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
    with _opened(path, io.BytesIO(data)) as picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{path}: {width} × {height} pixels; make the frames smaller (at most {MOST_PIXELS} pixels)"
            )
        if _is_deep(picture, data):
            raise DataError(f"{path}: an image of more than 8 bits; convert the clip to 8 bits, all frames alike")
        if picture.format in _OPENCV and _n_pictures(picture) == 1:
            return [_decode(path, data)]
        times: list[float] = [0.0]
        with warnings.catch_warnings(action="ignore"), reading(path, "the image is damaged", "restore it"):
            # no more than a warning to Pillow, but pages behind such a place are lost
            warnings.filterwarnings("error", "Corrupt|Truncated")
            images = list(_decode_all(path, picture, times))
        if notes is not None and (remark := uneven_times(times)):
            notes.append(remark)
        if not images:
            raise DataError(f"{path}: smaller copies of a picture only; restore it or remove the clip")
        return images


def _opened(path: Path, data: io.BytesIO | None = None) -> PillowImage:
    """The image with its header read; its pixels are not decoded."""
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings(action="ignore"):  # of sizes: they are looked at here
            return Pillow.open(data or path)
    except Pillow.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels ({error}); make the frames smaller") from error
    except Exception as error:  # Pillow's formats raise whatever their parsers raise on damaged headers
        raise DataError(f"{path}: not a readable image; restore it or remove the clip") from error


def _n_pictures(picture: PillowImage) -> int:
    # the second picture of a telephone's JPEG is no frame
    return 1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1))


def _decode(path: Path, data: bytes) -> Image:
    """The picture of a file that has one, by OpenCV."""
    import cv2  # here and below: 0.15 s that most commands need not wait for

    with decoder_messages() as messages:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        except cv2.error as error:
            raise DataError(f"{path}: the image cannot be decoded ({error.err})") from error
        said = damage(messages())
    if image is None:
        raise DataError(f"{path}: not a readable image; restore it or remove the clip")
    if said := said or "a block of zeros" * _has_hole(data):
        raise DataError(f"{path}: the image is damaged ({said}); restore it or remove the clip")
    return np.asarray(image, dtype=np.uint8)


def _decode_all(path: Path, picture: Any, times: list[float]) -> Iterator[Image]:
    """The pictures of a file, by Pillow; ``times`` takes the milliseconds at which each of an animation ends."""
    import cv2

    n_pictures = _n_pictures(picture)
    if n_pictures > min(MOST_FRAMES, MOST_VALUES // max(picture.width * picture.height, 1)):
        raise DataError(f"{path}: {n_pictures} pictures in one file are too many; cut the clip out")
    # a picture that an animated PNG shows to programs without animations only
    for number in range(1 if picture.info.get("default_image") else 0, n_pictures):
        with decoder_messages():
            picture.seek(number)
            picture.load()
        tags = getattr(picture, "tag_v2", {})
        if picture.mode not in _MODES or max(np.atleast_1d(tags.get(_BITS, 8))) > 8:
            raise DataError(f"{path}: an image of more than 8 bits; convert the clip to 8 bits, all frames alike")
        if tags.get(_REDUCED, 0) & 1:
            continue
        times.append(times[-1] + picture.info.get("duration", 0))
        if picture.mode in ("1", "L"):
            yield np.asarray(picture.convert("L"), dtype=np.uint8)
        else:
            yield np.asarray(cv2.cvtColor(np.asarray(picture.convert("RGB")), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _is_deep(picture: PillowImage, data: bytes) -> bool:
    """Whether an image has more than 8 bits a channel: decoders drop the others, and with them most of a dark clip."""
    import cv2

    if picture.format in (*_OPENCV, "GIF", "WEBP"):
        return data[24:25] == b"\x10" and picture.format == "PNG"
    with decoder_messages():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image is not None and image.dtype != np.uint8


def _has_hole(data: bytes) -> bool:
    """Whether a baseline JPEG has zeros for data where they mean texture; in small ones decoders take them for that."""
    hole = data.find(bytes(_HOLE), data.rfind(b"\xff\xda")) if data.startswith(b"\xff\xd8") else -1
    if hole < 0 or data.find(b"\xff\xc2", 0, hole) >= 0:  # none, or a progressive one
        return False
    meaning = _END_OF_BLOCK
    tables = data.find(b"\xff\xc4", 0, hole)  # of Huffman codes
    while tables >= 0:
        at, end = tables + 4, tables + 2 + int.from_bytes(data[tables + 2 : tables + 4], "big")
        while at < min(end, hole - 17):
            if data[at] == _AC:  # 16 numbers of codes by length, then what they stand for; the first code is all zeros
                meaning = data[at + 17]
            at += 17 + sum(data[at + 1 : at + 17])
        tables = data.find(b"\xff\xc4", end, hole)
    return meaning != _END_OF_BLOCK


def _is_truncated(data: bytes) -> bool:
    """Whether a file is empty, or a JPEG, GIF or BMP that ends early; of other kinds the decoders say it."""
    if data.startswith(b"\xff\xd8"):  # the end marker must follow the last scan's start
        return data.rfind(b"\xff\xd9") < max(data.rfind(b"\xff\xda"), 2)
    if data.startswith(b"BM") and len(data) >= 54:  # OpenCV reads what is there, and black below
        start, width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (10, 18, 22))
        bits, compression = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
        return compression == 0 and len(data) < start + (width * bits + 31) // 32 * 4 * abs(height)
    return not data or (data.startswith(b"GIF8") and not data.rstrip(b"\0").endswith(b";"))
