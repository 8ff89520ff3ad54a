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
import pandas as pd

from tgsr.evaluation.remarks import symbol
from tgsr.reports._settings import as_shown, axis_label, is_grid, is_log, score_label, scores_of

__all__ = ["packed_plotly", "packed_surfaces", "surface_figure"]

_DIGITS = {"accuracy": 2}
"""Of scores on a page, where they are not four."""


def surface_figure(table: pd.DataFrame, over: tuple[str, str]) -> Any:
    """The scores of a table over two settings (y, x) as a figure of plotly.

    It is a map with buttons for the metric and, of a grid, for a map or a solid; scattered trials are points. On a log
    axis a value of 0 is left out.
    """
    import plotly.graph_objects as go

    axes = []
    for name in over:
        kind = "log" if is_log(name, table[name].to_numpy(dtype=np.float64)) else "linear"
        table = table[table[name] > 0] if kind == "log" else table
        axes.append({"title": axis_label(name), "type": kind, "zeroline": False})
    metrics, (y, x), solid = scores_of(table), axes, is_grid(table, over)
    shown = as_shown(table).round({metric: _DIGITS.get(metric, 4) for metric in metrics})
    figure = go.Figure([_trace(shown, over, metric, solid) for metric in metrics])
    figure.update_traces(visible=False, selector=lambda trace: trace is not figure.data[0])
    figure.update_layout(
        xaxis=x,
        yaxis=y,
        scene={"xaxis": x, "yaxis": y, "zaxis": {"title": ""}, "aspectratio": {"x": 1.5, "y": 1.5, "z": 0.8}},
        margin={"t": 60, "r": 10, "b": 50, "l": 55},
        updatemenus=_menus(metrics, solid),
        template="none",
    )
    return figure


def packed_surfaces(tables: Mapping[str, tuple[pd.DataFrame, tuple[str, str]]]) -> str:
    """The figures of several studies by their names (table, settings), compressed, as text for a page."""
    from plotly.utils import PlotlyJSONEncoder

    figures = {name: surface_figure(*given) for name, given in tables.items()}
    return _packed(json.dumps(figures, cls=PlotlyJSONEncoder))


@functools.cache
def packed_plotly() -> str:
    """Plotly's script, compressed, as text for a page."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _trace(table: pd.DataFrame, over: tuple[str, str], metric: str, solid: bool) -> Any:
    import plotly.graph_objects as go

    vertical, horizontal = over
    colours = {"colorscale": "Cividis", "colorbar": {"title": score_label(metric)}}
    value = "z" if solid else "marker.color"
    hover = f"{symbol(vertical)} = %{{y}}, {symbol(horizontal)} = %{{x}}<br>%{{{value}}}<extra></extra>"
    if solid:
        scores = table.pivot_table(index=vertical, columns=horizontal, values=metric)
        places = {"x": scores.columns.tolist(), "y": scores.index.tolist(), "z": scores.to_numpy().tolist()}
        return go.Heatmap(**places, **colours, hovertemplate=hover)
    places = {"x": table[horizontal].tolist(), "y": table[vertical].tolist()}
    marker = {"color": table[metric].tolist(), "showscale": True, "size": 8, **colours}
    return go.Scatter(**places, mode="markers", marker=marker, hovertemplate=hover)


def _menus(metrics: list[str], solid: bool) -> list[dict[str, Any]]:
    """Buttons above the figure: which score, and how a grid is drawn."""
    which = {score_label(metric): ["visible", [metric == other for other in metrics]] for metric in metrics}
    kinds = {"map": ["type", "heatmap"], "surface": ["type", "surface"]} if solid else {}
    place = {"type": "buttons", "direction": "right", "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
    return [
        {
            **place,
            "x": at,
            "buttons": [{"label": label, "method": "restyle", "args": args} for label, args in choices.items()],
        }
        for at, choices in ((0.0, which), (0.45, kinds))
        if len(choices) > 1
    ]
