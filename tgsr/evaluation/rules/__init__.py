"""Rules by which settings are chosen without target labels. A rule is a column: it gives every trial a value.

A rule is a file here and a line below, an entry point of the group ``tgsr.rules``, or ``package.module:NAME``.
"""

from __future__ import annotations

from collections.abc import Iterable

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.rules.base import Rule, RuleContext, Scorer, decisions_of
from tgsr.plugins import resolve

__all__ = [
    "ALWAYS",
    "DEFAULT",
    "RULES",
    "Rule",
    "RuleContext",
    "Scorer",
    "check_choice_name",
    "decisions_of",
    "get_rule",
    "get_rules",
]

RULES: dict[str, str] = {
    "circular": "tgsr.evaluation.rules._circular:CIRCULAR",
    "class-balance": "tgsr.evaluation.rules._outputs:CLASS_BALANCE",
    "discrepancy": "tgsr.evaluation.rules._outputs:DISCREPANCY",
    "vote": "tgsr.evaluation.rules._vote:VOTE",
    "entropy": "tgsr.evaluation.rules._outputs:ENTROPY",
    "source-cv": "tgsr.evaluation.rules._cross_validation:SOURCE_CV",
    "iw-cv": "tgsr.evaluation.rules._cross_validation:IMPORTANCE_WEIGHTED_CV",
    "dev": "tgsr.evaluation.rules._cross_validation:DEV",
    "agreement": "tgsr.evaluation.rules._agreement:AGREEMENT",
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
