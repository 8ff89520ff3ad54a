"""One style for every figure: sizes, colour-blind-safe colours, and how figures become files.

Fonts and lines are those of ``tgsr.mplstyle``. Figures are made with matplotlib's object interface and the Agg canvas:
no pyplot, no state that threads could share.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from tgsr.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_data_uri", "figure_bytes", "new_figure", "save_figure", "styled"]

BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
"""Of Okabe and Ito's palette, which readers with any colour vision can tell apart."""
GREY, COLOURMAP = "#8A8A8A", "cividis"
COLUMN, PAGE = 3.5, 7.16
"""Widths of one column and of a page in IEEE's journals, in inches."""
_SHEET = Path(__file__).with_name("tgsr.mplstyle")

_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Let a function that draws a figure draw it in this style."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        import matplotlib as mpl

        with mpl.rc_context(fname=_SHEET):
            figure = draw(*args, **kwargs)
            engine = figure.get_layout_engine()
            if engine is not None:
                engine.execute(figure)
            figure.set_layout_engine("none")  # laid out once, not again for every file that is made of it
            return figure

    return drawn


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Make a figure of a size in inches, empty but for its title, laid out so that nothing overlaps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title)
    return figure


def figure_bytes(figure: Figure, kind: str, dpi: int = 150, **more: Any) -> bytes:
    """Give the figure as a file: ``kind`` is ``png`` or ``pdf``. The same figure gives the same bytes.

    ``more`` are further arguments of matplotlib's ``savefig``.
    """
    import matplotlib as mpl

    undated: dict[str, Any] = dict.fromkeys(("Software",) if kind == "png" else ("CreationDate", "Creator", "Producer"))
    buffer = io.BytesIO()
    with mpl.rc_context(fname=_SHEET):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=undated, **more)
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> None:
    """Write a figure in one step; the suffix (``.png``, ``.pdf``) decides the kind."""
    content = figure_bytes(figure, Path(path).suffix.removeprefix(".").lower(), dpi)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def as_data_uri(figure: Figure, dpi: int = 150) -> str:
    """The figure as a ``data:`` address, for pages that must not need other files.

    It has a palette of 256 colours: a third of the size, no difference on screen.
    """
    from PIL import Image

    # what is only read here need not be small
    with Image.open(io.BytesIO(figure_bytes(figure, "png", dpi, pil_kwargs={"compress_level": 0}))) as image:
        palette = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    palette.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
