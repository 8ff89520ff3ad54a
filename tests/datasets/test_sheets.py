"""Sheets as people make and keep them: the right cells are read, or one line says what is wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from trees import frames

from tgsr.datasets import load_clips
from tgsr.datasets._sheet import read_sheet
from tgsr.datasets._texts import subject_number
from tgsr.errors import DataError

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion"]


def mmew(root: Path, subjects: list[object], name: str = "MMEW_Micro_Exp.csv", numbers: type = int) -> Path:
    """A tree of MMEW with a sheet as pandas writes it; clips S01-01-001, S02-01-001, …, all of happiness."""
    clips = [f"S{n:02d}-01-001" for n in range(1, len(subjects) + 1)]
    for clip in clips:
        frames(root / clip, *range(1, 9), name="{}.jpg")
    rows = [
        [subject, clip, numbers(1), 4, numbers(8), "happiness"] for subject, clip in zip(subjects, clips, strict=True)
    ]
    table = pd.DataFrame(rows, columns=HEADER)
    if name.endswith(".csv"):
        table.to_csv(root / name, index=False)
    else:
        table.to_excel(root / name, index=False)
    return root


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize(
    "subjects",
    [
        [1, 2, 13],
        [1.0, 2.0, 13.0],
        ["01", "02", "13"],
        ["S1", "S02", "s13"],
        ["sub01", "sub02", "sub13"],
        ["spNO.1", "spNO.2", "spNO.13"],
        ["1.0", "2.0", "13.0"],
        [" 1 ", "2.", "13.00"],
        ["Subject 1", "no. 2", "13 (f)"],
    ],
    ids=str,
)
def test_a_subject_is_the_number_in_its_name(tmp_path: Path, subjects: list[object], suffix: str) -> None:
    collection = load_clips("MMEW", mmew(tmp_path, subjects, f"MMEW_Micro_Exp{suffix}", float))
    assert [clip.subject for clip in collection.clips] == ["S01", "S02", "S13"]
    assert [len(clip.frames) for clip in collection.clips] == [8, 8, 8]


@pytest.mark.parametrize("subject", ["1.5", "S01-02", "1 and 2", "unknown", "1e2"])
def test_a_subject_without_one_number_is_named_and_left_out(tmp_path: Path, subject: str) -> None:
    assert subject_number(subject) is None
    collection = load_clips("MMEW", mmew(tmp_path, ["1", subject]))
    assert [clip.subject for clip in collection.clips] == ["S01"]
    assert [f"row 3 of {tmp_path / 'MMEW_Micro_Exp.csv'}: subject '{subject}' is not one number" in entry.reason
            for entry in collection.skipped] == [True]  # fmt: skip


def test_sheets_of_floats_lead_to_the_recordings(tmp_path: Path) -> None:
    for clip in ("01_1", "02_13"):
        frames(tmp_path / clip, *range(1, 10), name="{}.jpg")
    table = pd.DataFrame({"sub": [1.0, 2.0], "count": [1.0, 13.0], "onset": [2.0, 3.0], "offset": [5.0, 6.0]})
    table.assign(emotion="happy").to_csv(tmp_path / "CAS(ME)3_part_C_ME.csv", index=False)
    clips = load_clips("CAS_ME_3_C", tmp_path).clips
    assert [(clip.id, clip.subject, len(clip.frames)) for clip in clips] == [
        ("01/01_1@2-5", "01", 4),
        ("02/02_13@3-6", "02", 4),
    ]


def test_smics_sheets_of_floats_give_raw_clips_their_frames(tmp_path: Path) -> None:
    frames(tmp_path / "raw" / "HS" / "s3" / "micro" / "negative" / "s3_ne_01", *range(1, 10), name="image{}.jpg")
    table = pd.DataFrame({"Subject": [3.0], "Filename": ["s3_ne_01"], "OnsetF": [2.0], "OffsetF": [5.0]})
    table.assign(Emotion="negative").to_csv(tmp_path / "SMIC-HS-E_annotation.csv", index=False)
    (clip,) = load_clips("HS", tmp_path).clips
    assert len(clip.frames) == 4


@pytest.mark.parametrize("second", ["label", "Label", " LABEL "])
def test_a_column_that_is_there_twice_with_other_values_is_refused(tmp_path: Path, second: str) -> None:
    for name in "ab":
        frames(tmp_path / name, 1, 2, 3, name="{}.jpg")
    table = tmp_path / "clips.csv"
    table.write_text(f"clip,label,subject,{second}\na,positive,p,positive\nb,negative,q,positive\n")
    with pytest.raises(DataError, match=rf"{table}: column label is there twice, with other values in row 3; remove"):
        load_clips("mine", tmp_path)
    table.write_text(f"clip,label,subject,{second}\na,positive,p,positive\nb,negative,q,negative\n")
    assert [clip.label for clip in load_clips("mine", tmp_path).clips] == ["positive", "negative"]


@pytest.mark.parametrize("column", HEADER)
def test_a_column_twice_in_a_databases_sheet_is_refused_if_it_is_used(tmp_path: Path, column: str) -> None:
    root = mmew(tmp_path, [1])
    path = root / "MMEW_Micro_Exp.csv"
    path.write_text(
        "\n".join(f"{line},{end}" for line, end in zip(path.read_text().splitlines(), (column, "7"), strict=True))
    )
    if column == "ApexFrame":
        assert len(load_clips("MMEW", root).clips) == 1
    else:
        name = column.removesuffix("Frame").removeprefix("Estimated ").lower()
        with pytest.raises(DataError, match=rf"column {name} is there twice"):
            load_clips("MMEW", root)


def workbook(path: Path, **pages: tuple[str, list[list[Any]]]) -> Path:
    """A workbook of worksheets, each in a state: visible, hidden or veryHidden."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, (state, rows) in pages.items():
        page = book.create_sheet(name)
        page.sheet_state = state
        for row in rows:
            page.append(row)
    book.active = next(n for n, page in enumerate(book.worksheets) if page.sheet_state == "visible")
    book.save(path)
    return path


