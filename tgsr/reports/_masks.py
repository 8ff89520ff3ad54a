"""The kept regions over a face (the paper's Fig. 2), for true regions and for the groups of the released records."""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.demo._face import Illumination, draw_subject, render_face
from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, PLANES, SCALES, region_boxes, released_histograms
from tgsr.reports._style import BLUE, PAGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["as_face", "draw_mask", "draw_overlay", "histogram_norms", "overlay", "read_face"]

_SIDE, _MARGIN = 112, 3
"""A face's frame in pixels, as features are computed on it; regions begin LBP-TOP's radius from its edge."""
_BOXES = region_boxes(_SIDE - 2 * _MARGIN, _SIDE - 2 * _MARGIN)
_ENDS = np.cumsum([0, *(scale * scale for scale in SCALES)])
_PANELS = {"all scales": slice(None)} | {
    f"{scale} × {scale}": slice(*ends) for scale, ends in zip(SCALES, pairwise(_ENDS), strict=True)
}
"""What each panel shows of the regions."""


def draw_mask(
    group_norms: npt.NDArray[np.float64],
    grouping: str = "region",
    frame: npt.NDArray[Any] | None = None,
    title: str = "",
) -> Figure:
    """Draw which groups a method keeps: over a face where they have a place on it, else as bars.

    On a face all four scales are in one overlay, then a panel for each scale. A region's colour is ‖C_i‖_F; in the
    overlay the norms of all regions that cover a pixel are added. The groups of the ``released`` grouping are no
    regions: there every (block, plane) histogram has the norm of the group that covers it, in one row of panels for
    each plane. Groups that a feature file brings along have no known place.

    Parameters
    ----------
    group_norms : array of shape (n_groups,)
        ‖C_i‖_F, zero for groups that are left out.
    grouping : str
        ``"region"``, ``"released"``, or any other.
    frame : array of shape (height, width) or (height, width, 3), optional
        The cropped face to draw on, such as the clip's first frame; otherwise a generated face.
    title : str
    """
    norms = np.asarray(group_norms, dtype=np.float64)
    if grouping not in ("region", "released") or len(norms) != N_REGIONS:
        return _draw_bars(norms, title)
    face = _generated() if frame is None else as_face(frame)
    return _draw_over_face(norms[None, :] if grouping == "region" else histogram_norms(norms), face, title)


def draw_overlay(axis: Axes, weights: npt.NDArray[np.float64], largest: float) -> AxesImage:
    """Draw the weights (85,) of the regions, summed over the scales, over a generated face."""
    return _draw_panel(axis, weights, _PANELS["all scales"], largest, _generated())


