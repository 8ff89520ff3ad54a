"""Rules on what a model gives for the target: its outputs as they are, and the way back to the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import entr, softmax

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.rules import Rule, RuleContext, Scorer, decisions_of

__all__ = ["CIRCULAR", "CLASS_BALANCE", "DISCREPANCY", "ENTROPY", "VOTE"]

Array = npt.NDArray[np.float64]


def _circular(context: RuleContext) -> Scorer:
    task, reverse = context.task, context.reverse()

    def values(outcomes: Sequence[Outcome]) -> Array:
        back = reverse([outcome.settings for outcome in outcomes], [outcome.codes for outcome in outcomes])
        return score_batch(task.y, np.asarray(back, dtype=np.int64), len(task.class_names)).macro_f1

    return values


def _vote(context: RuleContext) -> Scorer:
    n_classes = len(context.task.class_names)

    def values(outcomes: Sequence[Outcome]) -> Array:
        codes = np.array([outcome.codes for outcome in outcomes], dtype=np.intp)
        votes = np.array([(codes == code).sum(axis=0) for code in range(n_classes)])
        agreement: Array = (codes == votes.argmax(axis=0)).mean(axis=1)
        return agreement

    return values


def _entropy(context: RuleContext) -> Scorer:  # noqa: ARG001
    # scores of a method are no probabilities: their softmax is positive everywhere, where the simplex projection that
    # TGSR shows has exact zeros and ones, so that many outcomes would tie
    def values(outcomes: Sequence[Outcome]) -> Array:
        chances = softmax(decisions_of(outcomes, ENTROPY.name), axis=2)
        return -np.asarray(entr(chances).sum(axis=2).mean(axis=1))

    return values


def _class_balance(context: RuleContext) -> Scorer:
    n_classes = len(context.task.class_names)
    prior = np.bincount(context.task.y, minlength=n_classes) / len(context.task.y)

    def values(outcomes: Sequence[Outcome]) -> Array:
        shares = np.array([np.bincount(one.codes, minlength=n_classes) / len(one.codes) for one in outcomes])
        distances: Array = np.abs(shares - prior).sum(axis=1) / 2
        return -distances

    return values


def _discrepancy(context: RuleContext) -> Scorer:  # noqa: ARG001
    def values(outcomes: Sequence[Outcome]) -> Array:
        source = decisions_of(outcomes, DISCREPANCY.name, new=True)
        return -np.array(
            [_relative_gap(*pair) for pair in zip(source, decisions_of(outcomes, DISCREPANCY.name), strict=True)]
        )

    return values


def _relative_gap(source: Array, target: Array) -> float:
    """‖mean of source − mean of target‖² in units of the scores' variance, so that small scores gain nothing."""
    known = np.isfinite(source).all(axis=0)
    both = np.vstack([source, target])[:, known]
    variance = float(both.var(axis=0).sum())
    gap = float(((source[:, known].mean(axis=0) - target[:, known].mean(axis=0)) ** 2).sum())
    return gap / variance if variance > 0 else 1.0


CIRCULAR = Rule(
    "circular",
    "macro-F1 on the source of the method trained on the target's predicted labels (Bruzzone and Marconcini 2010)",
    _circular,
)
VOTE = Rule(
    "vote",
    "agreement of the predictions with the vote of all trials (EnsV, Hu et al. 2024)",
    _vote,
    compares_all=True,
)
ENTROPY = Rule("entropy", "low entropy of the target's scores (Morerio et al. 2018)", _entropy, needs="decisions")
CLASS_BALANCE = Rule(
    "class-balance", "predicted class shares near those of the source (total variation)", _class_balance
)
DISCREPANCY = Rule(
    "discrepancy",
    "small distance of the databases' mean scores, in units of their variance",
    _discrepancy,
    needs="source_decisions",
)
