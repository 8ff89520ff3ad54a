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
    class_order : {"sorted", "first_appearance"}, default="sorted"
        How classes are numbered for LIBSVM, which breaks ties between its pairwise votes in favour of the class
        numbered first: by label, or by their first appearance in y as LIBSVM's own tools (and the published rows)
        do. Only with "sorted" is the result independent of the order of the samples.
    """

    def __init__(self, C: float = 1.0, class_order: str = "sorted") -> None:
        self.C = C
        self.class_order = class_order

    def _solve(self, prepared: Span, codes: Codes) -> LinearRule:
        return self._fit_svm(prepared.source, codes)
