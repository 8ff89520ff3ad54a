"""What other rules are measured against: the oracle, and no choice at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation._metrics import score_batch
from tgsr.evaluation.rules._base import RuleContext, Scorer, SelectionRule

__all__ = ["FIXED", "ORACLE"]


def _oracle(context: RuleContext, target_codes: npt.NDArray[np.integer]) -> Scorer:
    truth, n_classes = np.asarray(target_codes, dtype=np.int64), len(context.task.class_names)

    def values(outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        codes = np.array([outcome.codes for outcome in outcomes], dtype=np.int64)
        return score_batch(truth, codes, n_classes).macro_f1

    return values


def _fixed(context: RuleContext) -> Scorer:
    return lambda outcomes: np.array([-_distance(outcome.settings, context.defaults) for outcome in outcomes])


def _distance(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> float:
    """How far settings are from the defaults, counting ratios for numbers; 0 if and only if they are equal."""
    return sum((_difference(settings.get(name, value), value) for name, value in defaults.items()), start=0.0)


def _difference(value: Any, default: Any) -> float:
    if value == default:
        return 0.0
    numbers = isinstance(value, Real) and isinstance(default, Real)
    if numbers and value > 0 and default > 0:
        return abs(math.log(float(value) / float(default)))
    # a name, None or 0: further away than any ratio of numbers
    return 1e3


ORACLE = SelectionRule(
    "oracle",
    "macro-F1 on the target, with the target's labels: an oracle, as in the paper; not available in use",
    prepare_oracle=_oracle,
)
FIXED = SelectionRule(
    "fixed",
    "nearness to the method's default settings, which were fixed beforehand: nothing is chosen on these data",
    prepare=_fixed,
)
