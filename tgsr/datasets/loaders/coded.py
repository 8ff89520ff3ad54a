"""The databases that come as a sheet with a row for each clip, and folders of frames, as they are delivered.

They differ in the sheet's columns and in the folders' names: a `CodedDatabase` says which, and reads them. All but
CASME II were learnt from public descriptions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tgsr.datasets._coded import EMOTIONS, CodedDatabase, Correction
from tgsr.datasets._sheet import Row, Sheet, read_sheet
from tgsr.errors import DataError
from tgsr.protocols import EXPECTED_COUNTS

__all__ = ["CODED"]

_2014 = "the sheet of 2014-05-08 and the released labels say sadness"
_LIST = "not among the rows of the released labels; only a list of 257 clips has it"
_NOT_IN_MEGC = "not in the composite protocol's list of clips"

# Cropped/sub01/EP02_01f/ or CASME2_RAW_selected/…. Rows by emotion: 63 disgust, 27 repression, 32 happiness, 99 others
# in both versions of the sheet; 25 surprise, 7 sadness and 2 fear in that of 2014-05-08, 28, 4 and 2 in that of
# 2019-07-01. The 73 negative clips of the cross-database protocol are disgust, sadness and fear, and one that no sheet
# has; the composite protocol of MEGC 2019 takes disgust and repression.
_CASME2 = CodedDatabase(
    name="CASME2",
    sheet=r"casme2?[-_ ]?(ii)?[-_ ]?coding.*\.(xlsx|csv)",
    sheet_known="CASME2-coding-20140508.xlsx",
    n_rows=(255, 257),
    first=r"sub\d+",
    label_maps={
        "cdmer": EMOTIONS,
        "megc2019": {
            "happiness": "positive",
            "disgust": "negative",
            "repression": "negative",
            "surprise": "surprise",
        },
    },
    expected={"cdmer": EXPECTED_COUNTS["CASME2"], "megc2019": (88, 32, 25)},
    corrections=(
        Correction("sub24", "EP02_07", "in no sheet; the released labels have it", "sadness", frames=(24, 66)),
        *(Correction("sub24", clip, _2014, "sadness", "surprise") for clip in ("EP07_01", "EP07_04f", "EP10_03")),
        Correction("sub09", "EP02_02f", _LIST),
        Correction("sub04", "EP12_01f", _NOT_IN_MEGC, protocols=("megc2019",)),
        Correction("sub05", "EP09_05f", _NOT_IN_MEGC, protocols=("megc2019",)),
    ),
)

# Cropped/sub01/EP…/reg_EP…-N.jpg. The sheet of 193 rows comes as .xls. Repression and tense stay out, as elsewhere.
_CASME = CodedDatabase(
    name="CASME",
    sheet=r"CASME[-_ ]cod(ed|ing).*\.(xlsx|xls|csv)",
    sheet_known="CASME-coded-20190721.xlsx",
    n_rows=(193,),
    first=r"sub\d+",
)

# 006/006_1_2/006_05562.jpg. Rows by emotion: anger 57, contempt 12, disgust 9, fear 8, sadness 6; happiness 26;
# surprise 15; other 26.
_SAMM = CodedDatabase(
    name="SAMM",
    sheet=r"SAMM.*FACS.*Codes.*\.(xlsx|csv)",
    sheet_known="SAMM_Micro_FACS_Codes_v2.xlsx",
    n_rows=(159,),
    worksheet="MICRO_ONLY",
    first=r"\d{3}",
    subject="{:03d}",
    label_maps={"cdmer": EMOTIONS, "megc2019": EMOTIONS},
    expected={"cdmer": (92, 26, 15), "megc2019": (92, 26, 15)},
)


def _read_cas_me_2(path: Path) -> Sheet:
    """The micro-expressions of a workbook without headers, with subject and clip as the folders are called.

    A row for each expression; two sheets of naming rules lead from participants to folders and from videos to the four
    digits in a folder's name.
    """
    names = ("participant", "video", "onset", "apex", "offset", "aus", "emotion", "type", "self-report")
    sheet = read_sheet(path, (), names=names)
    if path.suffix.lower() == ".csv":
        raise DataError(f"{path}: the workbook with its sheets of naming rules is needed, not one sheet of it")
    people = read_sheet(path, (), names=("folder", "prefix", "participant"), worksheet="naming rule1").rows
    videos = read_sheet(path, (), names=("code", "video"), worksheet="naming rule2").rows
    folders = {row.text("participant"): row.text("folder") for row in people}
    codes = {row.text("video").lower(): row.text("code") for row in videos}
    rows = []
    for row in sheet.rows:
        if row.text("type").lower().startswith("micro"):
            video = row.text("video").lower().rpartition("_")[0] or row.text("video").lower()
            known = {"subject": folders.get(row.text("participant"), ""), "filename": codes.get(video, "").zfill(4)}
            rows.append(Row(row.number, {**row.values, **known}))
    return replace(sheet, rows=tuple(rows))


# Recordings in rawpic/s15/15_0101disgustingteeth/ or cropped/…. The emotions of the sheet are the classes.
_CAS_ME_2 = CodedDatabase(
    name="CAS_ME_2",
    sheet=r"CAS\(ME\)\^?2.*code_final.*\.xlsx",
    sheet_known="CAS(ME)^2code_final.xlsx",
    n_rows=(53, 57),
    read=_read_cas_me_2,
    first=r"s\d+",
    subject="s{:02d}",
    named=r"\d+_(\d{4})",
    events=True,
    always_cut=True,
)

# Recordings in spNO.1/a/color/. Negative (anger, disgust, fear, sadness) 457, happy 55, surprise 187, others 161.
_CAS_ME_3_A = CodedDatabase(
    name="CAS_ME_3_A",
    sheet=r"cas\(me\)\^?3_part_A_ME_label_JpgIndex.*\.(xlsx|csv)",
    sheet_known="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    n_rows=(860,),
    first=r"spNO\.\d+",
    subject="spNO.{}",
    inner="color",
    events=True,
    always_cut=True,
    expected={"cdmer": (457, 55, 187)},
)


def _read_cas_me_3_c(path: Path) -> Sheet:
    """The sheet with the name of each recording's folder, from subject and count."""
    sheet = read_sheet(path, ("subject", "count", "onset", "offset", "emotion"))
    rows = []
    for row in sheet.rows:
        person, count = row.integer("subject"), row.integer("count")
        name = "" if person is None else f"{person:02d}_{count}"
        rows.append(Row(row.number, {**row.values, "filename": name}))
    return replace(sheet, rows=tuple(rows))


