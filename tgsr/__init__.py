"""Cross-database micro-expression recognition: TGSR, its comparison methods, and tracked experiments."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tgsr.models.loading import load_model

__all__ = ["__version__", "load_model"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what needs heavy libraries when it is asked for."""
    if name == "load_model":
        from tgsr.models.loading import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
