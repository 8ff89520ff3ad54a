"""scikit-learn estimators: TGSR and the nine methods it is compared with.

A name's module is imported when the name is asked for: one fitted model has no need of all solvers and their libraries.
"""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.estimators._base import TargetSamples
    from tgsr.estimators._consensus import AveragedTGSR
    from tgsr.estimators._drls import DRLSClassifier
    from tgsr.estimators._iwsvm import IWSVMClassifier
    from tgsr.estimators._stm import STMClassifier
    from tgsr.estimators._subspace import GFKClassifier, SAClassifier
    from tgsr.estimators._svm import SVMClassifier
    from tgsr.estimators._tca import TCAClassifier
    from tgsr.estimators._tgsr import TGSRClassifier, TiedGroupsWarning
    from tgsr.estimators._tkl import TKLClassifier
    from tgsr.estimators._tsrg import TSRGClassifier
    from tgsr.estimators.methods import METHODS, Method, TaskShape, expand_grid, get_method
    from tgsr.estimators.sweep import Outcome, Reverse, Sweep, prepare_reverse, prepare_sweep

__all__ = [
    "METHODS",
    "AveragedTGSR",
    "DRLSClassifier",
    "GFKClassifier",
    "IWSVMClassifier",
    "Method",
    "Outcome",
    "Reverse",
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
    "prepare_reverse",
    "prepare_sweep",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
