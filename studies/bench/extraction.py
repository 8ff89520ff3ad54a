"""Question: what does extraction spend its time on.

Run: ``python -m studies.bench.extraction --root DIR`` on a folder of databases, such as `tgsr demo-data` writes.
"""

from __future__ import annotations

import time
import timeit
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import pandas as pd

from tgsr.datasets import load_clips
from tgsr.datasets._clips import ClipCollection, read_frames
from tgsr.features import lbp_top
from tgsr.features._cache import FeatureCache, content_key
from tgsr.features._collection import extract_collection
from tgsr.preprocessing import interpolate_clip
from tgsr.preprocessing._pipeline import resize_clip
from tgsr.protocols import DATABASES


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.thread_time()  # processor time: other work on the machine, and waiting for the disk, do not count
    yield
    seconds[stage] += time.thread_time() - start


def profile(collection: ClipCollection, cache: Path) -> dict[str, float]:
    """Processor seconds in each stage over the clips of a database, in one thread."""
    seconds: dict[str, float] = defaultdict(float)
    for clip in collection.clips:
        with _timed(seconds, "hash"):
            key = content_key(clip, {})
        with _timed(seconds, "read and decode"):
            frames = read_frames(clip)
        with _timed(seconds, "interpolate"):
            interpolated = interpolate_clip(frames)
        with _timed(seconds, "resize"):
            resized = np.round(resize_clip(interpolated, 112), 4)
        with _timed(seconds, "lbp_top"):
            features = lbp_top(resized)
        with _timed(seconds, "cache"):
            FeatureCache(cache).put(key, features)
    return seconds


@click.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of the databases.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Processes of the last two columns.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Profiles; the least of each stage counts.")
def main(root: Path, jobs: int, rounds: int) -> None:
    """Print processor milliseconds a clip by stage, and the command's clips a second: computed, and from the cache."""
    cv2.setNumThreads(1)
    lbp_top(np.zeros((16, 112, 112)))  # compile first
    rows = {}
    for database in DATABASES.values():
        collection = load_clips(database, root)
        n_clips = len(collection.clips)
        with TemporaryDirectory() as folder:
            runs = [profile(collection, Path(folder) / f"profile {number}") for number in range(rounds)]
            extract = partial(extract_collection, collection, jobs=jobs, cache=Path(folder) / "shared")
            computed, cached = (n_clips / timeit.timeit(extract, number=1) for _ in range(2))
        frames = sum(len(clip.frames) for clip in collection.clips) / n_clips
        milliseconds = 1e3 * pd.DataFrame(runs).min() / n_clips
        rows[database] = {"frames": frames, **milliseconds, "clips/s": computed, "cached": cached}
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
