"""scikit-learn estimators: TGSR and the nine methods it is compared with.

A name's module is imported when the name is asked for: one fitted model has no need of all solvers and their libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tgsr.estimators._base import TargetSamples
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

_MODULES = {
    "_base": "TargetSamples",
    "_drls": "DRLSClassifier",
    "_iwsvm": "IWSVMClassifier",
    "methods": "METHODS Method TaskShape expand_grid get_method",
    "_stm": "STMClassifier",
    "_subspace": "GFKClassifier SAClassifier",
    "_svm": "SVMClassifier",
    "sweep": "Outcome Reverse Sweep prepare_reverse prepare_sweep",
    "_tca": "TCAClassifier",
    "_tgsr": "TGSRClassifier TiedGroupsWarning",
    "_tkl": "TKLClassifier",
    "_tsrg": "TSRGClassifier",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
