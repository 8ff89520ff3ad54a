"""SAMM as it is delivered: ``006/006_1_2/006_05562.jpg`` and the FACS sheet of 159 rows.

Rows by emotion: anger 57, contempt 12, disgust 9, fear 8, sadness 6; happiness 26; surprise 15; other 26.
"""

from __future__ import annotations

from tgsr.datasets._coded import EMOTIONS, CodedDatabase

__all__ = ["SAMM"]

_COUNTS = (92, 26, 15)

SAMM = CodedDatabase(
    name="SAMM",
    sheet=r"SAMM.*FACS.*Codes.*\.(xlsx|csv)",
    sheet_known="SAMM_Micro_FACS_Codes_v2.xlsx",
    n_rows=(159,),
    columns={"onset": "onset frame", "offset": "offset frame", "emotion": "estimated emotion"},
    worksheet="MICRO_ONLY",
    folder="{subject}/{clip}",
    first=r"\d{3}",
    subject="{:03d}",
    label_maps={"cdmer": EMOTIONS, "megc2019": EMOTIONS},
    expected={"cdmer": _COUNTS, "megc2019": _COUNTS},
)
