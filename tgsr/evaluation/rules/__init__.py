"""Rules by which settings are chosen without target labels. A rule is a column: it gives every trial a value.

A rule is a function here and a line below, an entry point of the group ``tgsr.rules``, or ``package.module:NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome, Reverse, Sweep
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.task import TransferTask
from tgsr.plugins import resolve

__all__ = [
    "ALWAYS",
    "DEFAULT",
    "RULES",
    "PrepareSweep",
    "Rule",
    "RuleContext",
    "Scorer",
    "check_choice_name",
    "decisions_of",
    "get_rule",
    "get_rules",
]

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


RULES: dict[str, str] = {
    "circular": "tgsr.evaluation.rules._outputs:CIRCULAR",
    "class-balance": "tgsr.evaluation.rules._outputs:CLASS_BALANCE",
    "discrepancy": "tgsr.evaluation.rules._outputs:DISCREPANCY",
    "vote": "tgsr.evaluation.rules._outputs:VOTE",
    "entropy": "tgsr.evaluation.rules._outputs:ENTROPY",
    "source-cv": "tgsr.evaluation.rules._cross_validation:SOURCE_CV",
    "iw-cv": "tgsr.evaluation.rules._cross_validation:IMPORTANCE_WEIGHTED_CV",
    "dev": "tgsr.evaluation.rules._cross_validation:DEV",
    "agreement": "tgsr.evaluation.rules._cross_validation:AGREEMENT",
}
"""Name → where it is."""
ALWAYS = ("circular", "class-balance", "discrepancy", "vote")
"""The rules that cost next to nothing: every trial has their values, where its method allows it."""
DEFAULT = "circular"
"""The rule that ranks trials unless another is asked for; tgsr/evaluation/README.md says why."""


def get_rule(name: str) -> Rule:
    """Find a rule: built in, an entry point, or ``package.module:NAME``.

    Raises
    ------
    ParameterError
        If there is none.
    """
    _, rule = resolve("rule", name, RULES)
    if not isinstance(rule, Rule):
        raise ParameterError(f"{name!r} is no rule: it is of the type {type(rule).__name__}, not tgsr.evaluation.Rule")
    return rule


def get_rules(names: Iterable[str]) -> tuple[Rule, ...]:
    """Find rules, each once, in the given order; the errors are those of `get_rule`."""
    return tuple({rule.name: rule for rule in map(get_rule, names)}.values())


def check_choice_name(name: str) -> str:
    """The name under which a choice is made: ``"oracle"``, or a rule's own name; the errors are those of `get_rule`."""
    return ORACLE if name.strip().lower() == ORACLE else get_rule(name).name
