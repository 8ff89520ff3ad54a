"""Interactive surfaces for a page that needs no other file.

plotly's script (4.8 MB) and the scores travel compressed inside the page and are unpacked by the browser when a reader
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

from tgsr.reports.surface import is_grid

__all__ = ["packed_plotly", "packed_surfaces", "surface_numbers"]

_SCALE = 10_000
"""Scores are stored as whole ten-thousandths, half of what the paper's last digit can show."""


def surface_numbers(table: pd.DataFrame) -> dict[str, Any]:
    """What the browser draws of one study, as JSON values.

    A grid gives ``kappas``, ``xis`` and for each score a matrix (κ × ξ) in ten-thousandths, null where no trial is;
    scattered trials give one list each, with ``grid`` false.
    """
    if is_grid(table):
        numbers: dict[str, Any] = {"grid": True}
        for metric in ("macro_f1", "accuracy"):
            scores = table.pivot_table(index="kappa", columns="xi", values=metric)
            numbers["kappas"] = [int(kappa) for kappa in scores.index]
            numbers["xis"] = [float(xi) for xi in scores.columns]
            numbers[metric] = [_scaled(row) for row in scores.to_numpy(dtype=np.float64)]
        return numbers
    return {
        "grid": False,
        "kappas": [int(kappa) for kappa in table["kappa"]],
        "xis": [float(xi) for xi in table["xi"]],
        "macro_f1": _scaled(table["macro_f1"].to_numpy(dtype=np.float64)),
        "accuracy": _scaled(table["accuracy"].to_numpy(dtype=np.float64)),
    }


def packed_surfaces(tables: Mapping[str, pd.DataFrame]) -> str:
    """The numbers of several studies by their names, compressed, as text for a page."""
    return _packed(json.dumps({name: surface_numbers(table) for name, table in tables.items()}))


@functools.cache
def packed_plotly() -> str:
    """Plotly's script, compressed, as text for a page."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _scaled(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[int | None]:
    return [round(_SCALE * float(value)) if np.isfinite(value) else None for value in values]
