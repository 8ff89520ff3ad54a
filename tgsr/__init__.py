"""Cross-database micro-expression recognition: TGSR, its comparison methods, and tracked experiments."""

__all__ = ["__version__"]

__version__ = "0.1.0"
