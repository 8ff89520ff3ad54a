from __future__ import annotations

from pathlib import Path

import pytest

from tgsr.datasets import load_clips
from tgsr.datasets._sheet import read_sheet, whole_number
from tgsr.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for clip in ("a", "b", "long"):
        (tmp_path / clip).mkdir()
        for number in range(1, 21):
            (tmp_path / clip / f"f{number}.png").write_bytes(b"")
    return tmp_path


def test_a_table_gives_clips_with_subjects_cut_to_onset_and_offset(root: Path) -> None:
    table = root / "clips.csv"
    table.write_text("clip,label,subject,onset,offset,cropped\na,negative,p1,3,7,no\nb,positive,p2,,,\n")
    first, second = load_clips("mine", root).clips
    assert (first.subject, first.label, len(first.frames), first.cropped) == ("p1", "negative", 5, False)
    assert (second.subject, second.label, len(second.frames), second.cropped) == ("p2", "positive", 20, True)


def test_the_table_itself_may_be_named(root: Path) -> None:
    table = root / "list.csv"
    table.write_text("\ufeffClip,Label\na,negative\n", encoding="utf-8")
    assert load_clips("mine", table).clips == load_clips("mine", root, annotations=table).clips != ()


def test_a_label_map_may_be_a_file_and_leave_labels_out(root: Path) -> None:
    (root / "clips.csv").write_text("clip,label\na,Joy\nb,boredom\nlong,anger\n")
    (root / "map.csv").write_text("label,class\njoy,positive\nboredom,\n")
    collection = load_clips("mine", root, label_map=root / "map.csv")
    assert [(clip.id, clip.label) for clip in collection.clips] == [("a", "positive")]
    assert collection.class_names == ("negative", "positive", "surprise")
    assert [entry.clip for entry in collection.skipped] == ["long"]
    assert any("1 boredom" in note for note in collection.notes)


def test_a_map_that_contradicts_itself_is_refused(root: Path) -> None:
    (root / "clips.csv").write_text("clip,label\na,joy\n")
    (root / "map.csv").write_text("label,class\njoy,positive\nJoy,surprise\n")
    with pytest.raises(DataError, match="row 3"):
        load_clips("mine", root, label_map=root / "map.csv")


def test_several_events_of_one_recording_are_several_clips(root: Path) -> None:
    (root / "clips.csv").write_text("clip,label,onset,offset\nlong,negative,1,5\nlong,surprise,9,14\n")
    clips = load_clips("mine", root).clips
    assert [(clip.id, len(clip.frames)) for clip in clips] == [("long@1-5", 5), ("long@9-14", 6)]


def test_own_classes_are_kept_and_told(root: Path) -> None:
    (root / "clips.csv").write_text("clip,label\na,pain\nb,none\n")
    collection = load_clips("mine", root)
    assert collection.class_names == ("none", "pain")
    assert any("own classes" in note for note in collection.notes)


def test_a_folder_of_clips_is_a_target_without_labels(root: Path) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "film.avi").write_bytes(b"")
    (root / "notes").mkdir()
    collection = load_clips("mine", root)
    assert [(clip.id, clip.label) for clip in collection.clips] == [
        ("a", None),
        ("b", None),
        ("long", None),
        ("deep/er/film.avi", None),
    ]
    assert not any(clip.cropped for clip in collection.clips)
    assert any("a target without labels" in note for note in collection.notes)


def test_a_table_without_labels_is_a_target(root: Path) -> None:
    (root / "clips.csv").write_text("clip,subject\na,p1\nlong,p2\n")
    assert [(clip.id, clip.label, clip.subject) for clip in load_clips("mine", root).clips] == [
        ("a", None, "p1"),
        ("long", None, "p2"),
    ]
    (root / "clips.csv").write_text("clip,emotion\na,joy\n")
    with pytest.raises(DataError, match="no column label; is it emotion"):
        load_clips("mine", root)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *[(cell, 46) for cell in (46, 46.0, " 46 ", "46.0")],
        *[(cell, None) for cell in ("/", "46.5", None, True, "4_6", "٤٦", "nan", "inf")],
    ],
)
def test_cells_are_whole_numbers_or_none(cell: object, number: int | None) -> None:
    assert whole_number(cell) == number


def test_a_title_above_the_header_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("my clips\n\nclip,label\nx,negative\n")
    (row,) = read_sheet(tmp_path / "s.csv", ("clip", "label")).rows
    assert (row.number, row.text("clip")) == (4, "x")
    (tmp_path / "s.xls").write_bytes(b"")
    with pytest.raises(DataError, match=r"save it as \.xlsx"):
        read_sheet(tmp_path / "s.xls", ("clip",))


@pytest.mark.parametrize(
    "row", ["a,joy\x1b[2J,p1", "a,=cmd|' /C calc'!A0,p1", "a,joy,@p1", "a\x1b[2J,joy,p1", "-a,joy,p1"]
)
def test_names_that_steer_a_terminal_or_a_spreadsheet_are_skipped_with_the_reason(root: Path, row: str) -> None:
    (root / "clips.csv").write_text(f"clip,label,subject\n{row}\nb,joy,p2\n")
    collection = load_clips("mine", root)
    assert [clip.id for clip in collection.clips] == ["b"]
    [entry] = collection.skipped
    assert entry.reason.startswith("row 2: ")
    assert (entry.clip + entry.reason).isprintable()
