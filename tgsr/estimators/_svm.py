"""SVM without adaptation: what the other methods are measured against."""

from __future__ import annotations

from tgsr.estimators._base import Codes
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span

__all__ = ["SVMClassifier"]


class SVMClassifier(SVMSweepClassifier):
    """Linear C-SVC (LIBSVM, pairwise votes) on the source samples as they are; the target is not used.

    Parameters
    ----------
    C : float, default=1.0
    """

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def _solve(self, prepared: Span, codes: Codes) -> LinearRule:
        return self._fit_svm(prepared.source, codes)
