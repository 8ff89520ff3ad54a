"""Question: what does extraction spend its time on.

Run: ``python -m studies.bench.extraction --root DIR`` on a folder of databases, such as `tgsr demo-data` writes.
"""

from __future__ import annotations

import cProfile
import pstats
import time
import timeit
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import pandas as pd

from tgsr.datasets import load_clips
from tgsr.features import extract_collection, lbp_top
from tgsr.protocols import DATABASES

_STAGES = {
    "content_key": "hash",
    "read_frames": "read and decode",
    "interpolate_clip": "interpolate",
    "resize_clip": "resize",
    "lbp_top": "LBP-TOP",
    "put": "cache",
    "extract_collection": "sum",
}
"""What is timed of the package, and how it is called."""


@click.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of the databases.")
@click.option("--jobs", default=2, show_default=True, help="Processes of the last two columns.")
@click.option("--rounds", default=3, show_default=True, help="Profiles; the least of each stage counts.")
def main(root: Path, jobs: int, rounds: int) -> None:
    """Print processor milliseconds a clip by stage, and the command's clips a second: computed, and from the cache."""
    cv2.setNumThreads(1)
    lbp_top(np.random.default_rng(0).random((16, 112, 112)))  # compile first
    rows = {}
    for database in DATABASES.values():
        collection = load_clips(database, root)
        n_clips, runs = len(collection.clips), []
        with TemporaryDirectory() as folder:
            for number in range(rounds):
                # processor time: other work on the machine, and waiting for the disk, do not count
                profile = cProfile.Profile(time.thread_time)
                profile.runcall(extract_collection, collection, cache=Path(folder) / str(number))
                stats: dict[tuple[str, int, str], tuple[int, int, float, float]] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
                own = {name: spent[3] for (path, _, name), spent in stats.items() if "tgsr" in Path(path).parts}
                runs.append({column: 1e3 * own[name] / n_clips for name, column in _STAGES.items()})
            extract = partial(extract_collection, collection, jobs=jobs, cache=Path(folder) / "shared")
            computed, cached = (n_clips / timeit.timeit(extract, number=1) for _ in range(2))
        frames = sum(len(clip.frames) for clip in collection.clips) / n_clips
        rows[database] = {"frames": frames, **pd.DataFrame(runs).min(), "clips/s": computed, "cached": cached}
    click.echo(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
