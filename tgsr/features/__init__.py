"""Facial regions and the LBP-TOP features computed on them."""

from tgsr.features.lbp_top import lbp_top

__all__ = ["lbp_top"]
