"""scikit-learn estimators: TGSR and the nine methods it is compared with."""

from tgsr.estimators.tgsr import TGSRClassifier

__all__ = ["TGSRClassifier"]
