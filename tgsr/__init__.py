"""Cross-database micro-expression recognition: TGSR, its comparison methods, and tracked experiments."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.models.loading import load_model
    from tgsr.study.loading import load_study

__all__ = ["__version__", "load_model", "load_study"]

__version__ = "0.1.0"

__getattr__, __dir__ = lazy_exports(__name__, __all__)