def histogram_norms(group_norms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Norm of the released group that covers each (plane, block) histogram: array of shape (3, 85)."""
    histograms = released_histograms()
    norms = np.zeros((N_PLANES, len(group_norms)))
    norms[histograms[:, 1], histograms[:, 0]] = np.repeat(group_norms, N_PLANES)
    return norms


def overlay(weights: npt.NDArray[np.float64], part: slice = _PANELS["all scales"]) -> npt.NDArray[np.float64]:
    """Sum of the weights of all regions of a part that cover each pixel, from weights (85,): shape (106, 106)."""
    total = np.zeros((_SIDE - 2 * _MARGIN, _SIDE - 2 * _MARGIN))
    for (top, left, bottom, right), weight in zip(_BOXES[part], weights[part], strict=True):
        total[top:bottom, left:right] += weight
    return total


def read_face(path: Path, *, crop: bool = False) -> npt.NDArray[np.uint8]:
    """Read a clip's first frame in grey: of a folder of frames, a video file, or an image file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it cannot be read, or (with ``crop``) shows no face.
    """
    from tgsr.datasets._clips import VIDEO_SUFFIXES, read_image
    from tgsr.features.extraction import load_clip
    from tgsr.preprocessing._face import crop_face

    is_image = path.is_file() and path.suffix.lower() not in VIDEO_SUFFIXES
    frame = read_image(path) if is_image else load_clip(path)[0]
    return np.asarray(crop_face(frame[None])[0] if crop else frame, dtype=np.uint8)


def as_face(frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give a frame in grey, stretched to the range 0…255: array of shape (height, width)."""
    grey = np.asarray(frame, dtype=np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3] @ np.array([0.114, 0.587, 0.299])  # blue, green, red, as OpenCV reads them
    low, high = np.percentile(grey, [1, 99])
    stretched: npt.NDArray[np.uint8] = np.clip(255 * (grey - low) / max(high - low, 1.0), 0, 255).astype(np.uint8)
    return stretched


@functools.cache
def _generated() -> npt.NDArray[np.float64]:
    """A face of no person, pale, so that colours stand out on it."""
    subject, light = draw_subject(np.random.default_rng(3)), Illumination((-0.2, -0.3, 1.0), 0.5, infrared=True)
    grey = as_face(render_face(subject, light, 2 * _SIDE, 2 * _SIDE)[..., ::-1] * 255)
    return np.asarray(130 + 0.49 * grey, dtype=np.float64)


@styled
def _draw_over_face(rows: npt.NDArray[np.float64], face: npt.NDArray[Any], title: str) -> Figure:
    """Norms of the regions, a row of panels for each row of (n_rows, 85)."""
    figure = new_figure(PAGE, 2.12 if len(rows) == 1 else 0.55 + 1.36 * len(rows), title)
    panels = figure.subplots(len(rows), len(_PANELS), squeeze=False)
    largest = [float(rows.max()) or 1.0] * len(_PANELS)
    largest[0] = max(float(overlay(weights).max()) for weights in rows) or 1.0
    for column, (name, part) in enumerate(_PANELS.items()):
        for axis, weights in zip(panels[:, column], rows, strict=True):
            drawn = _draw_panel(axis, weights, part, largest[column], face)
            if column > 0:
                _outline(axis, weights[part] > 0, part)
        panels[0, column].set_title(f"{name}: {np.count_nonzero(rows[:, part])} of {rows[:, part].size}", fontsize=7.5)
        if column == 0:
            figure.colorbar(
                drawn, ax=panels[:, 0], location="bottom", label="Σ ‖C$_i$‖ of a pixel", aspect=12, pad=0.03
            )
    label = "‖C$_i$‖$_F$" if len(rows) == 1 else "‖C$_i$‖$_F$ of the group that covers the (block, plane) histogram"
    figure.colorbar(drawn, ax=panels[:, 1:], location="bottom", label=label, aspect=52, pad=0.03)
    if len(rows) > 1:
        for axis, plane in zip(panels[:, 0], PLANES, strict=True):
            axis.set_ylabel(f"plane {plane}", labelpad=3)
    return figure


@styled
def _draw_bars(norms: npt.NDArray[np.float64], title: str) -> Figure:
    figure = new_figure(PAGE, 2.2, title)
    axis = figure.subplots()
    axis.bar(np.arange(len(norms)), norms, color=BLUE)
    axis.set(xlabel="group of features", ylabel="‖C$_i$‖$_F$", xlim=(-1, len(norms)))
    return figure


def _draw_panel(
    axis: Axes, weights: npt.NDArray[np.float64], part: slice, largest: float, face: npt.NDArray[Any]
) -> AxesImage:
    """Draw the norms of a part of the regions in light to dark blue over a face."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    axis.set(xlim=(0, _SIDE), ylim=(_SIDE, 0), aspect="equal", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.imshow(face, extent=(0, _SIDE, _SIDE, 0), cmap="gray", vmin=0, vmax=255, zorder=0)
    heat = overlay(weights, part)
    # without the whitest blues, which would look like nothing
    blues = ListedColormap(mpl.colormaps["Blues"](np.linspace(0.25, 1, 256)))
    inside = (_MARGIN, _SIDE - _MARGIN, _SIDE - _MARGIN, _MARGIN)
    look: dict[str, Any] = {"cmap": blues, "vmin": 0, "vmax": largest, "zorder": 0.5, "interpolation": "nearest"}
    return axis.imshow(heat, alpha=np.where(heat > 0, 0.75, 0.0), extent=inside, **look)


def _outline(axis: Axes, kept: npt.NDArray[np.bool_], part: slice) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    boxes = _BOXES[part] + _MARGIN
    for chosen, colour, width in ((~kept, "#BBBBBB", 0.35), (kept, "black", 0.7)):
        shown = [Rectangle((left, top), right - left, bottom - top) for top, left, bottom, right in boxes[chosen]]
        axis.add_collection(PatchCollection(shown, facecolor="none", edgecolor=colour, lw=width, zorder=2 + width))
