"""Models: a study's consensus or one of its trials, registered, loaded again and used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tgsr.models.consensus import Consensus, consensus_of
    from tgsr.models.loading import load_model
    from tgsr.models.prediction import Predictions, first_frame, predict_clips, predict_features
    from tgsr.models.registered import RegisteredModel
    from tgsr.models.registry import Registered, register, register_study

__all__ = [
    "Consensus",
    "Predictions",
    "Registered",
    "RegisteredModel",
    "consensus_of",
    "first_frame",
    "load_model",
    "predict_clips",
    "predict_features",
    "register",
    "register_study",
]

_MODULES = {
    "consensus": "Consensus consensus_of",
    "loading": "load_model",
    "prediction": "Predictions first_frame predict_clips predict_features",
    "registered": "RegisteredModel",
    "registry": "Registered register register_study",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a model is loaded without what registering it needs."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
