"""Question: how fast is LBP-TOP, against whole-array NumPy in the same run, on one core and on two.

Run: ``python -m studies.bench.lbp_top [--clips 200]``. Needs no data.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.features import lbp_top
from tgsr.features._lbp_top import code_bins
from tgsr.regions import region_boxes

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
    bins, n_bins = code_bins(8)
    binned = bins[codes]
    boxes = region_boxes(height, width)
    return np.stack([_histograms(binned[:, :, top:bottom, left:right], n_bins) for top, left, bottom, right in boxes])


def _histograms(binned: npt.NDArray[np.int64], n_bins: int) -> Floats:
    return np.concatenate([np.bincount(plane.ravel(), minlength=n_bins) / plane.size for plane in binned])


@click.command()
@click.option("--clips", type=int, default=200, show_default=True, help="Clips of 16 × 112 × 112 a measurement.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Measurements; the median is reported.")
def main(clips: int, rounds: int) -> None:
    """Print clips a second, elapsed and of processor time, and the ratios between the ways."""
    rng = np.random.default_rng(0)
    some = [rng.integers(0, 256, (16, 112, 112)) + rng.random((16, 112, 112)) for _ in range(10)]
    many = [some[number % len(some)] for number in range(clips)]
    assert all(np.array_equal(lbp_top(clip), whole_array_lbp_top(clip)) for clip in some)
    rates: dict[str, list[tuple[float, float]]] = {}
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
                spent = time.perf_counter() - start, time.process_time() - busy
                rates.setdefault(name, []).append((done / spent[0], done / spent[1]))
    columns = ["clips/s elapsed", "clips/s per core"]
    table = pd.DataFrame({name: np.median(values, axis=0) for name, values in rates.items()}, index=columns).T
    table["× NumPy per core"] = table["clips/s per core"] / table["clips/s per core"].iloc[0]
    print(table.to_string(float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
