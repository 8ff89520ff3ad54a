"""Scores, the runner of one experiment, and selection without target labels."""

from tgsr.evaluation._metrics import Scores, score, score_batch
from tgsr.evaluation._task import Evaluation, TransferEstimator, TransferTask, evaluate, mask_target

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
