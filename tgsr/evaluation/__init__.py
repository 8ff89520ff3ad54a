"""Scores, one experiment, the table of trials and what is best in it, rules that need no target labels."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.evaluation.choice import choose, rank_trials
    from tgsr.evaluation.metrics import Scores, score, score_batch
    from tgsr.evaluation.paper import published_results
    from tgsr.evaluation.rules import Rule, RuleContext, decisions_of
    from tgsr.evaluation.task import TransferTask, evaluate, mask_target

__all__ = [
    "Rule",
    "RuleContext",
    "Scores",
    "TransferTask",
    "choose",
    "decisions_of",
    "evaluate",
    "mask_target",
    "published_results",
    "rank_trials",
    "score",
    "score_batch",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
