"""CASME II as it is delivered: ``Cropped/sub01/EP02_01f/`` or ``CASME2_RAW_selected/…`` and the coding sheet.

Rows by emotion: 63 disgust, 27 repression, 32 happiness, 99 others in both versions of the sheet; 25 surprise, 7
sadness and 2 fear in that of 2014-05-08, 28, 4 and 2 in that of 2019-07-01. The 73 negative clips of the cross-database
protocol are disgust, sadness and fear, and one that no sheet has; the composite protocol of MEGC 2019 takes disgust and
repression.
"""

from __future__ import annotations

from tgsr.datasets._coded import EMOTIONS, CodedDatabase, Correction
from tgsr.protocols import EXPECTED_COUNTS

__all__ = ["CASME2"]

_MEGC2019 = {"happiness": "positive", "disgust": "negative", "repression": "negative", "surprise": "surprise"}
_2014 = "the sheet of 2014-05-08 and the released labels say sadness"
_LIST = "not among the rows of the released labels; only a list of 257 clips has it"
_NOT_IN_MEGC = "not in the composite protocol's list of clips"

CASME2 = CodedDatabase(
    name="CASME2",
    sheet=r"casme2?[-_ ]?(ii)?[-_ ]?coding.*\.(xlsx|csv)",
    sheet_known="CASME2-coding-20140508.xlsx",
    n_rows=(255, 257),
    columns={"onset": "onsetframe", "offset": "offsetframe", "emotion": "estimated emotion"},
    folder="{subject}/{clip}",
    first=r"sub\d+",
    label_maps={"cdmer": EMOTIONS, "megc2019": _MEGC2019},
    expected={"cdmer": EXPECTED_COUNTS["CASME2"], "megc2019": (88, 32, 25)},
    corrections=(
        Correction("sub24", "EP02_07", "in no sheet; the released labels have it", "sadness", frames=(24, 66)),
        *(Correction("sub24", clip, _2014, "sadness", "surprise") for clip in ("EP07_01", "EP07_04f", "EP10_03")),
        Correction("sub09", "EP02_02f", _LIST),
        Correction("sub04", "EP12_01f", _NOT_IN_MEGC, protocols=("megc2019",)),
        Correction("sub05", "EP09_05f", _NOT_IN_MEGC, protocols=("megc2019",)),
    ),
)
