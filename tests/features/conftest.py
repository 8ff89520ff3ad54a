"""Clips on disk for the tests of extraction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tgsr.datasets.clips import Clip, ClipCollection

LABELS = ("negative", "positive", "surprise")


def _write_frames(folder: Path, seed: int = 0, n_frames: int = 5, suffix: str = ".png", size: int = 40) -> list[Path]:
    """Write a clip of a smooth random texture that drifts."""
    rng = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(rng.random((size, size + n_frames)), (0, 0), 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    folder.mkdir(parents=True)
    paths = [folder / f"img{number + 8}{suffix}" for number in range(n_frames)]  # img8, img9, img10: numeric order
    for number, path in enumerate(paths):
        path.write_bytes(cv2.imencode(suffix, wide[:, number : number + size])[1].tobytes())
    return paths


@pytest.fixture
def write_frames() -> Callable[..., list[Path]]:
    """Write a clip: ``write_frames(folder, seed=0, n_frames=5, suffix=".png", size=40)``."""
    return _write_frames


@pytest.fixture
def make_collection(tmp_path: Path) -> Callable[..., ClipCollection]:
    """Make a database of small clips: ``make_collection(n_clips=6)``; its clips are tmp_path/data/clip<i>."""

    def make(n_clips: int = 6, name: str = "MINE") -> ClipCollection:
        clips = [
            Clip(f"clip{i}", name, f"s{i // 3}", LABELS[i % 3], tuple(_write_frames(tmp_path / "data" / f"clip{i}", i)))
            for i in range(n_clips)
        ]
        return ClipCollection(name, tuple(clips))

    return make
