"""What every rule is and sees, with one signature for all methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome, Reverse, Sweep
from tgsr.evaluation.task import TransferTask

__all__ = ["PrepareSweep", "Rule", "RuleContext", "Scorer", "decisions_of"]

Array = npt.NDArray[np.float64]

PrepareSweep = Callable[[Array, npt.NDArray[np.intp], Array, Array | None], Sweep]
"""``sweep(X, codes, X_target, X_new)``: the same method with the same fixed parameters, on other data."""

Scorer = Callable[[Sequence[Outcome]], Array]
"""Values of outcomes, one each; larger is better. It may be called with any part of a grid, from several threads."""


@dataclass(frozen=True)
class RuleContext:
    """What a rule may use: no label of the target.

    Attributes
    ----------
    task : TransferTask
        The labelled source and the unlabelled target.
    sweep : callable
        See `PrepareSweep`: refits the method under study.
    reverse : callable
        Prepares the reverse fits of circular validation; see `tgsr.estimators.sweep.prepare_reverse`.
    seed : int
        Of whatever the rule draws.
    """

    task: TransferTask
    sweep: PrepareSweep
    reverse: Callable[[], Reverse]
    seed: int = 0


@dataclass(frozen=True)
class Rule:
    """A way of choosing among settings without target labels: a value for every trial, the largest is chosen.

    Attributes
    ----------
    name : str
        The rule's column is ``rules.<name>``.
    description : str
        One sentence, shown wherever the rule's values are.
    prepare : callable
        ``prepare(context)`` returns the `Scorer` of one task.
    needs : {"codes", "decisions", "source_decisions"}
        What it reads of an outcome besides the settings: predictions only, which are stored; also the decision values
        of the target; or those of the source, too.
    compares_all : bool
        Whether the values depend on all trials together: the scorer is then called once, with all of them.
    """

    name: str
    description: str
    prepare: Callable[[RuleContext], Scorer]
    needs: str = "codes"
    compares_all: bool = False


def decisions_of(outcomes: Sequence[Outcome], rule: str, *, new: bool = False) -> Array:
    """Decision values of all outcomes: shape (n_outcomes, n_samples, n_classes).

    Raises
    ------
    ParameterError
        If the method has none.
    """
    found = [outcome.new_decisions if new else outcome.decisions for outcome in outcomes]
    known = [decisions for decisions in found if decisions is not None]
    if len(known) < len(found):
        raise ParameterError(
            f"the rule {rule!r} needs decision values, and this method has none; use a rule on predictions, such as "
            "'circular'"
        )
    return np.array(known)
