"""EnsV: the outcome whose predictions are nearest to what all outcomes together predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.estimators._consensus import vote
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.rules.base import RuleContext, Scorer, SelectionRule

__all__ = ["ENSEMBLE"]


def _prepare(context: RuleContext) -> Scorer:
    n_classes = len(context.task.class_names)

    def values(outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        codes = np.array([outcome.codes for outcome in outcomes], dtype=np.intp)
        agreement: npt.NDArray[np.float64] = (codes == vote(codes, n_classes)).mean(axis=1)
        return agreement

    return values


ENSEMBLE = SelectionRule(
    "ensemble",
    "agreement of the predictions with the vote of the whole grid (EnsV, Hu et al. 2024)",
    prepare=_prepare,
    needs_all=True,
)
