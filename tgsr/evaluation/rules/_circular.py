"""Circular validation: the way back from the target's predicted labels to the source's true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.rules.base import Rule, RuleContext, Scorer

__all__ = ["CIRCULAR"]


def _prepare(context: RuleContext) -> Scorer:
    task, reverse = context.task, context.reverse()

    def values(outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        back = reverse([outcome.settings for outcome in outcomes], [outcome.codes for outcome in outcomes])
        return score_batch(task.y, np.asarray(back, dtype=np.int64), len(task.class_names)).macro_f1

    return values


CIRCULAR = Rule(
    "circular",
    "macro-F1 on the source of the method trained on the target's predicted labels (Bruzzone and Marconcini 2010)",
    _prepare,
)
