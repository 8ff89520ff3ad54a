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

_STEPS = (10_000, 1_000)
"""Scores are stored as whole ten-thousandths; as thousandths where a page would become too large."""
_LIMIT = 1_500_000
"""Characters of packed scores that a page may have: with plotly and pictures it stays below 5 MB."""


def surface_numbers(table: pd.DataFrame, steps: int = _STEPS[0]) -> dict[str, Any]:
    """What the browser draws of one study, as JSON values.

    A grid gives ``kappas``, ``xis`` and for each score a matrix (κ × ξ) in whole ``steps``-ths, null where no trial
    is; scattered trials give one list each, with ``grid`` false.
    """
    if is_grid(table):
        numbers: dict[str, Any] = {"grid": True, "steps": steps}
        for metric in ("macro_f1", "accuracy"):
            scores = table.pivot_table(index="kappa", columns="xi", values=metric)
            numbers["kappas"] = [int(kappa) for kappa in scores.index]
            numbers["xis"] = [float(xi) for xi in scores.columns]
            numbers[metric] = [_scaled(row, steps) for row in scores.to_numpy(dtype=np.float64)]
        return numbers
    return {
        "grid": False,
        "steps": steps,
        "kappas": [int(kappa) for kappa in table["kappa"]],
        "xis": [float(xi) for xi in table["xi"]],
        "macro_f1": _scaled(table["macro_f1"].to_numpy(dtype=np.float64), steps),
        "accuracy": _scaled(table["accuracy"].to_numpy(dtype=np.float64), steps),
    }


def packed_surfaces(tables: Mapping[str, pd.DataFrame]) -> str:
    """The numbers of several studies by their names, compressed, as text for a page."""
    packed = ""
    for steps in _STEPS:
        packed = _packed(json.dumps({name: surface_numbers(table, steps) for name, table in tables.items()}))
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


def _scaled(values: np.ndarray[Any, np.dtype[np.float64]], steps: int) -> list[int | None]:
    return [round(steps * float(value)) if np.isfinite(value) else None for value in values]
