"""DFME as it is delivered: folders called as the sheet's ``Filename``, anywhere below the root.

The training sheet, 1,856 rows: disgust 548, surprise 298, sadness 278, fear 265, happiness 206, anger 161,
contempt 100. For the test sets name the sheet with ``--annotations``.
"""

from __future__ import annotations

from tgsr.datasets._coded import CodedDatabase

__all__ = ["DFME"]

DFME = CodedDatabase(
    name="DFME",
    sheet=r"(DFME_)?training_full.*\.(xlsx|csv)",
    sheet_known="training_full_with_AU.xlsx",
    n_rows=(1856,),
    columns={"onset": "onsetframe", "offset": "offsetframe"},
    subject="sub{:04d}",
    always_cut=True,
    expected={"cdmer": (1352, 206, 298)},
)
