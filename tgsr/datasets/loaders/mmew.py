"""MMEW as it is delivered: ``Micro_Expression/anger/S13-07-001/1.jpg`` and ``MMEW_Micro_Exp.xlsx``."""

from __future__ import annotations

from tgsr.datasets._coded import CodedDatabase

__all__ = ["MMEW"]

MMEW = CodedDatabase(
    name="MMEW",
    sheet=r"MMEW.*Micro.*\.(xlsx|csv)",
    sheet_known="MMEW_Micro_Exp.xlsx",
    columns={"onset": "onsetframe", "offset": "offsetframe", "emotion": "estimated emotion"},
    subject="S{:02d}",
    always_cut=True,
)
