"""CAS(ME)³, parts A and C, as they are delivered: recordings of frames, and a sheet with a row for each expression.

Part A: ``spNO.1/a/color/``, 860 rows: negative (anger, disgust, fear, sadness) 457, happy 55, surprise 187, others 161.
Part C: folders ``01_1`` (subject and recording) anywhere below the root, 165 rows: 99 / 16 / 30, others 20.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tgsr.datasets._coded import CodedDatabase
from tgsr.datasets._sheet import Row, Sheet, read_sheet

__all__ = ["CAS_ME_3_A", "CAS_ME_3_C"]

CAS_ME_3_A = CodedDatabase(
    name="CAS_ME_3_A",
    sheet=r"cas\(me\)\^?3_part_A_ME_label_JpgIndex.*\.(xlsx|csv)",
    sheet_known="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    n_rows=(860,),
    folder="{subject}/{clip}",
    first=r"spNO\.\d+",
    subject="spNO.{}",
    inner="color",
    events=True,
    always_cut=True,
    expected={"cdmer": (457, 55, 187)},
)


def _read_c(path: Path) -> Sheet:
    """The sheet with the name of each recording's folder, from subject and count."""
    sheet = read_sheet(path, ("sub", "count", "onset", "offset", "emotion"))
    rows = []
    for row in sheet.rows:
        person, count = row.integer("sub"), row.integer("count")
        name = "" if person is None else f"{person:02d}_{count}"
        rows.append(Row(row.number, {**row.values, "subject": row.text("sub"), "filename": name}))
    return replace(sheet, rows=tuple(rows))


CAS_ME_3_C = CodedDatabase(
    name="CAS_ME_3_C",
    sheet=r"CAS\(ME\)\^?3_part_C_ME.*\.(xlsx|csv)",
    sheet_known="CAS(ME)3_part_C_ME.xlsx",
    n_rows=(165,),
    read=_read_c,
    subject="{:02d}",
    events=True,
    always_cut=True,
    expected={"cdmer": (99, 16, 30)},
)
