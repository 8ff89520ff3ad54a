"""Rules that refit on parts of the source: held-out samples, plain and weighted by likeness to the target, and draws.

All predict each source sample by a model that was fitted without its subject, and that adapts to the whole target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.rules import Rule, RuleContext, Scorer
from tgsr.evaluation.rules.folds import bootstrap_samples, held_out_codes
from tgsr.evaluation.task import TransferTask
from tgsr.solvers.importance import kliep

__all__ = ["AGREEMENT", "DEV", "IMPORTANCE_WEIGHTED_CV", "SOURCE_CV", "discriminator_weights"]

Array = npt.NDArray[np.float64]

_N_BOOTSTRAP = 5


def _source_cv(context: RuleContext) -> Scorer:
    task, predict = context.task, held_out_codes(context)

    def values(outcomes: Sequence[Outcome]) -> Array:
        return score_batch(task.y, predict(outcomes).astype(np.int64), len(task.class_names)).macro_f1

    return values


def _importance_weighted_cv(context: RuleContext) -> Scorer:
    task, predict = context.task, held_out_codes(context)
    span = Span.of(task.X, task.X_target)
    weights, _ = kliep(span.source, span.target)

    def values(outcomes: Sequence[Outcome]) -> Array:
        hits: Array = (predict(outcomes) == task.y) @ weights / weights.sum()
        return hits

    return values


def _dev(context: RuleContext) -> Scorer:
    task, predict = context.task, held_out_codes(context)
    weights = discriminator_weights(task)

    def values(outcomes: Sequence[Outcome]) -> Array:
        losses = (predict(outcomes) != task.y) * weights
        return -np.array([_controlled_mean(loss, weights) for loss in losses])

    return values


def _controlled_mean(weighted: Array, weights: Array) -> float:
    """Mean of weighted losses with the weights, whose mean is known to be 1, as control variate (Equ. (4) of DEV)."""
    variance = float(np.var(weights, ddof=1))
    eta = -float(np.cov(weighted, weights)[0, 1]) / variance if variance > 0 else 0.0
    return float(weighted.mean()) + eta * float(weights.mean()) - eta


def discriminator_weights(task: TransferTask) -> Array:
    """Density ratios at the source samples (n_source,) by a logistic regression that tells source from target.

    It is fitted in span coordinates, which changes nothing, because its penalty is invariant to rotations. Each
    sample's ratio comes from a fit without it (five folds by class of domain).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    span = Span.of(task.X, task.X_target)
    domain = np.repeat([0, 1], [len(span.source), len(span.target)])
    folds = StratifiedKFold(max(2, min(5, len(span.source), len(span.target))), shuffle=True, random_state=0)
    chances = cross_val_predict(
        LogisticRegression(max_iter=1000), span.samples, domain, cv=folds, method="predict_proba"
    )[: len(task.y)]
    ratios: Array = len(span.source) / len(span.target) * chances[:, 1] / chances[:, 0]
    return ratios


def _agreement(context: RuleContext) -> Scorer:
    task, n_classes = context.task, len(context.task.class_names)
    samples = bootstrap_samples(task, context.seed, _N_BOOTSTRAP)
    sweeps = [context.sweep(task.X[sample], task.y[sample], task.X_target, None) for sample in samples]

    def values(outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        per_sample = [
            [
                _kappa(outcome.codes, again.codes, n_classes)
                for outcome, again in zip(outcomes, sweep([one.settings for one in outcomes]), strict=True)
            ]
            for sweep in sweeps
        ]
        agreement: Array = np.mean(per_sample, axis=0)
        return agreement

    return values


def _kappa(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], n_classes: int) -> float:
    """Cohen's κ; 0 where both say one class only, since that is no agreement about samples."""
    shares = [np.bincount(codes, minlength=n_classes) / len(codes) for codes in (first, second)]
    chance = float(shares[0] @ shares[1])
    return (float(np.mean(first == second)) - chance) / (1 - chance) if chance < 1 else 0.0


SOURCE_CV = Rule(
    "source-cv",
    "macro-F1 of a cross-validation on the source, by subject where known; no target label is used",
    prepare=_source_cv,
)
IMPORTANCE_WEIGHTED_CV = Rule(
    "iw-cv",
    "accuracy of that cross-validation with KLIEP's importance weights (Sugiyama et al. 2007)",
    prepare=_importance_weighted_cv,
)
DEV = Rule(
    "dev",
    "error of that cross-validation weighted by a domain classifier, with control variate (DEV, You et al. 2019)",
    prepare=_dev,
)
AGREEMENT = Rule(
    "agreement",
    "agreement (Cohen's κ) of the predictions with those of refits on bootstrap samples of the source's subjects",
    _agreement,
)
