"""The vote: the outcome whose predictions are nearest to what all outcomes together predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.rules.base import Rule, RuleContext, Scorer

__all__ = ["VOTE"]


def _prepare(context: RuleContext) -> Scorer:
    n_classes = len(context.task.class_names)

    def values(outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        codes = np.array([outcome.codes for outcome in outcomes], dtype=np.intp)
        votes = np.array([(codes == code).sum(axis=0) for code in range(n_classes)])
        agreement: npt.NDArray[np.float64] = (codes == votes.argmax(axis=0)).mean(axis=1)
        return agreement

    return values


VOTE = Rule(
    "vote",
    "agreement of the predictions with the vote of all trials (EnsV, Hu et al. 2024)",
    _prepare,
    compares_all=True,
)
