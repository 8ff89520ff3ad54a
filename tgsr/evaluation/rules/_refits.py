"""Rules that fit the outcome's settings again, on other data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation._metrics import score_batch
from tgsr.evaluation.rules._base import RuleContext, Scorer, SelectionRule, decisions_of
from tgsr.evaluation.rules._folds import bootstrap_samples

__all__ = ["AGREEMENT", "CIRCULAR", "DISCREPANCY", "MIXVAL", "STABILITY", "selection_stability"]

Array = npt.NDArray[np.float64]

_N_BOOTSTRAP = 5
_MIX = 0.55  # the published share of the sample whose class a mixture should get


# --- circular validation ----------------------------------------------------------------------------------------------


def _circular(context: RuleContext) -> Scorer:
    task = context.task
    assert context.reverse is not None, "circular validation needs context.reverse"
    reverse = context.reverse(task.X, task.X_target)

    def values(outcomes: Sequence[Outcome]) -> Array:
        back = reverse([outcome.settings for outcome in outcomes], [outcome.codes for outcome in outcomes])
        return score_batch(task.y, back, len(task.class_names)).macro_f1

    return values


# --- mixtures and means -----------------------------------------------------------------------------------------------


def _mixval(context: RuleContext) -> Scorer:
    task = context.task
    other = np.random.default_rng(context.seed).permutation(len(task.X_target))
    mixed = _MIX * task.X_target + (1 - _MIX) * task.X_target[other]
    sweep = context.sweep(task.X, task.y, task.X_target, mixed)

    def value(refit: Outcome) -> float:
        kept = np.asarray(refit.new_codes) == refit.codes
        within = refit.codes == refit.codes[other]
        return float(np.mean([kept[part].mean() for part in (within, ~within) if part.any()]))

    return lambda outcomes: np.array([value(refit) for refit in sweep([outcome.settings for outcome in outcomes])])


def _discrepancy(context: RuleContext) -> Scorer:
    task = context.task
    sweep = context.sweep(task.X, task.y, task.X_target, task.X)

    def values(outcomes: Sequence[Outcome]) -> Array:
        refits = sweep([outcome.settings for outcome in outcomes])
        pairs = zip(
            decisions_of(refits, DISCREPANCY.name, new=True), decisions_of(refits, DISCREPANCY.name), strict=True
        )
        return -np.array([_relative_gap(*pair) for pair in pairs])

    return values


def _relative_gap(source: Array, target: Array) -> float:
    """‖mean of source − mean of target‖² in units of the scores' variance, so that small scores gain nothing."""
    known = np.isfinite(source).all(axis=0)
    both = np.vstack([source, target])[:, known]
    variance = float(both.var(axis=0).sum())
    gap = float(((source[:, known].mean(axis=0) - target[:, known].mean(axis=0)) ** 2).sum())
    return gap / variance if variance > 0 else 1.0


# --- bootstrap refits -------------------------------------------------------------------------------------------------


def _bootstrap(context: RuleContext) -> Callable[[Sequence[Outcome]], list[list[Outcome]]]:
    """For outcomes, the refits on each bootstrap sample of the source."""
    task = context.task
    samples = bootstrap_samples(task, context.seed, _N_BOOTSTRAP)
    sweeps = [context.sweep(task.X[sample], task.y[sample], task.X_target, None) for sample in samples]
    return lambda outcomes: [sweep([outcome.settings for outcome in outcomes]) for sweep in sweeps]


def _agreement(context: RuleContext) -> Scorer:
    refit, n_classes = _bootstrap(context), len(context.task.class_names)

    def values(outcomes: Sequence[Outcome]) -> Array:
        per_sample = [
            [_kappa(outcome.codes, again.codes, n_classes) for outcome, again in zip(outcomes, refits, strict=True)]
            for refits in refit(outcomes)
        ]
        agreement: Array = np.mean(per_sample, axis=0)
        return agreement

    return values


def _kappa(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], n_classes: int) -> float:
    """Cohen's κ; 0 where both say one class only, since that is no agreement about samples."""
    shares = [np.bincount(codes, minlength=n_classes) / len(codes) for codes in (first, second)]
    chance = float(shares[0] @ shares[1])
    return (float(np.mean(first == second)) - chance) / (1 - chance) if chance < 1 else 0.0


def _stability(context: RuleContext) -> Scorer:
    refit = _bootstrap(context)

    def values(outcomes: Sequence[Outcome]) -> Array:
        if any(outcome.group_norms is None for outcome in outcomes):
            raise ParameterError("the selection rule 'stability' needs a method that selects groups, such as TGSR")
        kept = np.array([[np.asarray(again.group_norms) > 0 for again in refits] for refits in refit(outcomes)])
        return np.array([selection_stability(kept[:, index]) for index in range(len(outcomes))])

    return values


def selection_stability(kept: npt.NDArray[np.bool_]) -> float:
    """Stability of selected sets (n_refits, n_groups): 1 if all are equal, 0 by chance or where nothing is selected.

    Nogueira, Sechidis and Brown, JMLR 2018, Equ. (4).
    """
    frequency = kept.mean(axis=0)
    share = float(frequency.mean())
    if share in (0.0, 1.0):
        return 0.0
    spread = len(kept) / (len(kept) - 1) * frequency * (1 - frequency)
    return 1 - float(spread.mean()) / (share * (1 - share))


CIRCULAR = SelectionRule(
    "circular",
    "macro-F1 on the source of the method trained on the target's predicted labels (Bruzzone and Marconcini 2010)",
    prepare=_circular,
)
MIXVAL = SelectionRule(
    "mixval",
    "share of mixtures of two target samples that get the class of the larger part (MixVal, Hu et al. 2023)",
    prepare=_mixval,
)
DISCREPANCY = SelectionRule(
    "discrepancy",
    "small distance of the databases' mean scores, in units of their variance",
    prepare=_discrepancy,
)
AGREEMENT = SelectionRule(
    "agreement",
    "agreement (Cohen's κ) of the predictions with those of refits on bootstrap samples of the source's subjects",
    prepare=_agreement,
)
STABILITY = SelectionRule(
    "stability",
    "stability of the groups kept over the same refits (Nogueira et al. 2018); methods with groups only",
    prepare=_stability,
)
