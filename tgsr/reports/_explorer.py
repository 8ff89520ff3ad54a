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

    A grid is a map, scattered trials are points; buttons choose the score. On a log axis a value of 0 is left out.
    """
    axes = []
    for name in over:
        kind = "log" if is_log(name, table[PARAM + name].to_numpy(dtype=np.float64)) else "linear"
        table = table[table[PARAM + name] > 0] if kind == "log" else table
        axes.append({"title": {"text": axis_label(name)}, "type": kind, "zeroline": False})
    columns = scores_of(table, by)
    draw, value = (_map, "z") if is_grid(table, over) else (_points, "marker.color")
    text = f"{symbol(over[0])} = %{{y}}, {symbol(over[1])} = %{{x}}<br>%{{{value}}}<extra></extra>"
    traces, buttons = [], []
    for column in columns:
        label = column_label(column)
        shown = {"visible": column == columns[0], "hovertemplate": text}
        values = in_units(table, column).map(lambda value: float(f"{value:.4g}"))  # what a reader can tell apart
        colours = {"colorscale": "Cividis", "colorbar": {"title": {"text": label}}}
        traces.append({**draw(table, over, values, colours), **shown})
        visible = [column == other for other in columns]
        buttons.append({"label": label, "method": "restyle", "args": ["visible", visible]})
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "direction": "right"}
    menu = {"type": "buttons", **place, "buttons": buttons, "visible": len(buttons) > 1}
    layout = {"yaxis": axes[0], "xaxis": axes[1], "updatemenus": [menu], "margin": {"t": 50, "r": 10, "b": 50, "l": 55}}
    return {"data": traces, "layout": layout}


def _map(table: pd.DataFrame, over: tuple[str, str], values: pd.Series, colours: dict[str, Any]) -> dict[str, Any]:
    vertical, horizontal = (PARAM + name for name in over)
    cells = table.assign(value=values).pivot_table(index=vertical, columns=horizontal, values="value")
    z = cells.astype(object).where(cells.notna(), None).to_numpy().tolist()  # what is missing is null
    return {"type": "heatmap", "x": cells.columns.tolist(), "y": cells.index.tolist(), "z": z, **colours}


def _points(table: pd.DataFrame, over: tuple[str, str], values: pd.Series, colours: dict[str, Any]) -> dict[str, Any]:
    marker = {"color": values.astype(object).where(values.notna(), None).tolist(), "showscale": True, "size": 8}
    y, x = (table[PARAM + name].tolist() for name in over)
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker | colours}


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
