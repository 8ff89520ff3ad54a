"""Rules by which a study chooses among settings: an oracle, no choice, and rules that see no target label.

A rule gives every outcome of a method one value; the largest is chosen (`tgsr.evaluation.best`). ``oracle`` looks at
the target's labels, as the paper's tables do, and is labelled so wherever it appears. A rule is a file in
``tgsr/evaluation/rules`` and a line in the list below; others register with `register_rule`.
"""

from __future__ import annotations

from tgsr.errors import ParameterError
from tgsr.evaluation.rules._base import PrepareSweep, RuleContext, Scorer, SelectionRule
from tgsr.evaluation.rules._cross_validation import DEV, IMPORTANCE_WEIGHTED_CV, SOURCE_CV
from tgsr.evaluation.rules._ensemble import ENSEMBLE
from tgsr.evaluation.rules._folds import source_folds
from tgsr.evaluation.rules._outputs import CLASS_BALANCE, ENTROPY, MANO, SND
from tgsr.evaluation.rules._reference import FIXED, ORACLE
from tgsr.evaluation.rules._refits import AGREEMENT, CIRCULAR, DISCREPANCY, MIXVAL, STABILITY

__all__ = [
    "RULES",
    "PrepareSweep",
    "RuleContext",
    "Scorer",
    "SelectionRule",
    "get_rule",
    "register_rule",
    "source_folds",
]

RULES: dict[str, SelectionRule] = {}
"""Name → rule."""


def register_rule(rule: SelectionRule) -> SelectionRule:
    """Add a rule to those that studies can use.

    Raises
    ------
    ParameterError
        If another rule has the name, or the rule says not how it is prepared.
    """
    if rule.name in RULES:
        raise ParameterError(f"a selection rule {rule.name!r} exists already")
    if (rule.prepare is None) == (rule.prepare_oracle is None):
        raise ParameterError(f"the selection rule {rule.name!r} needs either prepare or prepare_oracle")
    RULES[rule.name] = rule
    return rule


def get_rule(name: str) -> SelectionRule:
    """Find a rule by name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if name not in RULES:
        raise ParameterError(f"unknown selection rule {name!r}; use one of {', '.join(RULES)}")
    return RULES[name]


for _rule in (
    ORACLE,
    FIXED,
    SOURCE_CV,
    IMPORTANCE_WEIGHTED_CV,
    DEV,
    CIRCULAR,
    ENTROPY,
    SND,
    MANO,
    MIXVAL,
    CLASS_BALANCE,
    DISCREPANCY,
    AGREEMENT,
    STABILITY,
    ENSEMBLE,
):
    register_rule(_rule)
