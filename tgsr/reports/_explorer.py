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

from tgsr.evaluation.choice import PARAM
from tgsr.evaluation.remarks import symbol
from tgsr.reports._columns import axis_label, column_label, in_units, is_log, scores_of
from tgsr.reports._settings import is_grid

__all__ = ["packed_plotly", "packed_surfaces", "surface_figure"]


def surface_figure(table: pd.DataFrame, over: tuple[str, str], by: str) -> Any:
    """The scores of a table over two settings (y, x), and what a choice reads, as a figure of plotly.

    It is a map with buttons for the score and, of a grid, for a map or a solid; scattered trials are points. On a log
    axis a value of 0 is left out.
    """
    import plotly.graph_objects as go

    axes = []
    for name in over:
        kind = "log" if is_log(name, table[PARAM + name].to_numpy(dtype=np.float64)) else "linear"
        table = table[table[PARAM + name] > 0] if kind == "log" else table
        axes.append({"title": axis_label(name), "type": kind, "zeroline": False})
    columns, (y, x), solid = scores_of(table, by), axes, is_grid(table, over)
    figure = go.Figure([_trace(table, over, column, solid) for column in columns])
    figure.update_traces(visible=False, selector=lambda trace: trace is not figure.data[0])
    figure.update_layout(
        xaxis=x,
        yaxis=y,
        scene={"xaxis": x, "yaxis": y, "zaxis": {"title": ""}, "aspectratio": {"x": 1.5, "y": 1.5, "z": 0.8}},
        margin={"t": 60, "r": 10, "b": 50, "l": 55},
        updatemenus=_menus(columns, solid),
        template="none",
    )
    return figure


def packed_surfaces(surfaces: Mapping[str, tuple[pd.DataFrame, tuple[str, str], str]]) -> str:
    """The figures of several studies by their names (table, settings, choice), compressed, as text for a page."""
    from plotly.utils import PlotlyJSONEncoder

    figures = {name: surface_figure(*given) for name, given in surfaces.items()}
    return _packed(json.dumps(figures, cls=PlotlyJSONEncoder))


@functools.cache
def packed_plotly() -> str:
    """Plotly's script, compressed, as text for a page."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _trace(table: pd.DataFrame, over: tuple[str, str], column: str, solid: bool) -> Any:
    import plotly.graph_objects as go

    vertical, horizontal = (PARAM + name for name in over)
    values = in_units(table, column).map(lambda value: float(f"{value:.4g}"))  # what a reader can tell apart
    colours = {"colorscale": "Cividis", "colorbar": {"title": column_label(column)}}
    value = "z" if solid else "marker.color"
    hover = f"{symbol(over[0])} = %{{y}}, {symbol(over[1])} = %{{x}}<br>%{{{value}}}<extra></extra>"
    if solid:
        cells = table.assign(value=values).pivot_table(index=vertical, columns=horizontal, values="value")
        places = {"x": cells.columns.tolist(), "y": cells.index.tolist(), "z": cells.to_numpy().tolist()}
        return go.Heatmap(**places, **colours, hovertemplate=hover)
    places = {"x": table[horizontal].tolist(), "y": table[vertical].tolist()}
    marker = {"color": values.tolist(), "showscale": True, "size": 8, **colours}
    return go.Scatter(**places, mode="markers", marker=marker, hovertemplate=hover)


def _menus(columns: list[str], solid: bool) -> list[dict[str, Any]]:
    """Buttons above the figure: which score, and how a grid is drawn."""
    which = {column_label(column): ["visible", [column == other for other in columns]] for column in columns}
    kinds = {"map": ["type", "heatmap"], "surface": ["type", "surface"]} if solid else {}
    place = {"type": "buttons", "direction": "right", "xanchor": "left", "yanchor": "bottom", "x": 0.0}
    return [
        {
            **place,
            "y": height,
            "buttons": [{"label": label, "method": "restyle", "args": args} for label, args in choices.items()],
        }
        for height, choices in ((1.02, which), (1.12, kinds))
        if len(choices) > 1
    ]
