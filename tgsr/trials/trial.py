"""What is stored of one trial, and what its study's trials have in common."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.tracking.names import Tag

__all__ = [
    "StudyRun",
    "Trial",
    "cell_id",
    "decode_predictions",
    "encode_predictions",
    "settings_text",
    "source_tags",
    "user_name",
]

_DIGITS = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_LONGEST_TAG = 8000
"""MLflow's limit on the length of a tag's value."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One finished trial: its place in the grid or in the order of sampling, and `cell_id` of what it tried.

    Attributes
    ----------
    predictions : array of int, shape (n_target,)
        Predicted class indices of the target.
    group_norms : array of shape (n_groups,), or None
        ‖C_i‖_F of every group; zero for those left out. None for a method without groups.
    coef : array of shape (n_features, n_classes), or None
        The regression matrix; None where there is none, or matrices are thinned out.
    start_ms, end_ms : int
        Milliseconds since 1970.
    """

    number: int
    cell: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    predictions: npt.NDArray[np.intp]
    group_norms: npt.NDArray[np.float64] | None
    coef: npt.NDArray[np.float64] | None
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class StudyRun:
    """The parent run of a study, and what all its trials share.

    Attributes
    ----------
    artifact_location : str
        Artifact root of the MLflow experiment that the run is in.
    label : str
        Begins the name of every trial, such as ``"TGSR oracle"``.
    grouping : str
        Name of the groups of features; empty without groups.
    params, tags : mapping
        Common to all trials, as MLflow stores them: text; `names.Tag.METHOD` is among the tags.
    """

    run_id: str
    experiment_id: str
    artifact_location: str
    label: str
    grouping: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def trial_name(self, trial: Trial) -> str:
        """The name of a trial's run."""
        return f"{self.label} {settings_text(trial.settings)}".strip()[:250]

    def trial_params(self, trial: Trial) -> dict[str, str]:
        """Parameters of a trial's run; of a positive ξ also its logarithm, over which MLflow's charts are even."""
        params = {**{name: str(value) for name, value in trial.settings.items()}, **self.params}
        xi = trial.settings.get("xi")
        if isinstance(xi, (int, float)) and xi > 0:
            params["log10_xi"] = f"{math.log10(xi):.6g}"
        return params

    def trial_tags(self, trial: Trial) -> dict[str, str]:
        """Tags of a trial's run."""
        tags = {
            Tag.PARENT: self.run_id,
            Tag.RUN_NAME: self.trial_name(trial),
            Tag.KIND: "trial",
            Tag.TRIAL: str(trial.number),
            Tag.CELL: trial.cell,
            Tag.SETTINGS: json.dumps(_plain(trial.settings)),
            **self.tags,
        }
        predictions = encode_predictions(trial.predictions)
        # of more samples than a tag holds the predictions are not kept
        return tags | {Tag.PREDICTIONS: predictions} if len(predictions) <= _LONGEST_TAG else tags


def cell_id(settings: Mapping[str, Any]) -> str:
    """Name settings by 16 hex digits: equal settings, whatever their order, have equal names."""
    canonical = json.dumps(_plain(settings), sort_keys=True)  # floats by repr, so that none are confused
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


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
    return np.array([int(digit, 36) for digit in text], dtype=np.intp)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings for people, such as ``"kappa 20 xi 0.1"``."""
    return " ".join(
        f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}"
        for name, value in settings.items()
    )


def source_tags() -> dict[str, str]:
    """Who runs what: the tags that MLflow's fluent interface would set by itself."""
    return {Tag.USER: user_name(), Tag.SOURCE_NAME: sys.argv[0] or "tgsr", Tag.SOURCE_TYPE: "LOCAL"}


def user_name() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry or a variable
        return "unknown"


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of Python's own types."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
