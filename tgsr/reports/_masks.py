"""The kept regions over a face (the paper's Fig. 2), for true regions and for the groups of the released records."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, PLANES, SCALES, region_boxes, released_histograms, schematic_face
from tgsr.reports.style import BLUE, PAGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = [
    "as_face",
    "draw_frequency",
    "draw_mask",
    "has_place",
    "histogram_norms",
    "overlay",
    "read_face",
]

_SIDE, _MARGIN = 112, 3
"""A face's frame in pixels, as features are computed on it; regions begin LBP-TOP's radius from its edge."""
_BOXES = region_boxes(_SIDE - 2 * _MARGIN, _SIDE - 2 * _MARGIN)
_ENDS = np.cumsum([0, *(scale * scale for scale in SCALES)])
_PANELS = {"all scales": slice(None)} | {
    f"{scale} × {scale}": slice(*ends) for scale, ends in zip(SCALES, pairwise(_ENDS), strict=True)
}
"""What each panel shows of the regions."""
_ALPHA = 0.75

Weights = npt.NDArray[np.float64]


def has_place(grouping: str, n_groups: int) -> bool:
    """Whether the groups have a place on a face; those that a feature file brings along have none that is known."""
    return grouping in ("region", "released") and n_groups == N_REGIONS


def draw_mask(
    norms: Weights, grouping: str = "region", frame: npt.NDArray[Any] | None = None, title: str = ""
) -> Figure:
    """Draw which groups a method keeps: over a face where they have a place on it, else as bars.

    On a face all four scales are in one overlay, then a panel for each scale. A region's colour is ‖C_i‖_F; in the
    overlay the norms of all regions that cover a pixel are added. The groups of the ``released`` grouping are no
    regions: there every (block, plane) histogram has the norm of the group that covers it, in one row of panels for
    each plane.

    Parameters
    ----------
    norms : array of shape (n_groups,)
        ‖C_i‖_F, zero for groups that are left out.
    grouping : str
        ``"region"``, ``"released"``, or any other.
    frame : array of shape (height, width) or (height, width, 3), optional
        The cropped face to draw on, such as the clip's first frame; otherwise a schematic face.
    title : str
    """
    return _draw_groups(norms, grouping, frame, title, ("Σ ‖C$_i$‖ of a pixel", "‖C$_i$‖$_F$"))


def draw_frequency(
    frequency: Weights, grouping: str = "region", frame: npt.NDArray[Any] | None = None, title: str = ""
) -> Figure:
    """Draw how often each group is kept (shares in 0…1) as `draw_mask` draws norms; the overlay has their mean."""
    return _draw_groups(frequency, grouping, frame, title, ("mean of the scales", "share of trials that keep it"), 1.0)


def histogram_norms(norms: Weights) -> Weights:
    """Norm of the released group that covers each (plane, block) histogram: array of shape (3, 85)."""
    histograms = released_histograms()
    shown = np.zeros((N_PLANES, len(norms)))
    shown[histograms[:, 1], histograms[:, 0]] = np.repeat(norms, N_PLANES)
    return shown


def overlay(weights: Weights, part: slice = _PANELS["all scales"]) -> Weights:
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
    from tgsr.datasets.clips import IMAGE_SUFFIXES, read_image
    from tgsr.features.extraction import load_clip
    from tgsr.preprocessing import crop_face

    frame = read_image(path) if path.suffix.lower() in IMAGE_SUFFIXES else load_clip(path)[0]
    return np.asarray(crop_face(frame[None])[0] if crop else frame, dtype=np.uint8)


def as_face(frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give a frame in grey, stretched to the range 0…255: array of shape (height, width)."""
    grey = np.asarray(frame, dtype=np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3] @ np.array([0.114, 0.587, 0.299])  # blue, green, red, as OpenCV reads them
    low, high = np.percentile(grey, [1, 99])
    stretched: npt.NDArray[np.uint8] = np.clip(255 * (grey - low) / max(high - low, 1.0), 0, 255).astype(np.uint8)
    return stretched


