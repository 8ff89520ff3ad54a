"""scikit-learn estimators: TGSR and the nine methods it is compared with."""

from tgsr.estimators.base import TargetSamples
from tgsr.estimators.drls import DRLSClassifier
from tgsr.estimators.iwsvm import IWSVMClassifier
from tgsr.estimators.methods import METHODS, Method, TaskShape, expand_grid, get_method
from tgsr.estimators.stm import STMClassifier
from tgsr.estimators.subspace import GFKClassifier, SAClassifier
from tgsr.estimators.svm import SVMClassifier
from tgsr.estimators.sweep import Outcome, Sweep, prepare_sweep
from tgsr.estimators.tca import TCAClassifier
from tgsr.estimators.tgsr import TGSRClassifier, TiedGroupsWarning
from tgsr.estimators.tkl import TKLClassifier
from tgsr.estimators.tsrg import TSRGClassifier

__all__ = [
    "METHODS",
    "DRLSClassifier",
    "GFKClassifier",
    "IWSVMClassifier",
    "Method",
    "Outcome",
    "SAClassifier",
    "STMClassifier",
    "SVMClassifier",
    "Sweep",
    "TCAClassifier",
    "TGSRClassifier",
    "TKLClassifier",
    "TSRGClassifier",
    "TargetSamples",
    "TaskShape",
    "TiedGroupsWarning",
    "expand_grid",
    "get_method",
    "prepare_sweep",
]
