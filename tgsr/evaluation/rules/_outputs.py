"""Rules on a model's outputs for the target, with nothing refitted.

Scores of a method are not probabilities and differ in scale between methods. These rules take their softmax, on which
they were published: it is positive everywhere, where the simplex projection that TGSR shows its users has exact zeros
and ones, so that many outcomes would tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import entr, log_softmax, softmax

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.rules.base import RuleContext, Scorer, SelectionRule, decisions_of

__all__ = ["CLASS_BALANCE", "ENTROPY", "MANO", "SND"]

Array = npt.NDArray[np.float64]

_TEMPERATURE = 0.05  # of SND
_NORM = 4  # of MaNo
_CONFIDENT = 5.0  # MaNo: mean negative log-softmax above which scores are calibrated enough for a softmax


def _entropy(scores: Array) -> float:
    return -float(entr(softmax(scores, axis=1)).sum(axis=1).mean())


def _soft_neighbourhood_density(scores: Array) -> float:
    chances = softmax(scores, axis=1)
    chances /= np.linalg.norm(chances, axis=1, keepdims=True)
    similarity = chances @ chances.T / _TEMPERATURE
    np.fill_diagonal(similarity, -np.inf)  # a sample is no neighbour of its own
    return float(entr(softmax(similarity, axis=1)).sum(axis=1).mean()) if len(scores) > 1 else 0.0


def _matrix_norm(scores: Array) -> float:
    known = scores[:, np.isfinite(scores).all(axis=0)]
    if -float(log_softmax(known, axis=1).mean()) > _CONFIDENT:
        normalised = softmax(known, axis=1)
    else:
        normalised = 1 + known + known**2 / 2
        normalised = normalised / normalised.sum(axis=1, keepdims=True)
    return float(np.mean(normalised**_NORM) ** (1 / _NORM))


def _of_scores(name: str, description: str, value: Callable[[Array], float]) -> SelectionRule:
    def prepare(context: RuleContext) -> Scorer:  # noqa: ARG001
        return lambda outcomes: np.array([value(scores) for scores in decisions_of(outcomes, name)])

    return SelectionRule(name, description, prepare=prepare)


def _class_balance(context: RuleContext) -> Scorer:
    n_classes = len(context.task.class_names)
    prior = np.bincount(context.task.y, minlength=n_classes) / len(context.task.y)

    def values(outcomes: Sequence[Outcome]) -> Array:
        shares = np.array([np.bincount(one.codes, minlength=n_classes) / len(one.codes) for one in outcomes])
        distances: Array = np.abs(shares - prior).sum(axis=1) / 2
        return -distances

    return values


ENTROPY = _of_scores("entropy", "low entropy of the target's scores (Morerio et al. 2018)", _entropy)
SND = _of_scores("snd", "soft neighbourhood density (Saito et al. 2021)", _soft_neighbourhood_density)
MANO = _of_scores("mano", "matrix norm of the normalised scores (MaNo, Xie et al. 2024)", _matrix_norm)
CLASS_BALANCE = SelectionRule(
    "class-balance",
    "predicted class shares near those of the source (total variation)",
    prepare=_class_balance,
)