@styled
def _draw_groups(
    weights: Weights,
    grouping: str,
    frame: npt.NDArray[Any] | None,
    title: str,
    labels: tuple[str, str],
    largest: float | None = None,
) -> Figure:
    """Draw weights of groups; ``labels`` are those of the overlay's and the scales' colours."""
    weights = np.asarray(weights, dtype=np.float64)
    if not has_place(grouping, len(weights)):
        figure = new_figure(PAGE, 2.2, title)
        axis = figure.subplots()
        axis.bar(np.arange(len(weights)), weights, color=BLUE)
        axis.set(xlabel="group of features", ylabel=labels[1], xlim=(-1, len(weights)), ylim=(0, largest))
        return figure
    face = schematic_face(4 * _SIDE) if frame is None else as_face(frame)
    rows = weights[None, :] if grouping == "region" else histogram_norms(weights)
    figure = new_figure(PAGE, 2.12 if len(rows) == 1 else 0.55 + 1.36 * len(rows), title)
    panels = figure.subplots(len(rows), len(_PANELS), squeeze=False)
    together = [overlay(row) / (1 if largest is None else len(SCALES)) for row in rows]
    summed = largest or max(float(heat.max()) for heat in together) or 1.0
    for column, (name, part) in enumerate(_PANELS.items()):
        for axis, row, heat in zip(panels[:, column], rows, together, strict=True):
            if column == 0:
                drawn = _draw_panel(axis, heat, summed, face)
            else:
                drawn = _draw_panel(axis, overlay(row, part), largest or float(rows.max()) or 1.0, face)
                _draw_borders(axis, row[part] > 0, part)
        panels[0, column].set_title(f"{name}: {np.count_nonzero(rows[:, part])} of {rows[:, part].size}", fontsize=7.5)
        if column == 0:
            figure.colorbar(
                drawn, ax=panels[:, 0], location="bottom", label=labels[0], aspect=12, pad=0.03, alpha=_ALPHA
            )
    label = labels[1] if len(rows) == 1 else f"{labels[1]}, of the group that covers the (block, plane) histogram"
    figure.colorbar(drawn, ax=panels[:, 1:], location="bottom", label=label, aspect=52, pad=0.03, alpha=_ALPHA)
    if len(rows) > 1:
        for axis, plane in zip(panels[:, 0], PLANES, strict=True):
            axis.set_ylabel(f"plane {plane}", labelpad=3)
    return figure


def _draw_panel(axis: Axes, heat: Weights, largest: float, face: npt.NDArray[Any]) -> AxesImage:
    """Draw what covers each pixel in light to dark blue over a face."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    axis.set(xlim=(0, _SIDE), ylim=(_SIDE, 0), aspect="equal", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.imshow(face, extent=(0, _SIDE, _SIDE, 0), cmap="gray", vmin=0, vmax=255, zorder=0)
    # without the whitest blues, which would look like nothing
    blues = ListedColormap(mpl.colormaps["Blues"](np.linspace(0.25, 1, 256)))
    inside = (_MARGIN, _SIDE - _MARGIN, _SIDE - _MARGIN, _MARGIN)
    look: dict[str, Any] = {"cmap": blues, "vmin": 0, "vmax": largest, "zorder": 0.5, "interpolation": "nearest"}
    return axis.imshow(heat, alpha=np.where(heat > 0, _ALPHA, 0.0), extent=inside, **look)


def _draw_borders(axis: Axes, kept: npt.NDArray[np.bool_], part: slice) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    boxes = _BOXES[part] + _MARGIN
    for chosen, colour, width in ((~kept, "#BBBBBB", 0.35), (kept, "black", 0.7)):
        shown = [Rectangle((left, top), right - left, bottom - top) for top, left, bottom, right in boxes[chosen]]
        axis.add_collection(PatchCollection(shown, facecolor="none", edgecolor=colour, lw=width, zorder=2 + width))
