"""The Temporal Interpolation Model against its definition by SVD, and its properties."""

from __future__ import annotations

import numpy as np
import pytest

from tgsr.errors import DataError, ParameterError
from tgsr.preprocessing import interpolate_clip


def frames_of(n_frames: int, seed: int = 0, shape: tuple[int, int] = (11, 13)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n_frames, *shape)).astype(np.float64)


def interpolate_by_svd(frames: np.ndarray, n_frames: int) -> np.ndarray:
    """The model as published: thin SVD, graph embedding of the path, and the curve mapped back through both."""
    count = len(frames)
    columns = frames.reshape(count, -1).T
    mean = columns.mean(axis=1, keepdims=True)
    left, values, right = np.linalg.svd(columns - mean, full_matrices=False)
    rank = int((values > 1e-10 * values[0]).sum())
    left, reduced = left[:, :rank], values[:rank, None] * right[:rank]
    adjacency = np.eye(count, k=1) + np.eye(count, k=-1)
    eigenvectors = np.linalg.eigh(np.diag(adjacency.sum(axis=0)) - adjacency)[1][:, 1:]
    embedding = np.linalg.solve(reduced @ reduced.T, reduced @ eigenvectors)
    k = np.arange(1, count)
    scale = eigenvectors[0] / np.sin(k * np.pi / count + np.pi * (count - k) / (2 * count))
    curve = [
        np.sin(position * k * np.pi + np.pi * (count - k) / (2 * count)) * scale
        for position in np.linspace(1 / count, 1, n_frames)
    ]
    points = left @ np.linalg.pinv(embedding.T) @ np.array(curve).T + mean
    return points.T.reshape(n_frames, *frames.shape[1:])


@pytest.mark.parametrize("n_given", [2, 3, 7, 16, 40, 150])
@pytest.mark.parametrize("n_wanted", [10, 16])
def test_equals_the_published_model_computed_by_svd(n_given: int, n_wanted: int) -> None:
    frames = frames_of(n_given, shape=(20, 18))
    np.testing.assert_allclose(
        interpolate_clip(frames, n_wanted), interpolate_by_svd(frames, n_wanted), rtol=0, atol=1e-8
    )


def test_repeated_frames_lower_the_rank_and_change_nothing_else() -> None:
    frames = frames_of(5)[[0, 0, 1, 2, 2, 2, 3, 4, 4]]
    np.testing.assert_allclose(interpolate_clip(frames, 16), interpolate_by_svd(frames, 16), rtol=0, atol=1e-8)


@pytest.mark.parametrize("n_frames", [2, 3, 16, 31, 300])
def test_given_frames_are_reproduced_at_their_own_positions(n_frames: int) -> None:
    frames = frames_of(n_frames)
    np.testing.assert_allclose(interpolate_clip(frames, n_frames), frames, rtol=0, atol=1e-9)


def test_first_and_last_frame_stay_at_the_ends() -> None:
    frames = frames_of(23)
    clip = interpolate_clip(frames, 16)
    np.testing.assert_allclose(clip[[0, -1]], frames[[0, -1]], rtol=0, atol=1e-9)


def test_time_reversed_gives_the_reversed_clip() -> None:
    frames = frames_of(9)
    np.testing.assert_allclose(interpolate_clip(frames[::-1], 16), interpolate_clip(frames, 16)[::-1], atol=1e-9)


def test_a_still_clip_stays_still() -> None:
    frame = frames_of(1)[0]
    np.testing.assert_allclose(interpolate_clip([frame] * 6, 16), np.broadcast_to(frame, (16, 11, 13)), atol=1e-10)


def test_pixels_do_not_mix() -> None:
    frames = frames_of(8)
    np.testing.assert_array_equal(
        interpolate_clip(frames, 16)[:, 2:5, 3:9], interpolate_clip(np.ascontiguousarray(frames[:, 2:5, 3:9]), 16)
    )


def test_nothing_is_random_and_the_input_is_left_alone() -> None:
    frames = frames_of(12)
    before = frames.copy()
    assert interpolate_clip(frames).tobytes() == interpolate_clip(frames).tobytes()
    np.testing.assert_array_equal(frames, before)


def test_lists_and_integer_frames_give_the_same_and_float64() -> None:
    frames = frames_of(6).astype(np.uint8)
    clip = interpolate_clip(list(frames))
    assert clip.shape == (16, 11, 13)
    assert clip.dtype == np.float64
    np.testing.assert_array_equal(clip, interpolate_clip(frames.astype(np.float64)))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 5, 5)), "1 frame"),
        ([], "must be grey"),
        (np.zeros((0, 5, 5)), "0 frame"),
        (np.zeros((4, 5, 5, 3)), "must be grey"),
        (np.zeros((4, 0, 5)), "must be grey"),
        (np.full((4, 5, 5), "a"), "must hold numbers"),
        ([np.zeros((5, 5)), np.zeros((5, 6))], r"frame 2 has shape \(5, 6\)"),
        (np.where(np.arange(3)[:, None, None] == 1, np.nan, np.ones((3, 4, 4))), "frame 2"),
    ],
)
def test_unusable_frames_are_data_errors(frames: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        interpolate_clip(frames)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_frames", [0, -1, 2.5, True, "16"])
def test_n_frames_must_be_a_positive_integer(n_frames: object) -> None:
    with pytest.raises(ParameterError, match="n_frames"):
        interpolate_clip(frames_of(4), n_frames)  # type: ignore[arg-type]
