"""The named extractors: what turns a prepared clip into features of the facial regions.

A further one is a function in a file of its own, and a line here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tgsr.features.extraction import ExtractionSettings

    Extractor = Callable[[npt.NDArray[np.float64], ExtractionSettings], npt.NDArray[np.float64]]

__all__ = ["EXTRACTORS", "extract"]

EXTRACTORS: dict[str, str] = {
    "lbp-top": "tgsr.features._lbp_top:region_histograms",
    "flow": "tgsr.features._flow:flow_histograms",
}
"""Name → function (clip, settings) → features of shape (n_regions, size)."""


def extract(clip: npt.NDArray[np.float64], settings: ExtractionSettings) -> npt.NDArray[np.float64]:
    """Features (n_regions, size) of a prepared clip (T, height, width) by the extractor that the settings name."""
    extractor: Extractor = pkgutil.resolve_name(EXTRACTORS[settings.extractor])
    return extractor(clip, settings)
