"""Question: how fast is LBP-TOP, against whole-array NumPy in the same run, on one core and on two.

Run: ``python -m studies.bench.lbp_top [--clips 200]``. Needs no data.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.features import lbp_top
from tgsr.regions import N_BINS, region_boxes

Floats = npt.NDArray[np.float64]
_RADIUS = 3


def whole_array_lbp_top(clip: Floats) -> Floats:
    """LBP-TOP with the default settings, on shifted copies of the whole clip: what one would write in NumPy."""
    n_times, height, width = (side - 2 * _RADIUS for side in clip.shape)

    def shifted(t: int, y: int, x: int) -> Floats:
        t, y, x = t + _RADIUS, y + _RADIUS, x + _RADIUS
        return clip[t : t + n_times, y : y + height, x : x + width]

    centre = shifted(0, 0, 0)
    codes = np.zeros((3, *centre.shape), np.int64)
    for plane, (row_axis, column_axis) in enumerate(((1, 2), (0, 2), (0, 1))):
        for k in range(8):
            down, right = -_RADIUS * np.sin(np.pi * k / 4), _RADIUS * np.cos(np.pi * k / 4)
            top, left = int(np.floor(down + 1e-9)), int(np.floor(right + 1e-9))
            a, b = down - top, right - left
            value: Floats | float = 0.0
            for row, column, weight in (
                (0, 0, (1 - a) * (1 - b)), (0, 1, (1 - a) * b), (1, 0, a * (1 - b)), (1, 1, a * b),
            ):  # fmt: skip
                if k % 2 == 0 and (row, column) != (0, 0):
                    continue
                place = [0, 0, 0]
                place[row_axis] += top + row
                place[column_axis] += left + column
                value = shifted(*place) if k % 2 == 0 else value + weight * shifted(*place)
            codes[plane] |= ((np.round(value, 4) if k % 2 else value) >= centre).astype(np.int64) << k
    numbers = np.arange(256)
    uniform = np.bitwise_count(numbers ^ ((numbers >> 1) | ((numbers & 1) << 7))) <= 2
    binned = np.where(uniform, np.cumsum(uniform) - 1, N_BINS - 1)[codes]
    parts = [
        binned[plane, :, top:bottom, left:right]
        for top, left, bottom, right in region_boxes(height, width)
        for plane in range(3)
    ]
    histograms = [np.bincount(part.ravel(), minlength=N_BINS) / part.size for part in parts]
    return np.reshape(histograms, (-1, 3 * N_BINS))


@click.command()
@click.option("--clips", default=200, show_default=True, help="Clips of 16 × 112 × 112 a measurement.")
@click.option("--rounds", default=5, show_default=True, help="Measurements; the median is reported.")
def main(clips: int, rounds: int) -> None:
    """Print clips a second, elapsed and of processor time, and the ratios between the ways."""
    rng = np.random.default_rng(0)
    some = [rng.integers(0, 256, (16, 112, 112)) + rng.random((16, 112, 112)) for _ in range(10)]
    many = [some[number % len(some)] for number in range(clips)]
    assert all(np.array_equal(lbp_top(clip), whole_array_lbp_top(clip)) for clip in some)
    rates: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with ThreadPoolExecutor(2) as pool:
        ways: dict[str, Callable[[], list[Floats]]] = {
            "whole-array NumPy, one thread": lambda: [whole_array_lbp_top(clip) for clip in some],
            "tgsr, one thread": lambda: [lbp_top(clip) for clip in many],
            "tgsr, two threads": lambda: list(pool.map(lbp_top, many)),
        }
        for _ in range(rounds):  # interleaved, so that a busy machine slows all of them
            for name, work in ways.items():
                start, busy = time.perf_counter(), time.process_time()
                done = len(work())
                rates[name].append((done / (time.perf_counter() - start), done / (time.process_time() - busy)))
    columns = ["clips/s elapsed", "clips/s per core"]
    table = pd.DataFrame({name: np.median(values, axis=0) for name, values in rates.items()}, index=columns).T
    table["× NumPy per core"] = table["clips/s per core"] / table["clips/s per core"].iloc[0]
    click.echo(table.to_string(float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
