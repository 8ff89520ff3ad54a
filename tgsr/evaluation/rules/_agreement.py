"""Agreement of the predictions with those of refits on bootstrap samples of the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.rules.base import Rule, RuleContext, Scorer
from tgsr.evaluation.rules.folds import bootstrap_samples

__all__ = ["AGREEMENT"]

_N_BOOTSTRAP = 5


def _prepare(context: RuleContext) -> Scorer:
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
        agreement: npt.NDArray[np.float64] = np.mean(per_sample, axis=0)
        return agreement

    return values


def _kappa(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], n_classes: int) -> float:
    """Cohen's κ; 0 where both say one class only, since that is no agreement about samples."""
    shares = [np.bincount(codes, minlength=n_classes) / len(codes) for codes in (first, second)]
    chance = float(shares[0] @ shares[1])
    return (float(np.mean(first == second)) - chance) / (1 - chance) if chance < 1 else 0.0


AGREEMENT = Rule(
    "agreement",
    "agreement (Cohen's κ) of the predictions with those of refits on bootstrap samples of the source's subjects",
    _prepare,
)
