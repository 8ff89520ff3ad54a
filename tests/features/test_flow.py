"""Histograms of oriented flow: what moves where, and the second extractor in a feature file."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tgsr.errors import ParameterError
from tgsr.features._collection import extract_collection
from tgsr.features._flow import flow_histograms
from tgsr.features.extraction import ExtractionSettings, clip_features

FLOW = ExtractionSettings(extractor="flow")


def moving(dx: float, dy: float, n_frames: int = 9) -> np.ndarray:
    """Noise of which the lower right quarter moves, most in the middle frame, while all of it drifts (the head)."""
    rng = np.random.default_rng(0)
    face = cv2.GaussianBlur(rng.integers(0, 256, (112, 112)).astype(np.float32), (0, 0), 2)
    face = cv2.normalize(face, None, 0, 255, cv2.NORM_MINMAX)
    y, x = np.mgrid[:112, :112].astype(np.float32)
    bump = np.exp(-((x - 84) ** 2 + (y - 84) ** 2) / (2 * 12.0**2)).astype(np.float32)
    shares = 1 - np.abs(np.linspace(-1, 1, n_frames))
    frames = []
    for drift, share in zip(np.linspace(0, 1.5, n_frames), shares, strict=True):
        from_x, from_y = x - drift - share * dx * bump, y - share * dy * bump
        maps = from_x.astype(np.float32), from_y.astype(np.float32)
        frames.append(cv2.remap(face, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return np.stack(frames).astype(np.float64)


@pytest.mark.parametrize(("dx", "dy", "direction"), [(4, 0, 0), (0, 4, 2), (-4, 0, 4), (0, -4, 6)])
def test_movement_is_found_in_its_region_and_direction(dx: float, dy: float, direction: int) -> None:
    features = flow_histograms(moving(dx, dy), FLOW)
    assert features.shape == (85, 8)
    quarters = features[1:5]
    assert quarters.sum(axis=1).argmax() == 3
    assert quarters[3].argmax() == direction
    np.testing.assert_allclose(quarters.mean(axis=0), features[0])  # quarters of equal size make the face
    np.testing.assert_allclose(features[0].sum(), 1)


def test_a_still_clip_has_no_movement() -> None:
    still = np.repeat(moving(0, 0)[:1], 5, axis=0)
    assert flow_histograms(still, FLOW).max() < 1e-6


def test_the_same_clip_gives_the_same_bytes() -> None:
    clip = moving(3, 1)
    assert flow_histograms(clip, FLOW).tobytes() == flow_histograms(clip, FLOW).tobytes()


def test_it_is_an_extractor_by_name(make_collection) -> None:
    collection = make_collection(3)
    dataset = extract_collection(collection, FLOW).dataset
    assert (dataset.X.shape, dataset.n_groups) == ((3, 680), 85)
    assert dataset.parameters["extractor"] == "flow"
    assert ExtractionSettings.from_dict(dataset.parameters).extractor == "flow"
    assert clip_features(moving(2, 0), FLOW).shape == (85, 8)
    with pytest.raises(ParameterError, match="lbp-top, flow"):
        ExtractionSettings(extractor="hog")
