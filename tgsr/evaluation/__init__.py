"""Scores, the runner of one experiment, and selection without target labels."""

from tgsr.evaluation.metrics import Scores, score, score_batch
from tgsr.evaluation.task import Evaluation, TransferEstimator, TransferTask, evaluate, mask_target

__all__ = [
    "Evaluation",
    "Scores",
    "TransferEstimator",
    "TransferTask",
    "evaluate",
    "mask_target",
    "score",
    "score_batch",
]
