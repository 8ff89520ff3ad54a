"""LBP-TOP features of the facial regions, clip by clip or a whole database."""

from tgsr.features._lbp_top import lbp_top

__all__ = ["lbp_top"]
