"""scikit-learn estimators: TGSR and the nine methods it is compared with.

A name's module is imported when the name is asked for: one fitted model has no need of all solvers and their libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "base": "TargetSamples",
    "drls": "DRLSClassifier",
    "iwsvm": "IWSVMClassifier",
    "methods": "METHODS Method TaskShape expand_grid get_method",
    "stm": "STMClassifier",
    "subspace": "GFKClassifier SAClassifier",
    "svm": "SVMClassifier",
    "sweep": "Outcome Sweep prepare_sweep",
    "tca": "TCAClassifier",
    "tgsr": "TGSRClassifier TiedGroupsWarning",
    "tkl": "TKLClassifier",
    "tsrg": "TSRGClassifier",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
