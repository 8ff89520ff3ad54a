"""4DME, grey videos, as delivered: folders called as the sheet's ``fold_name``, anywhere below the root."""

from __future__ import annotations

from tgsr.datasets._coded import CodedDatabase

__all__ = ["FOURDME"]

FOURDME = CodedDatabase(
    name="4DME",
    sheet=r"4DME.*Labelling.*Micro.*\.(xlsx|csv)",
    sheet_known="4DME_Labelling_Micro_release v1.xlsx",
    columns={"subject": "sub_id", "filename": "fold_name"},
    subject="S{:02d}",
)
