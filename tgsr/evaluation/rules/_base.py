"""What every selection rule is and sees, with one signature for all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome, Reverse, Sweep
from tgsr.evaluation._task import TransferTask

__all__ = ["PrepareReverse", "PrepareSweep", "RuleContext", "Scorer", "SelectionRule", "decisions_of"]

Array = npt.NDArray[np.float64]

PrepareSweep = Callable[[Array, npt.NDArray[np.intp], Array, Array | None], Sweep]
"""``sweep(X, codes, X_target, X_new)``: the same method with the same fixed parameters, on other data."""

PrepareReverse = Callable[[Array, Array], Reverse]
"""``reverse(X, X_target)``: the same method, to be trained back; see `tgsr.estimators.sweep.prepare_reverse`."""

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
    seed : int
        Of whatever the rule draws.
    defaults : mapping
        The method's settings that were fixed beforehand.
    reverse : callable, optional
        See `PrepareReverse`; circular validation needs it.
    """

    task: TransferTask
    sweep: PrepareSweep
    seed: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    reverse: PrepareReverse | None = None


@dataclass(frozen=True)
class SelectionRule:
    """A way of choosing among settings; either ``prepare`` or, for an oracle, ``prepare_oracle`` is given.

    Attributes
    ----------
    name : str
    description : str
        One sentence, shown wherever the rule's values are.
    prepare : callable, optional
        ``prepare(context)`` returns the `Scorer` of one task.
    prepare_oracle : callable, optional
        ``prepare_oracle(context, target_codes)``: the same with the target's labels.
    needs_all : bool
        Whether the values depend on all outcomes together: the scorer is then called once, with the whole table. It
        reads ``settings`` and ``codes`` only, so that recorded predictions are enough.
    """

    name: str
    description: str
    prepare: Callable[[RuleContext], Scorer] | None = None
    prepare_oracle: Callable[[RuleContext, npt.NDArray[np.integer]], Scorer] | None = None
    needs_all: bool = False

    @property
    def uses_target_labels(self) -> bool:
        """Whether it is an oracle."""
        return self.prepare_oracle is not None

    def scorer(self, context: RuleContext, target_codes: npt.NDArray[np.integer] | None = None) -> Scorer:
        """Prepare the rule; ``target_codes`` reach an oracle only.

        Raises
        ------
        ParameterError
            If the rule is an oracle and there are no labels, or the rule does not suit the task.
        """
        if self.prepare_oracle is not None:
            if target_codes is None:
                raise ParameterError(
                    f"--selection {self.name} needs the target's labels, and this target has none; use another rule"
                )
            return self.prepare_oracle(context, target_codes)
        if self.prepare is None:
            raise ParameterError(f"the selection rule {self.name!r} has no way to be prepared")
        return self.prepare(context)


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
            f"the selection rule {rule!r} needs decision values, and this method has none; use a rule on predictions, "
            "such as 'source-cv' or 'ensemble'"
        )
    return np.array(known)
