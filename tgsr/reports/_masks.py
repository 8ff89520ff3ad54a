"""The kept regions over a face (the paper's Fig. 2), for true regions and for the groups of the released records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.protocols import N_REGIONS
from tgsr.regions import N_PLANES, PLANES, SCALES, region_boxes, released_histograms
from tgsr.reports._face import INTERIOR, MARGIN, draw_face
from tgsr.reports._style import BLUE, PAGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["draw_mask", "histogram_norms", "overlay"]

_OPACITY = 0.75


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
        The face to draw on, such as the clip's first frame; otherwise a generated face.
    title : str
    """
    norms = np.asarray(group_norms, dtype=np.float64)
    if grouping not in ("region", "released") or len(norms) != N_REGIONS:
        return _draw_bars(norms, title)
    return _draw_over_face(norms[None, :] if grouping == "region" else histogram_norms(norms), frame, title)


def histogram_norms(group_norms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Norm of the released group that covers each (plane, block) histogram: array of shape (3, 85)."""
    histograms = released_histograms()
    norms = np.zeros((N_PLANES, len(group_norms)))
    norms[histograms[:, 1], histograms[:, 0]] = np.repeat(group_norms, N_PLANES)
    return norms


def overlay(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum of the weights of all regions that cover each pixel, from weights (85,): array of shape (106, 106)."""
    total = np.zeros((INTERIOR, INTERIOR))
    for (top, left, bottom, right), weight in zip(region_boxes(INTERIOR, INTERIOR), weights, strict=True):
        total[top:bottom, left:right] += weight
    return total


@styled
def _draw_over_face(rows: npt.NDArray[np.float64], frame: npt.NDArray[Any] | None, title: str) -> Figure:
    """Norms of the regions, a row of panels for each row of (n_rows, 85)."""
    figure = new_figure(PAGE, 2.12 if len(rows) == 1 else 0.55 + 1.36 * len(rows))
    panels = figure.subplots(len(rows), 1 + len(SCALES), squeeze=False)
    summed = [overlay(weights) for weights in rows]
    top, single = max(float(plane.max()) for plane in summed) or 1.0, float(rows.max()) or 1.0
    for row, (weights, total) in enumerate(zip(rows, summed, strict=True)):
        over = _draw_heat(panels[row, 0], total, top, frame)
        for column, scale in enumerate(SCALES, start=1):
            alone = _draw_scale(panels[row, column], weights, scale, single, frame)
        if len(rows) > 1:
            panels[row, 0].set_ylabel(f"plane {PLANES[row]}", labelpad=3)
    for column, name in enumerate(["all scales", *(f"{scale} × {scale}" for scale in SCALES)]):
        panels[0, column].set_title(_counted(name, rows, column), fontsize=7.5)
    figure.colorbar(over, ax=panels[:, 0], location="bottom", label="Σ ‖C$_i$‖ of a pixel", aspect=12, pad=0.03)
    label = "‖C$_i$‖$_F$" if len(rows) == 1 else "‖C$_i$‖$_F$ of the group that covers the (block, plane) histogram"
    figure.colorbar(alone, ax=panels[:, 1:], location="bottom", label=label, aspect=52, pad=0.03)
    if title:
        figure.suptitle(title)
    return figure


@styled
def _draw_bars(norms: npt.NDArray[np.float64], title: str) -> Figure:
    figure = new_figure(PAGE, 2.2)
    axis = figure.subplots()
    axis.bar(np.arange(len(norms)), norms, color=BLUE)
    axis.set(xlabel="group of features", ylabel="‖C$_i$‖$_F$", xlim=(-1, len(norms)))
    if title:
        axis.set_title(title)
    return figure


def _blues() -> Colormap:
    """Light to dark blue, as in the mask of a trial; without the whitest blues, which would look like nothing."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps["Blues"](np.linspace(0.25, 1, 256)))


def _first_region(scale: int) -> int:
    return sum(smaller * smaller for smaller in SCALES if smaller < scale)


def _counted(name: str, rows: npt.NDArray[np.float64], column: int) -> str:
    if column == 0:
        kept, of = np.count_nonzero(rows), rows.size
    else:
        first, scale = _first_region(SCALES[column - 1]), SCALES[column - 1]
        part = rows[:, first : first + scale * scale]
        kept, of = np.count_nonzero(part), part.size
    return f"{name}: {kept} of {of}"


def _draw_heat(axis: Axes, heat: npt.NDArray[np.float64], largest: float, frame: npt.NDArray[Any] | None) -> AxesImage:
    draw_face(axis, frame)
    extent = (MARGIN, MARGIN + INTERIOR, MARGIN + INTERIOR, MARGIN)
    opacity = np.where(heat > 0, _OPACITY, 0.0)
    return axis.imshow(
        heat, cmap=_blues(), vmin=0, vmax=largest, alpha=opacity, extent=extent, zorder=0.5, interpolation="nearest"
    )


def _draw_scale(
    axis: Axes, weights: npt.NDArray[np.float64], scale: int, largest: float, frame: npt.NDArray[Any] | None
) -> AxesImage:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    first = _first_region(scale)
    own = np.zeros_like(weights)
    own[first : first + scale * scale] = weights[first : first + scale * scale]
    drawn = _draw_heat(axis, overlay(own), largest, frame)
    boxes = region_boxes(INTERIOR, INTERIOR)[first : first + scale * scale] + MARGIN
    rectangles = [Rectangle((left, top), right - left, bottom - top) for top, left, bottom, right in boxes]
    kept = weights[first : first + scale * scale] > 0
    for chosen, colour, width in ((~kept, "#BBBBBB", 0.35), (kept, "black", 0.7)):
        shown = [rectangle for rectangle, there in zip(rectangles, chosen, strict=True) if there]
        axis.add_collection(PatchCollection(shown, facecolor="none", edgecolor=colour, lw=width, zorder=2 + width))
    return drawn
