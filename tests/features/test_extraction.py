"""Settings that travel as JSON, and the features of one clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tgsr.errors import DataError, ParameterError
from tgsr.features import lbp_top
from tgsr.features.extraction import ExtractionSettings, clip_features, load_clip
from tgsr.preprocessing import FaceNotFoundError, interpolate_clip, prepare_clip


def texture(n_frames: int = 6, height: int = 50, width: int = 44) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_frames, height, width), dtype=np.uint8)


def test_settings_survive_json() -> None:
    settings = ExtractionSettings(n_frames=20, size=64, radii=(1, 2, 3), interpolation="nearest", crop="face")
    assert ExtractionSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_settings_are_read_from_the_parameters_of_a_feature_file() -> None:
    parameters = {"origin": "clips", "opencv": "4.14.0", "skipped": [], **ExtractionSettings(size=96).to_dict()}
    assert ExtractionSettings.from_dict(parameters) == ExtractionSettings(size=96)


def test_features_rounded_otherwise_are_not_mixed_with_ours() -> None:
    with pytest.raises(ParameterError, match="decimals"):
        ExtractionSettings.from_dict({**ExtractionSettings().to_dict(), "decimals": 2})


@pytest.mark.parametrize(
    "values",
    [
        {"n_frames": 0},
        {"n_frames": 6},  # radius 3 in time needs 7
        {"n_frames": True},
        {"size": 6},
        {"size": 112.5},
        {"radii": (3, 3)},
        {"radii": (3, 0, 3)},
        {"neighbours": 40},
        {"mapping": "u2"},
        {"grid": (0,)},
        {"interpolation": "cubic"},
        {"crop": "maybe"},
    ],
)
def test_settings_out_of_range_are_parameter_errors(values: dict) -> None:
    with pytest.raises(ParameterError):
        ExtractionSettings(**values)


def test_features_are_lbp_top_of_the_interpolated_and_resized_clip() -> None:
    features = clip_features(texture())
    assert features.shape == (85, 177)
    np.testing.assert_array_equal(features, lbp_top(prepare_clip(texture(), n_frames=16, size=112)))


def test_the_default_is_interpolation_before_resizing() -> None:
    frames = texture(8, 112, 112)
    np.testing.assert_array_equal(clip_features(frames), lbp_top(np.round(interpolate_clip(frames, 16), 4)))


def test_every_setting_counts() -> None:
    features = [
        clip_features(texture(), settings).tobytes()
        for settings in (
            ExtractionSettings(),
            ExtractionSettings(n_frames=12),
            ExtractionSettings(size=100),
            ExtractionSettings(radii=(1, 1, 3)),
            ExtractionSettings(interpolation="nearest"),
        )
    ]
    assert len(set(features)) == len(features)


def test_integer_and_float_frames_on_the_same_scale_are_equal() -> None:
    expected = clip_features(texture())
    for same in (list(texture()), texture().tolist(), texture().astype(np.float32)):
        np.testing.assert_array_equal(clip_features(same), expected)


@pytest.mark.parametrize(
    ("crop", "cropped", "looks_for_a_face"),
    [
        ("auto", None, False),
        ("auto", True, False),
        ("auto", False, True),
        ("face", True, True),
        ("none", False, False),
    ],
)
def test_a_face_is_looked_for_when_it_should_be(crop: str, cropped: bool | None, looks_for_a_face: bool) -> None:
    settings = ExtractionSettings(crop=crop)
    if looks_for_a_face:  # there is none in the texture, so looking for one shows
        with pytest.raises(FaceNotFoundError):
            clip_features(texture(), settings, cropped=cropped)
    else:
        assert clip_features(texture(), settings, cropped=cropped).shape == (85, 177)


def test_a_folder_gives_the_features_of_its_frames(tmp_path: Path, write_frames) -> None:
    write_frames(tmp_path / "clip")
    frames = load_clip(tmp_path / "clip")
    np.testing.assert_array_equal(clip_features(frames), clip_features(np.stack(frames)))


def test_one_frame_is_a_data_error() -> None:
    with pytest.raises(DataError, match="at least 2"):
        clip_features(texture(1))
