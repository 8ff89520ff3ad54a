"""LBP-TOP features of the facial regions, clip by clip or a whole database."""

from typing import TYPE_CHECKING

from tgsr.exports import lazy_exports

if TYPE_CHECKING:
    from tgsr.features._collection import Extraction, extract_collection
    from tgsr.features._lbp_top import lbp_top

__all__ = ["Extraction", "extract_collection", "lbp_top"]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
