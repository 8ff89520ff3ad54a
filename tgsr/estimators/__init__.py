"""scikit-learn estimators: TGSR and the nine methods it is compared with."""

from tgsr.estimators.drls import DRLSClassifier
from tgsr.estimators.iwsvm import IWSVMClassifier
from tgsr.estimators.spaces import METHODS, Choice, Dimension, FloatRange, IntRange, Method, get_method
from tgsr.estimators.stm import STMClassifier
from tgsr.estimators.subspace import GFKClassifier, SAClassifier
from tgsr.estimators.svm import SVMClassifier
from tgsr.estimators.sweep import SweepClassifier
from tgsr.estimators.tca import TCAClassifier
from tgsr.estimators.tgsr import TGSRClassifier
from tgsr.estimators.tkl import TKLClassifier
from tgsr.estimators.tsrg import TSRGClassifier

__all__ = [
    "METHODS",
    "Choice",
    "DRLSClassifier",
    "Dimension",
    "FloatRange",
    "GFKClassifier",
    "IWSVMClassifier",
    "IntRange",
    "Method",
    "SAClassifier",
    "STMClassifier",
    "SVMClassifier",
    "SweepClassifier",
    "TCAClassifier",
    "TGSRClassifier",
    "TKLClassifier",
    "TSRGClassifier",
    "get_method",
]
