"""What the command that leads a study was told and its workers take over: stored with the study."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import optuna

__all__ = ["Terms"]

_KEY = "terms"


@dataclass(frozen=True)
class Terms:
    """How far a study goes, and what is kept of it; other than its specification, they may change.

    Attributes
    ----------
    n_trials : int or None
        Trials in all; None for the whole grid.
    matrices : str
        See `StudyOptions`.
    writer : {"auto", "bulk", "client"}
    """

    n_trials: int | None
    matrices: str = "all"
    writer: str = "auto"

    def store(self, study: optuna.Study) -> None:
        """Store them with the study, in the place of others."""
        text = json.dumps(asdict(self))
        if study.user_attrs.get(_KEY) != text:
            study.set_user_attr(_KEY, text)

    @classmethod
    def of(cls, study: optuna.Study) -> Terms | None:
        """Read a study's; None while it is not set up."""
        text = study.user_attrs.get(_KEY)
        return None if text is None else cls(**json.loads(str(text)))
