"""Interactive surfaces for a page that needs no other file.

plotly's script (4.8 MB) and its figures travel compressed inside the page and are unpacked by the browser when a reader
asks for them; the pictures are there without.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.reports.axes import axis_label, is_log, scores_of, symbol
from tgsr.reports.style import METRICS, score_label
from tgsr.reports.surface import is_grid

__all__ = ["packed_plotly", "packed_surfaces", "surface_figure"]

_DIGITS = (4, 3)
"""Digits of the scores; the smaller number where a page would become too large."""
_LIMIT = 1_500_000
"""Characters of packed figures that a page may have: with plotly and pictures it stays below 5 MB."""
_COLOURS = "Cividis"


def surface_figure(table: pd.DataFrame, over: tuple[str, str], digits: int = _DIGITS[0]) -> dict[str, Any]:
    """The scores over two settings as a figure of plotly, in JSON values.

    Parameters
    ----------
    table : DataFrame
        A row a trial: two settings, and ``macro_f1, accuracy`` (fractions), or only ``selection_value``.
    over : tuple of str
        The settings on the y and on the x axis.
    digits : int
        Of the scores.

    Returns
    -------
    dict
        A map with buttons for the metric and, of a grid, for a map or a solid; scattered trials are points.
    """
    import plotly.graph_objects as go

    metrics, solid = scores_of(table), is_grid(table, over)
    draw = _draw_grid if solid else _draw_points
    figure = go.Figure([draw(table, over, metric, digits) for metric in metrics])
    for trace in figure.data[1:]:
        trace.visible = False
    x, y = (_axis(name, table[name]) for name in (over[1], over[0]))
    scene = {
        "xaxis": x | {"title": symbol(over[1])},
        "yaxis": y | {"title": symbol(over[0])},
        "zaxis": {"title": ""},
        "aspectratio": {"x": 1.5, "y": 1.5, "z": 0.8},
        "camera": {"eye": {"x": -1.35, "y": -1.6, "z": 1.0}, "center": {"x": 0, "y": 0, "z": -0.15}},
    }
    figure.update_layout(
        xaxis=x, yaxis=y, scene=scene, margin={"t": 60, "r": 10, "b": 50, "l": 55}, updatemenus=_menus(metrics, solid)
    )
    found: dict[str, Any] = figure.to_plotly_json()
    found["layout"].pop("template", None)
    return found


def packed_surfaces(tables: Mapping[str, tuple[pd.DataFrame, tuple[str, str]]]) -> str:
    """The figures of several studies by their names (table, settings), compressed, as text for a page."""
    packed = ""
    for digits in _DIGITS:
        packed = _packed(json.dumps({name: surface_figure(*given, digits) for name, given in tables.items()}))
        if len(packed) <= _LIMIT:
            break
    return packed


@functools.cache
def packed_plotly() -> str:
    """Plotly's script, compressed, as text for a page."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _draw_grid(table: pd.DataFrame, over: tuple[str, str], metric: str, digits: int) -> Any:
    import plotly.graph_objects as go

    scores = table.pivot_table(index=over[0], columns=over[1], values=metric)
    columns, rows = (axis.to_numpy(dtype=np.float64) for axis in (scores.columns, scores.index))
    z = [_rounded(row, metric, digits) for row in scores.to_numpy(dtype=np.float64)]
    shown = [[f"{value:.4g}" for value in columns]] * len(rows)
    return go.Heatmap(
        x=_places(over[1], columns).tolist(),
        y=_places(over[0], rows).tolist(),
        z=z,
        colorscale=_COLOURS,
        colorbar={"title": METRICS.get(metric, metric)},
        customdata=shown,
        hovertemplate=_hover(over, metric, "z"),
    )


def _draw_points(table: pd.DataFrame, over: tuple[str, str], metric: str, digits: int) -> Any:
    import plotly.graph_objects as go

    rows, columns = (table[name].to_numpy(dtype=np.float64) for name in over)
    return go.Scatter(
        x=_places(over[1], columns).tolist(),
        y=_places(over[0], rows).tolist(),
        mode="markers",
        marker={
            "color": _rounded(table[metric].to_numpy(dtype=np.float64), metric, digits),
            "colorscale": _COLOURS,
            "showscale": True,
            "colorbar": {"title": METRICS.get(metric, metric)},
            "size": 8,
        },
        customdata=[f"{value:.4g}" for value in columns],
        hovertemplate=_hover(over, metric, "marker.color"),
    )


def _hover(over: tuple[str, str], metric: str, value: str) -> str:
    return f"{symbol(over[0])} = %{{y}}, {symbol(over[1])} = %{{customdata}}<br>{metric} %{{{value}}}<extra></extra>"


def _menus(metrics: list[str], solid: bool) -> list[dict[str, Any]]:
    """Buttons above the figure: which score, and how a grid is drawn."""
    kinds = [{"label": name, "method": "restyle", "args": ["type", kind]} for name, kind in _KINDS if solid]
    which = [
        {
            "label": METRICS.get(metric, metric),
            "method": "restyle",
            "args": ["visible", [metric == other for other in metrics]],
        }
        for metric in metrics
    ]
    common = {"type": "buttons", "direction": "right", "yanchor": "bottom", "y": 1.02, "xanchor": "left"}
    menus = [common | {"x": 0.0, "buttons": which}, common | {"x": 0.45, "buttons": kinds}]
    return [menu for menu, buttons in zip(menus, (which, kinds), strict=True) if len(buttons) > 1]


_KINDS = (("map", "heatmap"), ("surface", "surface"))


def _places(name: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where values stand: on a log axis at their logarithms, 0 half a decade below the smallest positive one."""
    if not is_log(name, values):
        return values
    positive = values > 0
    logs = np.full(len(values), np.log10(values[positive].min()) - 0.5)
    logs[positive] = np.log10(values[positive])
    return np.round(logs, 6)


def _axis(name: str, column: pd.Series) -> dict[str, Any]:
    """An axis with the ticks of `_places`: decades, or some of the values themselves where there is but one decade."""
    axis: dict[str, Any] = {"title": axis_label(name), "zeroline": False}
    values = np.unique(column.to_numpy(dtype=np.float64))
    if is_log(name, values):
        positive = values[values > 0]
        first, last = np.ceil(np.log10(positive.min()) - 1e-9), np.floor(np.log10(positive.max()) + 1e-9)
        ticks = 10 ** np.arange(first, last + 1) if last > first else positive[:: -(-len(positive) // 5)]
        places = [np.log10(positive.min()) - 0.5] * int((values <= 0).any()) + np.log10(ticks).tolist()
        texts = ["0"] * int((values <= 0).any()) + [f"{tick:.4g}" for tick in ticks]
        axis |= {"tickvals": places, "ticktext": texts}
    return axis


def _rounded(values: npt.NDArray[np.float64], metric: str, digits: int) -> list[float | None]:
    """As the page shows them: accuracy in per cent, two digits fewer."""
    _, factor = score_label(metric)
    digits -= 2 if factor > 1 else 0
    return [round(factor * float(value), digits) if np.isfinite(value) else None for value in values]
