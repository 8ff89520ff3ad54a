"""CASME (the first) as it is delivered: ``Cropped/sub01/EP…/reg_EP…-N.jpg`` and the sheet of 193 rows.

The sheet comes as ``.xls``: save it as ``.xlsx``. Negative is anger, contempt, disgust, fear and sadness; repression
and tense stay out, as in the other databases.
"""

from __future__ import annotations

from tgsr.datasets._coded import CodedDatabase

__all__ = ["CASME"]

CASME = CodedDatabase(
    name="CASME",
    sheet=r"CASME[-_ ]cod(ed|ing).*\.(xlsx|xls|csv)",
    sheet_known="CASME-coded-20190721.xlsx",
    n_rows=(193,),
    columns={"onset": "onsetf", "offset": "offsetf"},
    folder="{subject}/{clip}",
    first=r"sub\d+",
)
