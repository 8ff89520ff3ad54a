"""Small generated clips of a drifting texture, as image files and as videos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

__all__ = ["pictures", "write_pictures", "write_video"]


def pictures(n_frames: int = 10, size: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Grey frames of a smooth texture that drifts to and fro."""
    noise = np.random.default_rng(seed).normal(size=(size + 20, size + 20))
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 25, 225, cv2.NORM_MINMAX).astype(np.uint8)
    return [texture[int(9 + 4 * np.sin(k)) :, int(9 + 4 * np.cos(k)) :][:size, :size] for k in range(n_frames)]


def write_pictures(folder: Path, drawn: Iterable[np.ndarray], name: str = "{}.png", first: int = 1) -> Path:
    """A clip of these frames, as image files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(drawn, start=first):
        assert cv2.imwrite(str(folder / name.format(number)), picture)
    return folder


def write_video(path: Path, drawn: Iterable[np.ndarray], code: str = "MJPG", deep: bool = False) -> Path:
    """A video of these frames, 25 a second; ``deep``: of their 12-bit values in 16 bits, grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = list(drawn)
    settings = [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U if deep else cv2.CV_8U]
    settings += [cv2.VIDEOWRITER_PROP_IS_COLOR, int(not deep)]
    size = drawn[0].shape[::-1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 25.0, size, settings)
    assert writer.isOpened()
    for picture in drawn:
        writer.write(picture.astype(np.uint16) * 16 if deep else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path
