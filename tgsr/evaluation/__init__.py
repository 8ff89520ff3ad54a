"""Scores, one experiment, the table of trials and what is best in it, rules that need no target labels."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.evaluation.choice import Choice, choose, rank_trials
    from tgsr.evaluation.metrics import METRICS, Metric, Scores, score, score_batch
    from tgsr.evaluation.paper import published_result, published_results
    from tgsr.evaluation.rules import RULES, Rule, RuleContext, decisions_of, get_rule
    from tgsr.evaluation.task import Evaluation, TransferTask, evaluate, mask_target

__all__ = [
    "METRICS",
    "RULES",
    "Choice",
    "Evaluation",
    "Metric",
    "Rule",
    "RuleContext",
    "Scores",
    "TransferTask",
    "choose",
    "decisions_of",
    "evaluate",
    "get_rule",
    "mask_target",
    "published_result",
    "published_results",
    "rank_trials",
    "score",
    "score_batch",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
