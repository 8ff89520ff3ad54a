"""Optical flow by facial region: histograms of oriented flow from the onset to the frame that moves most.

Flow is that of OpenCV's dense inverse search (Kroeger et al., ECCV 2016), less its median over the face, which takes
out the movement of the head. Histograms of oriented flow: Chaudhry et al., CVPR 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.regions import region_boxes

if TYPE_CHECKING:
    from tgsr.features.extraction import ExtractionSettings

__all__ = ["N_ORIENTATIONS", "flow_histograms"]

N_ORIENTATIONS = 8
"""Bins of direction: 0 is to the right, 2 down."""

_STILL = 1e-3  # pixels: mean movement below which a clip counts as still, and is not scaled up to noise


def flow_histograms(clip: npt.NDArray[np.float64], settings: ExtractionSettings) -> npt.NDArray[np.float64]:
    """The histograms (n_regions, 8) of a prepared clip (T, height, width) whose first frame is the onset.

    For each region of the settings' grid the mean movement of its pixels in each direction, relative to the mean
    movement of the face.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    onset, *others = np.clip(np.rint(clip), 0, 255).astype(np.uint8)
    start = np.zeros((*onset.shape, 2), dtype=np.float32)
    found = (np.asarray(search.calc(onset, frame, start.copy())) for frame in others)
    # components (2, height, width) less their median, which is the movement of the head
    flows = (np.moveaxis(flow.astype(np.float64) - np.median(flow, axis=(0, 1)), -1, 0) for flow in found)
    flow = max(flows, key=lambda field: float(np.hypot(*field).mean()))
    strength = np.hypot(*flow)
    turn = np.arctan2(flow[1], flow[0]) / (2 * np.pi)
    bins = np.rint(turn * N_ORIENTATIONS).astype(np.intp) % N_ORIENTATIONS
    planes = np.where(bins == np.arange(N_ORIENTATIONS)[:, None, None], strength, 0.0)
    height, width = strength.shape
    boxes = region_boxes(height, width, settings.grid)
    means = [planes[:, top:bottom, left:right].mean(axis=(1, 2)) for top, left, bottom, right in boxes]
    return np.stack(means) / max(float(strength.mean()), _STILL)
