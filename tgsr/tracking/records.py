"""What is stored of one trial, and what its study's trials have in common."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.tracking.names import Tag

__all__ = ["MethodRecord", "Record", "StudyRun", "TrialRecord", "settings_text", "source_tags"]


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """One finished trial.

    Attributes
    ----------
    number : int
        Optuna's trial number.
    kappa : int
    xi : float
    metrics : mapping of str to float
        At most 30 keys.
    group_norms : array of shape (K,)
        ‖C_i‖_F of every group; zero for those left out.
    coef : array of shape (n_features, n_classes), or None
        The regression matrix in the canonical layout; None when matrices are thinned out.
    start_ms, end_ms : int
        Milliseconds since 1970.
    """

    number: int
    kappa: int
    xi: float
    metrics: Mapping[str, float]
    group_norms: npt.NDArray[np.float64]
    coef: npt.NDArray[np.float64] | None
    start_ms: int
    end_ms: int

    @property
    def settings(self) -> dict[str, Any]:
        """What the trial tried."""
        return {"kappa": self.kappa, "xi": self.xi}


@dataclass(frozen=True, eq=False)
class MethodRecord:
    """One finished trial of another method than TGSR; it has no files.

    Attributes
    ----------
    number : int
        Optuna's trial number.
    settings : mapping
        The method's parameters that the trial tried.
    metrics : mapping of str to float
    start_ms, end_ms : int
        Milliseconds since 1970.
    """

    number: int
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    start_ms: int
    end_ms: int


Record = TrialRecord | MethodRecord


@dataclass(frozen=True)
class StudyRun:
    """The parent run of a study, and what all its trials share.

    Attributes
    ----------
    run_id, experiment_id : str
    artifact_location : str
        Artifact root of the MLflow experiment that the run is in.
    selection : str
        Name of the selection rule; part of every trial's name.
    grouping : str
        ``"region"`` or ``"released"``; empty for another method than TGSR.
    params : mapping
        Parameters common to all trials (grouping, solver settings), as MLflow stores them: text.
    tags : mapping
        Tags common to all trials.
    """

    run_id: str
    experiment_id: str
    artifact_location: str
    selection: str
    grouping: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def trial_name(self, record: Record) -> str:
        """The name of a trial's run."""
        parts = (self.tags.get(Tag.METHOD, ""), settings_text(record.settings), self.selection)
        return " ".join(part for part in parts if part)

    def trial_params(self, record: Record) -> dict[str, str]:
        """Parameters of a trial's run."""
        return {**{name: str(value) for name, value in record.settings.items()}, **self.params}

    def trial_tags(self, record: Record) -> dict[str, str]:
        """Tags of a trial's run."""
        return {
            Tag.PARENT: self.run_id,
            Tag.RUN_NAME: self.trial_name(record),
            Tag.KIND: "trial",
            Tag.TRIAL: str(record.number),
            **self.tags,
        }


def settings_text(settings: Mapping[str, Any], between: str = " ") -> str:
    """Settings for people, such as ``"kappa 20 xi 0.1"``."""
    return between.join(
        f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}"
        for name, value in settings.items()
    )


def source_tags() -> dict[str, str]:
    """Who runs what: the tags that MLflow's fluent interface would set by itself."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry or a variable
        user = "unknown"
    return {Tag.USER: user, Tag.SOURCE_NAME: sys.argv[0] or "tgsr", Tag.SOURCE_TYPE: "LOCAL"}
