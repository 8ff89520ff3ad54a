"""LBP-TOP against a slow implementation, on clips with known codes, and its properties."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tgsr.errors import DataError, ParameterError
from tgsr.features import lbp_top
from tgsr.features._lbp_top import code_bins
from tgsr.regions import region_boxes


def value_at(clip: np.ndarray, plane: str, t: int, y: int, x: int, down: float, right: float) -> float | None:
    """Grey value at a place in a plane through (t, y, x): a pixel as it is, else bilinear and rounded to 1e-4."""

    def pixel(row: int, column: int) -> float:
        if plane == "XY":
            return float(clip[t, y + row, x + column])
        if plane == "XT":
            return float(clip[t + row, y, x + column])
        return float(clip[t + row, y + column, x])

    if abs(down - round(down)) < 1e-6 and abs(right - round(right)) < 1e-6:
        return pixel(round(down), round(right))
    row, column = math.floor(down), math.floor(right)
    a, b = down - row, right - column
    value = (
        (1 - a) * (1 - b) * pixel(row, column)
        + (1 - a) * b * pixel(row, column + 1)
        + a * (1 - b) * pixel(row + 1, column)
        + a * b * pixel(row + 1, column + 1)
    )
    return float(np.round(value, 4))


def code_of(clip: np.ndarray, plane: str, place: tuple[int, int, int], radii: dict[str, int], settings: dict) -> int:
    rows, columns = {"XY": "YX", "XT": "TX", "YT": "TY"}[plane]
    code = 0
    for k in range(settings["neighbours"]):
        angle = 2 * math.pi * k / settings["neighbours"]
        down, right = -radii[rows] * math.sin(angle), radii[columns] * math.cos(angle)
        if settings["interpolation"] == "nearest":
            down, right = math.floor(down + 0.5), math.floor(right + 0.5)
        if value_at(clip, plane, *place, down, right) >= clip[place]:
            code += 2**k
    return code


def slow_lbp_top(clip: np.ndarray, radii: tuple[int, int, int] = (3, 3, 3), **given: object) -> np.ndarray:
    """The definition, one pixel and one neighbour at a time."""
    settings = {"neighbours": 8, "grid": (1, 2, 4, 8), "interpolation": "bilinear", "mapping": "uniform", **given}
    reach = dict(zip("XYT", radii, strict=True))
    n_times, height, width = clip.shape
    bins, n_bins = slow_bins(settings["neighbours"], settings["mapping"])
    boxes = region_boxes(height - 2 * reach["Y"], width - 2 * reach["X"], settings["grid"])
    counts = np.zeros((len(boxes), 3, n_bins))
    for y in range(reach["Y"], height - reach["Y"]):
        for x in range(reach["X"], width - reach["X"]):
            inside = [
                index
                for index, (top, left, bottom, right) in enumerate(boxes)
                if top <= y - reach["Y"] < bottom and left <= x - reach["X"] < right
            ]
            for t in range(reach["T"], n_times - reach["T"]):
                for number, plane in enumerate(("XY", "XT", "YT")):
                    counts[inside, number, bins[code_of(clip, plane, (t, y, x), reach, settings)]] += 1
    return (counts / counts.sum(axis=2, keepdims=True)).reshape(len(boxes), -1)


def slow_bins(neighbours: int, mapping: str) -> tuple[list[int], int]:
    bins, uniform = [], 0
    for code in range(2**neighbours):
        bits = [(code >> k) & 1 for k in range(neighbours)]
        is_uniform = sum(bits[k] != bits[k - 1] for k in range(neighbours)) <= 2
        if mapping == "none":
            bins.append(code)
        elif mapping == "riu2":
            bins.append(sum(bits) if is_uniform else neighbours + 1)
        else:
            bins.append(uniform if is_uniform else neighbours * (neighbours - 1) + 2)
            uniform += is_uniform
    return bins, {"none": 2**neighbours, "riu2": neighbours + 2, "uniform": neighbours * (neighbours - 1) + 3}[mapping]


def clips() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shape = (9, 20, 24)
    return {
        "bytes": rng.integers(0, 256, shape, dtype=np.uint8),
        "few grey levels": rng.integers(0, 3, shape),
        "floats": rng.random(shape) * 255,
        "floats below one": rng.random(shape),  # many differences below the rounding step
        "smooth": np.cumsum(np.cumsum(rng.normal(size=shape), axis=1), axis=2),
        "on the rounding lattice": np.round(rng.random(shape) * 0.01, 4),
    }


@pytest.mark.parametrize("name", clips())
def test_equals_the_slow_definition_to_the_last_count(name: str) -> None:
    clip = clips()[name]
    np.testing.assert_array_equal(lbp_top(clip, grid=(1, 2, 3)), slow_lbp_top(clip, grid=(1, 2, 3)))


@pytest.mark.parametrize(
    "parameters",
    [
        {"radii": (1, 1, 1)},
        {"radii": (3, 1, 2), "grid": (1, 4)},
        {"radii": (2, 4, 1), "neighbours": 6, "grid": (2,)},
        {"neighbours": 4, "mapping": "none", "grid": (1, 2)},
        {"neighbours": 12, "radii": (2, 2, 2), "grid": (1, 3)},
        {"mapping": "riu2", "grid": (5, 1)},
        {"mapping": "none", "interpolation": "nearest", "grid": (1,)},
    ],
)
def test_parameters_equal_the_slow_definition(parameters: dict) -> None:
    for name in ("bytes", "floats below one"):
        np.testing.assert_array_equal(lbp_top(clips()[name], **parameters), slow_lbp_top(clips()[name], **parameters))


def whole_array_lbp_top(clip: np.ndarray) -> np.ndarray:
    """The default settings on shifted copies of the whole clip: fast enough for full-size clips."""
    clip = clip.astype(np.float64)
    n_times, height, width = clip.shape
    codes = np.zeros((3, n_times - 6, height - 6, width - 6), np.int64)
    places = {0: lambda r, c: (0, r, c), 1: lambda r, c: (r, 0, c), 2: lambda r, c: (r, c, 0)}

    def shifted(plane: int, row: int, column: int) -> np.ndarray:
        t, y, x = places[plane](row, column)
        return clip[3 + t : n_times - 3 + t, 3 + y : height - 3 + y, 3 + x : width - 3 + x]

    for plane in range(3):
        for k in range(8):
            down, right = -3 * np.sin(np.pi * k / 4), 3 * np.cos(np.pi * k / 4)
            if k % 2 == 0:
                value = shifted(plane, round(down), round(right))
            else:
                row, column = math.floor(down), math.floor(right)
                a, b = down - row, right - column
                value = (1 - a) * (1 - b) * shifted(plane, row, column)
                value = value + (1 - a) * b * shifted(plane, row, column + 1)
                value = value + a * (1 - b) * shifted(plane, row + 1, column)
                value = np.round(value + a * b * shifted(plane, row + 1, column + 1), 4)
            codes[plane] += (value >= shifted(0, 0, 0)) << k
    binned = np.array(slow_bins(8, "uniform")[0])[codes]
    return np.stack(
        [
            np.concatenate(
                [
                    np.bincount(binned[p, :, top:bottom, left:right].ravel(), minlength=59)
                    / binned[p, :, top:bottom, left:right].size
                    for p in range(3)
                ]
            )
            for top, left, bottom, right in region_boxes(height - 6, width - 6)
        ]
    )


@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_full_size_clips_equal_a_whole_array_implementation(kind: str) -> None:
    rng = np.random.default_rng(3)
    clip = rng.integers(0, 256, (16, 112, 112)).astype(np.float64)
    if kind == "floats":
        clip += rng.random(clip.shape)
    features = lbp_top(clip)
    assert features.shape == (85, 177)
    assert features.dtype == np.float64
    np.testing.assert_array_equal(features, whole_array_lbp_top(clip))


def only_code(clip: np.ndarray) -> list[int]:
    """The one code that each plane shows, in a clip where it is the same everywhere."""
    histograms = lbp_top(clip, mapping="none", grid=(1,)).reshape(3, 256)
    assert (histograms.max(axis=1) == 1).all()
    return histograms.argmax(axis=1).tolist()


def test_ramps_show_the_orientation_of_each_plane() -> None:
    t, y, x = np.meshgrid(np.arange(9), np.arange(12), np.arange(11), indexing="ij")
    to_the_right, downwards = 0b11000111, 0b11110001  # k = 0 points to the right, k = 2 up
    assert only_code(x * 10) == [to_the_right, to_the_right, 255]
    assert only_code(y * 10) == [downwards, 255, to_the_right]
    assert only_code(t * 10) == [255, downwards, downwards]


@pytest.mark.parametrize(("grey", "code"), [(10.0, 255), (10.00006, 255), (10.00004, 0b01010101)])
def test_interpolated_values_are_rounded_and_pixels_are_not(grey: float, code: int) -> None:
    assert only_code(np.full((7, 9, 8), grey)) == [code] * 3


def test_uniform_codes_ascend_in_the_first_58_bins() -> None:
    bins, n_bins = code_bins(8)
    assert n_bins == 59
    assert bins[[0, 1, 2, 3, 4, 5, 6, 7, 8, 255]].tolist() == [0, 1, 2, 3, 4, 58, 5, 6, 7, 57]
    assert np.bincount(bins).tolist() == [1] * 58 + [198]


def test_each_planes_histogram_sums_to_one() -> None:
    histograms = lbp_top(clips()["bytes"], grid=(1, 2, 4)).reshape(21, 3, 59)
    np.testing.assert_allclose(histograms.sum(axis=2), 1, rtol=0, atol=1e-12)


def test_exchanging_height_and_width_exchanges_xt_and_yt() -> None:
    clip = clips()["bytes"]
    one = lbp_top(clip, grid=(1,)).reshape(3, 59)
    other = lbp_top(clip.swapaxes(1, 2), grid=(1,)).reshape(3, 59)
    np.testing.assert_array_equal(one[1:], other[:0:-1])


def test_views_lists_and_read_only_clips_give_the_same() -> None:
    clip = clips()["bytes"]
    expected = lbp_top(clip, grid=(2,))
    read_only = clip.copy()
    read_only.setflags(write=False)
    reversed_twice = np.ascontiguousarray(clip[:, :, ::-1])[:, :, ::-1]
    for same in (clip.tolist(), read_only, reversed_twice, clip.astype(np.float32)):
        np.testing.assert_array_equal(lbp_top(same, grid=(2,)), expected)


def test_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(5)
    many = [rng.integers(0, 256, (8, 40, 40)) for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lbp_top, many))
    np.testing.assert_array_equal(threaded, [lbp_top(clip) for clip in many])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros((16, 112)), "shape"),
        (np.zeros((6, 112, 112)), "too small"),
        (np.zeros((16, 112, 6)), "too small"),
        (np.full((16, 40, 40), np.nan), "NaN"),
        (np.full((16, 40, 40), np.inf), "infinity"),
        (np.full((16, 40, 40), "x"), "numbers"),
        (np.zeros((16, 40, 40), bool), "numbers"),
    ],
)
def test_unusable_clips_are_data_errors(clip: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        lbp_top(clip)


@pytest.mark.parametrize(
    "parameters",
    [
        {"radii": 0},
        {"radii": (1, 2)},
        {"radii": (1, 2, 0.5)},
        {"neighbours": 1},
        {"neighbours": 17},
        {"neighbours": True},
        {"mapping": "u2"},
        {"interpolation": "cubic"},
        {"grid": ()},
        {"grid": (0,)},
        {"grid": (12,)},  # round(18 / 12) = 2 pixels: the last blocks would be empty
    ],
)
def test_parameters_out_of_range_are_parameter_errors(parameters: dict) -> None:
    with pytest.raises(ParameterError):
        lbp_top(np.zeros((9, 24, 24)), **parameters)
