"""Finding the face, and preparing a clip: crop, interpolate, resize."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tgsr.errors import DataError, MissingDataError
from tgsr.preprocessing import FaceNotFoundError, crop_face, find_face, interpolate_clip, prepare_clip
from tgsr.preprocessing import _face as face_module


def drawn_face(scale: float = 1.0, height: int = 240, width: int = 320) -> np.ndarray:
    """A blurred drawing that the cascade takes for a face, in the middle of a grey image."""
    image = np.full((height, width), 60, np.uint8)
    shapes = [(0, 0, 62, 82, 190), (0, 10, 7, 22, 210), (0, 50, 24, 7, 100)]
    for side in (-1, 1):
        shapes += [(26 * side, -18, 15, 6, 70), (26 * side, -32, 18, 4, 80), (8 * side, 28, 5, 4, 120)]
    for x, y, half_width, half_height, grey in shapes:
        centre = (int(width / 2 + scale * x), int(height / 2 + scale * y))
        axes = (max(int(scale * half_width), 1), max(int(scale * half_height), 1))
        cv2.ellipse(image, centre, axes, 0, 0, 360, grey, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.5), dtype=np.uint8)


def noise(shape: tuple[int, ...] = (240, 320), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_face_is_found_where_it_is() -> None:
    box = find_face(drawn_face())
    assert box is not None
    top, left, bottom, right = box
    assert top < 92 < 170 < bottom  # brows to mouth
    assert left < 120 < 200 < right


def test_the_larger_of_two_faces_is_taken() -> None:
    small = drawn_face(0.6)
    box = find_face(np.hstack([small, drawn_face()]))
    assert box is not None
    assert box[1] >= 320
    box = find_face(np.hstack([drawn_face(), small]))
    assert box is not None
    assert box[3] <= 320


@pytest.mark.parametrize("image", [noise(), np.zeros((240, 320)), noise((30, 25))])
def test_no_face_is_none_and_not_a_guess(image: np.ndarray) -> None:
    assert find_face(image) is None
    with pytest.raises(FaceNotFoundError, match="no face"):
        crop_face(np.stack([image, image]))


def test_all_frames_are_cropped_to_the_face_of_the_first() -> None:
    clip = np.stack([drawn_face(), noise(seed=1), noise(seed=2)])
    box = find_face(clip[0])
    assert box is not None
    np.testing.assert_array_equal(crop_face(clip), clip[:, box[0] : box[2], box[1] : box[3]])


def test_an_opencv_without_cascades_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    face_module._cascade.cache_clear()
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(MissingDataError, match="opencv-python-headless<5"):
        find_face(drawn_face())


def test_a_clip_of_the_right_size_is_interpolated_and_rounded_only() -> None:
    frames = noise((9, 112, 112))
    np.testing.assert_array_equal(prepare_clip(frames), np.round(interpolate_clip(frames, 16), 4))


@pytest.mark.parametrize("shape", [(170, 139), (60, 50), (112, 200), (226, 185)])
def test_frames_of_any_size_become_square_and_keep_their_mean(shape: tuple[int, int]) -> None:
    frames = cv2.GaussianBlur(noise(shape), (0, 0), 8)[None].repeat(3, axis=0)
    clip = prepare_clip(frames, n_frames=5, size=64)
    assert clip.shape == (5, 64, 64)
    assert clip.dtype == np.float64
    assert abs(clip.mean() - frames.mean()) < 1


def test_flat_areas_stay_flat_to_the_last_bit() -> None:
    frames = noise((7, 150, 130))
    frames[:, :50] = 77
    border = prepare_clip(frames)[:, :36]
    assert (border == 77).all()


def test_crop_looks_at_the_face_alone() -> None:
    clip = np.stack([drawn_face()] * 3)
    box = find_face(clip[0])
    assert box is not None
    top, left, bottom, right = box
    np.testing.assert_array_equal(prepare_clip(clip, crop=True), prepare_clip(clip[:, top:bottom, left:right]))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.stack([noise(), np.zeros((240, 320), np.uint8)]), "frame 2 of the clip is blank"),
        (np.random.default_rng(0).random((4, 20, 20)), "0…255"),
        ([noise(), noise((240, 321))], "frame 2 has shape"),
        (noise((1, 20, 20)), "at least 2"),
    ],
)
def test_frames_that_cannot_be_used_are_data_errors(frames: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare_clip(frames)  # type: ignore[arg-type]