# Recordings in folders 01_1 (subject and count) anywhere below the root. Rows: 99 / 16 / 30, others 20.
_CAS_ME_3_C = CodedDatabase(
    name="CAS_ME_3_C",
    sheet=r"CAS\(ME\)\^?3_part_C_ME.*\.(xlsx|csv)",
    sheet_known="CAS(ME)3_part_C_ME.xlsx",
    n_rows=(165,),
    read=_read_cas_me_3_c,
    subject="{:02d}",
    events=True,
    always_cut=True,
    expected={"cdmer": (99, 16, 30)},
)

# Micro_Expression/anger/S13-07-001/1.jpg
_MMEW = CodedDatabase(
    name="MMEW",
    sheet=r"MMEW.*Micro.*\.(xlsx|csv)",
    sheet_known="MMEW_Micro_Exp.xlsx",
    subject="S{:02d}",
    always_cut=True,
)

# Grey videos in folders called as the sheet's fold_name, anywhere below the root.
_4DME = CodedDatabase(
    name="4DME",
    sheet=r"4DME.*Labelling.*Micro.*\.(xlsx|csv)",
    sheet_known="4DME_Labelling_Micro_release v1.xlsx",
    subject="S{:02d}",
)

# Folders called as the sheet's Filename, anywhere below the root. The training sheet's rows: disgust 548, surprise 298,
# sadness 278, fear 265, happiness 206, anger 161, contempt 100. For the test sets name the sheet with --annotations.
_DFME = CodedDatabase(
    name="DFME",
    sheet=r"(DFME_)?training_full.*\.(xlsx|csv)",
    sheet_known="training_full_with_AU.xlsx",
    n_rows=(1856,),
    subject="sub{:04d}",
    always_cut=True,
    expected={"cdmer": (1352, 206, 298)},
)

CODED = (_CASME2, _CASME, _SAMM, _CAS_ME_2, _CAS_ME_3_A, _CAS_ME_3_C, _MMEW, _4DME, _DFME)
