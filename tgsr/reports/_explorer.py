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

from tgsr.reports._axes import axis_label, is_log, scores_of, symbol
from tgsr.reports._style import METRICS, score_label
from tgsr.reports._surface import is_grid

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
        The settings on the y and on the x axis; on a log axis a value of 0 is left out.
    digits : int
        Of the scores.

    Returns
    -------
    dict
        A map with buttons for the metric and, of a grid, for a map or a solid; scattered trials are points.
    """
    import plotly.graph_objects as go

    axes = []
    for name in over:
        kind = "log" if is_log(name, table[name].to_numpy(dtype=np.float64)) else "linear"
        table = table[table[name] > 0] if kind == "log" else table
        axes.append({"title": axis_label(name), "type": kind, "zeroline": False})
    metrics, y, x = scores_of(table), *axes
    draw = _draw_grid if is_grid(table, over) else _draw_points
    figure = go.Figure([draw(table, over, metric, digits) for metric in metrics])
    figure.update_traces(visible=False, selector=lambda trace: trace is not figure.data[0])
    figure.update_layout(
        xaxis=x,
        yaxis=y,
        scene={"xaxis": x, "yaxis": y, "zaxis": {"title": ""}, "aspectratio": {"x": 1.5, "y": 1.5, "z": 0.8}},
        margin={"t": 60, "r": 10, "b": 50, "l": 55},
        updatemenus=_menus(metrics, is_grid(table, over)),
        template="none",
    )
    found: dict[str, Any] = figure.to_plotly_json()
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
    return go.Heatmap(
        x=scores.columns.tolist(),
        y=scores.index.tolist(),
        z=[_rounded(row, metric, digits) for row in scores.to_numpy(dtype=np.float64)],
        colorscale=_COLOURS,
        colorbar={"title": METRICS.get(metric, metric)},
        hovertemplate=_hover(over, "z"),
    )


def _draw_points(table: pd.DataFrame, over: tuple[str, str], metric: str, digits: int) -> Any:
    import plotly.graph_objects as go

    colours = _rounded(table[metric].to_numpy(dtype=np.float64), metric, digits)
    bar = {"title": METRICS.get(metric, metric)}
    marker = {"color": colours, "colorscale": _COLOURS, "showscale": True, "colorbar": bar, "size": 8}
    places = {"x": table[over[1]].tolist(), "y": table[over[0]].tolist()}
    return go.Scatter(**places, mode="markers", marker=marker, hovertemplate=_hover(over, "marker.color"))


def _hover(over: tuple[str, str], value: str) -> str:
    return f"{symbol(over[0])} = %{{y}}, {symbol(over[1])} = %{{x}}<br>%{{{value}}}<extra></extra>"


def _menus(metrics: list[str], solid: bool) -> list[dict[str, Any]]:
    """Buttons above the figure: which score, and how a grid is drawn."""
    which = {METRICS.get(metric, metric): ["visible", [metric == other for other in metrics]] for metric in metrics}
    kinds = {"map": ["type", "heatmap"], "surface": ["type", "surface"]} if solid else {}
    return [
        {
            "type": "buttons",
            "direction": "right",
            "x": at,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "buttons": [{"label": label, "method": "restyle", "args": args} for label, args in choices.items()],
        }
        for at, choices in ((0.0, which), (0.45, kinds))
        if len(choices) > 1
    ]


def _rounded(values: npt.NDArray[np.float64], metric: str, digits: int) -> list[float | None]:
    """As the page shows them: accuracy in per cent, two digits fewer."""
    _, factor = score_label(metric)
    digits -= 2 if factor > 1 else 0
    return [round(factor * float(value), digits) if np.isfinite(value) else None for value in values]
