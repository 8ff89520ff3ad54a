"""Models: a study's consensus or one of its trials, registered, loaded again and used."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.models.consensus import Consensus, consensus_of
    from tgsr.models.loading import load_model
    from tgsr.models.prediction import Predictions, first_frame, predict_clips, predict_features
    from tgsr.models.registered import RegisteredModel
    from tgsr.models.registry import Registered, register

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
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
