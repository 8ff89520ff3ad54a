"""One finished trial: a fit of some settings, with its scores, the values of rules, and what was kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.evaluation.remarks import show_settings

__all__ = [
    "Trial",
    "cell_id",
    "decode_predictions",
    "encode_predictions",
    "settings_json",
    "show_settings",
]

_DIGITS = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Trial:
    """One finished trial.

    Attributes
    ----------
    number : int
        Its place in the grid, or in the order of sampling.
    settings : mapping
        What it tried.
    metrics : mapping
        Scores on the target, where it has labels, and what the method tells of its fit.
    rules : mapping
        Values of rules that need no target label, by name.
    predictions : array of int, shape (n_target,)
        Predicted class indices of the target.
    group_norms : array of shape (n_groups,), or None
        ‖C_i‖_F of every group; zero for those left out. None for a method without groups.
    coef : array of shape (n_features, n_classes), or None
        The regression matrix; None where there is none, or none is to be kept.
    start_ms, end_ms : int
        Milliseconds since 1970.
    """

    number: int
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    predictions: npt.NDArray[np.intp]
    rules: Mapping[str, float] = field(default_factory=dict)
    group_norms: npt.NDArray[np.float64] | None = None
    coef: npt.NDArray[np.float64] | None = None
    start_ms: int = 0
    end_ms: int = 0

    @cached_property
    def cell(self) -> str:
        """The name of its settings, see `cell_id`."""
        return cell_id(self.settings)


def settings_json(settings: Mapping[str, Any]) -> str:
    """Settings as JSON text, floats with all their digits, names in their order."""
    return json.dumps(
        {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    )


def cell_id(settings: Mapping[str, Any]) -> str:
    """Name settings by 16 hex digits: equal settings, whatever their order, have equal names."""
    return hashlib.sha256(settings_json(dict(sorted(settings.items()))).encode()).hexdigest()[:16]


def encode_predictions(codes: npt.NDArray[np.intp]) -> str:
    """Write class indices as text, one base-36 digit a sample.

    Raises
    ------
    ParameterError
        If there are more than 36 classes.
    """
    codes = np.asarray(codes)
    if codes.size and not 0 <= codes.min() <= codes.max() < len(_DIGITS):
        raise ParameterError(f"class indices {codes.min()}…{codes.max()}: at most {len(_DIGITS)} classes can be stored")
    return _DIGITS[codes].tobytes().decode()


def decode_predictions(text: str) -> npt.NDArray[np.intp]:
    """Read what `encode_predictions` wrote: class indices, shape (n_target,)."""
    digits = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.intp)
    return np.where(digits < ord("a"), digits - ord("0"), digits - ord("a") + 10)