def rows_of(emotion: str) -> list[list[Any]]:
    return [HEADER, [1, "S01-01-001", 1, 4, 8, emotion]]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_worksheet_is_not_read(tmp_path: Path, state: str) -> None:
    root = mmew(tmp_path, [1], "other.csv")
    workbook(root / "MMEW_Micro_Exp.xlsx", old=(state, rows_of("disgust")), final=("visible", rows_of("happiness")))
    (clip,) = load_clips("MMEW", root).clips
    assert clip.label == "positive"


def test_the_worksheet_with_the_header_is_read_and_others_that_have_it_are_named(tmp_path: Path) -> None:
    root = mmew(tmp_path, [1], "other.csv")
    path = root / "MMEW_Micro_Exp.xlsx"
    workbook(path, legend=("visible", [["AU", "name"], [4, "brow"]]), coding=("visible", rows_of("happiness")))
    assert load_clips("MMEW", root).clips[0].label == "positive"
    workbook(path, new=("visible", rows_of("happiness")), old=("visible", rows_of("disgust")))
    collection = load_clips("MMEW", root)
    assert collection.clips[0].label == "positive"
    assert f"emotions and frames from {path}, worksheet new (and not old)" in collection.notes


def excel(path: Path) -> bytes:
    return workbook(path.with_suffix(".xlsx"), a=("visible", [["clip", "label"], ["a", "negative"]])).read_bytes()


def old_excel(path: Path) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)


def html(path: Path) -> bytes:
    return b"<html><table><tr><td>clip</td></tr></table></html>"


def text(path: Path) -> bytes:
    return b"clip\tlabel\na\tnegative\n"


READ: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "a workbook called .xls": (excel, ".xls"),
    "a workbook called .csv": (excel, ".csv"),
    "text with tabs called .csv": (text, ".csv"),
    "text with tabs": (text, ".tsv"),
    "text with semicolons": (lambda path: b"clip;label\r\na;negative\r\n", ".csv"),
    "Excel's Unicode text": (lambda path: "clip\tlabel\na\tnegative\n".encode("utf-16"), ".txt"),
}
REFUSED: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "the old kind": (old_excel, ".xls", "a workbook of Excel's old kind, or one with a password; save it as .xlsx"),
    "the old kind called .xlsx": (old_excel, ".xlsx", "a workbook of Excel's old kind, or one with a password"),
    "the old kind called .csv": (old_excel, ".csv", "a workbook of Excel's old kind, or one with a password"),
    "a web page called .xls": (html, ".xls", "not a readable workbook .it holds a web page.; save it as .xlsx"),
    "text called .xlsx": (text, ".xlsx", "not a readable workbook .it holds text.; save it as .xlsx"),
    "nothing": (lambda path: b"", ".xlsx", "not a readable workbook .it is empty."),
    "an OpenDocument": (excel, ".ods", "not a known kind of sheet; save it as .xlsx or .csv"),
}


@pytest.mark.parametrize("case", READ)
def test_what_a_sheet_is_its_content_says(tmp_path: Path, case: str) -> None:
    make, suffix = READ[case]
    path = tmp_path / f"s{suffix}"
    path.write_bytes(make(path))
    (row,) = read_sheet(path, ("clip", "label")).rows
    assert (row.text("clip"), row.text("label")) == ("a", "negative")


@pytest.mark.parametrize("case", REFUSED)
def test_a_sheet_of_another_kind_than_its_name_says_is_called_what_it_is(tmp_path: Path, case: str) -> None:
    make, suffix, said = REFUSED[case]
    path = tmp_path / f"s{suffix}"
    path.write_bytes(make(path))
    with pytest.raises(DataError, match=rf"{path}: {said}") as caught:
        read_sheet(path, ("clip", "label"))
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    (tmp_path / "s.xlsx").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=r"s\.xlsx: not a readable workbook"):
        read_sheet(tmp_path / "s.xlsx", ("clip",))


def test_of_two_worksheets_with_clips_the_one_that_is_read_is_named(tmp_path: Path) -> None:
    frames(tmp_path / "a", 1, 2, name="{}.png")
    lines = [["clip", "label"], ["a", "negative"]]
    path = workbook(tmp_path / "list.xlsx", new=("visible", lines), old=("visible", lines))
    assert f"clips from {path}, worksheet new (and not old)" in load_clips("mine", path).notes
