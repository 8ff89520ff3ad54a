"""Scores, the runner of one experiment, and selection without target labels."""

from tgsr.evaluation.metrics import BatchScores, Scores, score, score_batch
from tgsr.evaluation.runner import Evaluation, TransferEstimator, evaluate
from tgsr.evaluation.task import TransferTask, mask_target

__all__ = [
    "BatchScores",
    "Evaluation",
    "Scores",
    "TransferEstimator",
    "TransferTask",
    "evaluate",
    "mask_target",
    "score",
    "score_batch",
]
