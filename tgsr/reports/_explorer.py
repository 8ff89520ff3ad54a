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


def surface_figure(table: pd.DataFrame, over: tuple[str, str], by: str) -> dict[str, Any]:
    """The scores of a table over two settings (y, x), and what a choice reads, as data and layout for plotly's script.

    It is a map with buttons for the score and, of a grid, for a map or a solid; scattered trials are points. On a log
    axis a value of 0 is left out.
    """
    axes = []
    for name in over:
        kind = "log" if is_log(name, table[PARAM + name].to_numpy(dtype=np.float64)) else "linear"
        table = table[table[PARAM + name] > 0] if kind == "log" else table
        axes.append({"title": {"text": axis_label(name)}, "type": kind, "zeroline": False})
    columns, (y, x), solid = scores_of(table, by), axes, is_grid(table, over)
    traces = [{**_trace(table, over, column, solid), "visible": column == columns[0]} for column in columns]
    which = {column_label(column): ["visible", [column == other for other in columns]] for column in columns}
    kinds = {"map": ["type", "heatmap"], "surface": ["type", "surface"]} if solid else {}
    solid_axes = {"xaxis": x, "yaxis": y, "zaxis": {"title": {"text": ""}}}
    layout = {
        "xaxis": x,
        "yaxis": y,
        "scene": {**solid_axes, "aspectratio": {"x": 1.5, "y": 1.5, "z": 0.8}},
        "margin": {"t": 90, "r": 10, "b": 50, "l": 55},
        "updatemenus": [_menu(which, 5), _menu(kinds, 42)],
    }
    return {"data": traces, "layout": layout}


def packed_surfaces(surfaces: Mapping[str, tuple[pd.DataFrame, tuple[str, str], str]]) -> str:
    """The figures of several studies by their names (table, settings, choice), compressed, as text for a page."""
    return _packed(json.dumps({name: surface_figure(*given) for name, given in surfaces.items()}, allow_nan=False))


@functools.cache
def packed_plotly() -> str:
    """Plotly's script, compressed, as text for a page."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _trace(table: pd.DataFrame, over: tuple[str, str], column: str, solid: bool) -> dict[str, Any]:
    """One score over the settings; what is missing is null."""
    vertical, horizontal = (PARAM + name for name in over)
    values = in_units(table, column).map(lambda value: float(f"{value:.4g}"))  # what a reader can tell apart
    colours = {"colorscale": "Cividis", "colorbar": {"title": {"text": column_label(column)}}}
    value = "z" if solid else "marker.color"
    hover = f"{symbol(over[0])} = %{{y}}, {symbol(over[1])} = %{{x}}<br>%{{{value}}}<extra></extra>"
    if solid:
        cells = table.assign(value=values).pivot_table(index=vertical, columns=horizontal, values="value")
        z = cells.astype(object).where(cells.notna(), None).to_numpy().tolist()
        places: dict[str, Any] = {"x": cells.columns.tolist(), "y": cells.index.tolist(), "z": z}
        return {"type": "heatmap", **places, **colours, "hovertemplate": hover}
    marker = {"color": values.astype(object).where(values.notna(), None).tolist(), "showscale": True, "size": 8}
    places = {"x": table[horizontal].tolist(), "y": table[vertical].tolist(), "marker": {**marker, **colours}}
    return {"type": "scatter", "mode": "markers", **places, "hovertemplate": hover}


def _menu(choices: Mapping[str, list[Any]], above: int) -> dict[str, Any]:
    """Buttons so many pixels above the figure."""
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": above}, "direction": "right"}
    buttons = [{"label": label, "method": "restyle", "args": args} for label, args in choices.items()]
    return {"type": "buttons", **place, "buttons": buttons, "visible": len(buttons) > 1}
