"""Files as people have them: what is meant is read, what may be meant otherwise is noted or refused by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest
import scipy.io
from trees import frames, sheet

from tgsr.datasets import (
    FeatureDataset,
    find_databases,
    import_features,
    load_clips,
    load_database,
    read_frames,
    save_features,
)
from tgsr.datasets._texts import one_spelling, subject_number
from tgsr.errors import DataError

VALUES = ["0.5,1.5", "0.25,2.5", "0.75,3.25", "0.1,4.5"]
ROWS = ["negative,1,0.5,1.5", "positive,1,0.25,2.5", "surprise,2,0.75,3.25", "negative,2,0.1,4.5"]
HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion"]


def table(path: Path, rows: list[str], header: str = "label,subject,f1,f2") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.WARNING, "tgsr")
    return lambda: caplog.text


def test_labels_of_a_table_are_taken_in_one_spelling(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = ["Negative,1,0.5,1.5", "NEGATIVE,1,1,2", "Ü,2,2,3", "U\u0308,2,3,4", "1.0,3,4,5", "1,3,5,6"]
    data = import_features(table(tmp_path / "t.csv", rows), "m")
    assert data.counts == {"1": 2, "negative": 2, "Ü": 2}
    assert "taken in one spelling: Negative as negative, NEGATIVE as negative, U\u0308 as Ü, 1.0 as 1" in notes()


def test_labels_of_an_archive_are_taken_in_one_spelling(tmp_path: Path, notes: Callable[[], str]) -> None:
    labels = np.array(["Positive", "positive", "negative"])
    np.savez(tmp_path / "a.npz", features=np.eye(3), labels=labels)
    assert import_features(tmp_path / "a.npz", "m").counts == {"negative": 1, "positive": 2, "surprise": 0}
    assert "Positive as positive" in notes()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Very_Happy", "very_happy"),
        ("very happy", "very_happy"),
        ("1.0", "1.0"),
        ("1", "1.0"),
        ("not_sure", "not_sure"),
    ],
)
def test_labels_are_spelled_as_the_names_that_are_known(label: str, name: str) -> None:
    assert one_spelling([label], [name, "other"])[0] == [name]


def test_a_class_may_be_called_as_a_total_is(tmp_path: Path) -> None:
    rows = [f"{label},1,{at % 4}.5,{at * at % 7}.5" for at, label in enumerate(["high", "low", "mean"] * 3)]
    assert import_features(table(tmp_path / "t.csv", rows), "m").counts == {"high": 3, "low": 3, "mean": 3}


def test_a_label_map_names_labels_in_any_spelling_and_what_would_be_none(tmp_path: Path) -> None:
    mapping = {"NA": "negative", "very happy": "positive", "1": "surprise"}
    labels = ["NA", "Very_Happy", "1.0"]
    path = table(tmp_path / "t.csv", [f"{label},{at},{at},{at + 1}" for at, label in enumerate(labels)])
    assert import_features(path, "m", mapping).counts == {"negative": 1, "positive": 1, "surprise": 1}
    np.savez(tmp_path / "a.npz", features=np.eye(3), labels=np.array(labels))
    assert import_features(tmp_path / "a.npz", "m", mapping).counts == {"negative": 1, "positive": 1, "surprise": 1}
    for name in "abc":
        frames(tmp_path / name, 1, 2, 3, name="{}.jpg")
    table(tmp_path / "clips.csv", [f"{clip},{label}" for clip, label in zip("abc", labels, strict=True)], "clip,label")
    found = load_clips("mine", tmp_path, label_map=mapping)
    assert [clip.label for clip in found.clips] == ["negative", "positive", "surprise"]


def test_the_plain_column_of_frames_counts_and_the_other_is_named(tmp_path: Path) -> None:
    frames(tmp_path / "c", *range(1, 21), name="{}.jpg")
    header = "clip,label,onset,offset,onset_frame,offset_frame"
    table(tmp_path / "clips.csv", ["c,negative,1,10,11,20"], header)
    found = load_clips("mine", tmp_path)
    assert [(clip.onset, clip.offset) for clip in found.clips] == [(1, 10)]
    assert any("not used: onsetframe, offsetframe" in note for note in found.notes)


@pytest.mark.parametrize("cell", ["NA", "N/A", "#N/A", "null", "NULL", "?", "nan"])
def test_what_says_that_there_is_no_label_is_none(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path / "t.csv", [*ROWS[:2], f'"{cell}",2,1,2'])
    with pytest.raises(DataError, match=r"sample 3 has no label|line 4 begins with #"):
        import_features(path, "m")
    for name in "ab":
        frames(tmp_path / name, 1, 2, 3, name="{}.jpg")
    table(tmp_path / "clips.csv", ["a,positive", f"b,{cell}"], "clip,label")
    collection = load_clips("mine", tmp_path)
    assert [clip.id for clip in collection.clips] == ["a"]
    assert "no label" in collection.skipped[0].reason


@pytest.mark.parametrize("cell", ["N/A", "?"])
def test_what_says_that_nobody_is_known_is_nobody(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match="sample 3 has no subject"):
        import_features(table(tmp_path / "t.csv", [*ROWS[:2], f"surprise,{cell},1,2"]), "m")


@pytest.mark.parametrize("people", [["1", "01"], ["s1", "sub01"], ["1", "1.0"], ["Anna", "anna"], ["S1", "Subject 1"]])
def test_people_that_may_be_one_are_noted(tmp_path: Path, people: list[str], notes: Callable[[], str]) -> None:
    rows = ["ab"[n // 2] + f",{people[n % 2]},{values}" for n, values in enumerate(VALUES)]
    data = import_features(table(tmp_path / "t.csv", rows), "m")
    assert data.subjects.tolist() == people * 2  # nothing is changed: it would be a guess
    assert f"are they one person each: {' and '.join(people)}?" in notes()
    for name in "ab":
        frames(tmp_path / name, 1, 2, 3, name="{}.jpg")
    table(tmp_path / "clips.csv", [f"a,positive,{people[0]}", f"b,negative,{people[1]}"], "clip,label,subject")
    assert any(f"one person each: {' and '.join(people)}?" in note for note in load_clips("mine", tmp_path).notes)


def test_people_that_are_not_one_are_not_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"a,{who},{values}" for who, values in zip(("A1", "B1", "s2", "12"), VALUES, strict=True)]
    import_features(table(tmp_path / "t.csv", rows), "m")
    assert notes() == ""


@pytest.mark.parametrize("word", ["Total", "mean", "Average"])
def test_a_row_of_totals_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError, match=f"the last sample is called {word}; is it a total"):
        import_features(table(tmp_path / "t.csv", [*ROWS, f"{word},4,1.6,11.75"]), "m")


def test_rows_that_are_there_twice_are_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    assert len(import_features(table(tmp_path / "t.csv", ROWS + ROWS[:2]), "m")) == 6
    assert "2 of its 6 rows have the same features as another" in notes()


@pytest.mark.parametrize("name", ["y", "Y", "y_true"])
def test_y_is_the_label_where_nothing_else_is(tmp_path: Path, name: str, notes: Callable[[], str]) -> None:
    rows = [f"{values},{n % 2}" for n, values in enumerate(VALUES)]
    data = import_features(table(tmp_path / "t.csv", rows, f"f1,f2,{name}"), "m")
    assert data.counts == {"0": 2, "1": 2}
    assert f"{name} is taken as the label" in notes()


def test_y_beside_x_is_a_coordinate(tmp_path: Path) -> None:
    data = import_features(table(tmp_path / "t.csv", [f"{n}.5,{n * n}.25" for n in (3, 1, 2)], "x,y"), "m")
    assert data.feature_names.tolist() == ["x", "y"]
    assert data.labels is None


def test_what_another_model_said_is_no_feature(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{n % 2},{n % 2},{values}" for n, values in enumerate(VALUES)]
    data = import_features(table(tmp_path / "t.csv", rows, "label,y_pred,proba,f1"), "m")
    assert data.feature_names.tolist() == ["f1"]
    assert "left out, as bookkeeping and no feature: y_pred, proba" in notes()


@pytest.mark.parametrize("name", ["patient", "Actor ID", "individual"])
def test_who_is_seen_has_many_names(tmp_path: Path, name: str) -> None:
    data = import_features(table(tmp_path / "t.csv", ROWS, f"label,{name},f1,f2"), "m")
    assert data.subjects.tolist() == ["1", "1", "2", "2"]


def test_utf16_without_its_mark_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("label,f\na,1.5\nb,2.5\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"t\.csv: it holds zero bytes, as UTF-16 .*save it as CSV UTF-8"):
        import_features(tmp_path / "t.csv", "m")


def test_classes_of_an_archive_that_are_called_alike_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.eye(3), labels=np.arange(3), class_names=["a", "b", "a"])
    with pytest.raises(DataError, match="class_names must differ, got a, b, a"):
        import_features(tmp_path / "a.npz", "m")


def test_a_feature_file_is_no_import(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.eye(3), header=np.array("{}"))
    with pytest.raises(DataError, match="a feature file of tgsr already"):
        import_features(tmp_path / "a.npz", "m")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for name in ("a_1", "b_1", "c_1"):
        frames(tmp_path / name, *range(1, 9), name="{}.jpg")
    return tmp_path


@pytest.mark.parametrize("again", ["./a_1", "a_1/", "b_1/../a_1", ".\\\\a_1", "{root}/a_1"])
def test_a_clip_that_is_listed_twice_is_found_however_it_is_written(clips: Path, again: str) -> None:
    again = again.replace("\\\\", "\\").format(root=clips)
    table(clips / "clips.csv", ["a_1,positive", "b_1,negative", f"{again},surprise"], "clip,label")
    collection = load_clips("mine", clips)
    assert [clip.id for clip in collection.clips] == ["b_1"]
    assert [entry.clip for entry in collection.skipped] == ["a_1", "a_1"]
    assert all(entry.reason.split("; ")[0].split(": ")[-1].startswith("duplicate") for entry in collection.skipped)


@pytest.mark.parametrize(
    "names", ["onset,offset", "Onset Frame,Offset Frame", "OnsetFrame,OffsetFrame", "onset_frame,offset_frame"]
)
def test_frames_of_a_list_are_found_however_their_columns_are_spelled(clips: Path, names: str) -> None:
    table(clips / "clips.csv", ["a_1,positive,2,4"], f"clip,label,{names}")
    (clip,) = load_clips("mine", clips).clips
    assert len(clip.frames) == 3


def test_columns_of_a_list_that_are_not_used_are_named(clips: Path) -> None:
    table(clips / "clips.csv", ["a_1,positive,2,4,anna"], "clip,label,start,end,Participant ID")
    collection = load_clips("mine", clips)
    assert collection.clips[0].subject == "anna"
    assert f"{clips / 'clips.csv'}: columns that are not used: start, end" in collection.notes
    assert f"{clips / 'clips.csv'}: participantid is taken as the subject" in collection.notes


@pytest.mark.parametrize("name", ["category", "gt", "Classes", "Ground Truth"])
def test_a_list_whose_label_has_another_name_is_no_target(clips: Path, name: str) -> None:
    table(clips / "clips.csv", ["a_1,positive"], f"clip,{name}")
    with pytest.raises(DataError, match=r"no column label; is it .*Rename it"):
        load_clips("mine", clips)


def test_more_cells_than_columns_are_refused(clips: Path) -> None:
    table(clips / "clips.csv", ["a_1,positive,1", "b_1,take,2,negative"], "clip,label,subject")
    with pytest.raises(DataError, match=r"clips\.csv: row 3 has more cells than the header; quote"):
        load_clips("mine", clips)


def test_a_class_of_a_label_map_that_is_na_leaves_the_label_out(clips: Path) -> None:
    table(clips / "clips.csv", ["a_1,joy", "b_1,negative"], "clip,label")
    table(clips / "map.csv", ["joy,NA", "negative,negative"], "label,class")
    collection = load_clips("mine", clips, label_map=clips / "map.csv")
    assert [clip.label for clip in collection.clips] == ["negative"]
    assert any("left out by the label map: 1 joy" in note for note in collection.notes)


@pytest.mark.parametrize("text", ["2-Jan", "Jan-02", "02. Jan", "1-Mär", "3 Okt"])
def test_a_date_is_no_person(text: str) -> None:
    assert subject_number(text) is None


@pytest.mark.parametrize(
    "header",
    [
        ["Subject", "Filename", "Onset", "Apex", "Offset", "Emotion"],
        ["SUBJECT ", "File name", "Onset Frame", "Apex Frame", "Offset Frame", "Estimated_Emotion"],
        ["sub", "filename", "Onset\nFrame", "Apex\nFrame", "Offset\nFrame", "Estimated\xa0Emotion"],
        HEADER,
    ],
)
def test_columns_of_a_databases_sheet_are_found_however_they_are_spelled(tmp_path: Path, header: list[str]) -> None:
    frames(tmp_path / "S01-01-001", *range(1, 9), name="{}.jpg")
    sheet(tmp_path / "MMEW_Micro_Exp.xlsx", [header, [1, "S01-01-001", 2, 4, 7, "happiness"]])
    (clip,) = load_clips("MMEW", tmp_path).clips
    assert (clip.subject, clip.label, len(clip.frames)) == ("S01", "positive", 6)


def test_a_second_sheet_is_named(tmp_path: Path) -> None:
    frames(tmp_path / "S01-01-001", *range(1, 9), name="{}.jpg")
    for name in ("MMEW_Micro_Exp.xlsx", "MMEW_Micro_Exp_old.xlsx"):
        sheet(tmp_path / name, [HEADER, [1, "S01-01-001", 2, 4, 7, "happiness"]])
    read = f"{tmp_path / 'MMEW_Micro_Exp_old.xlsx'} is read, and not MMEW_Micro_Exp.xlsx; --annotations names another"
    assert read in load_clips("MMEW", tmp_path).notes


def test_hidden_rows_are_read_and_that_is_said(tmp_path: Path) -> None:
    frames(tmp_path / "S01-01-001", *range(1, 9), name="{}.jpg")
    path = sheet(tmp_path / "MMEW_Micro_Exp.xlsx", [HEADER, [1, "S01-01-001", 2, 4, 7, "happiness"]])
    book = openpyxl.load_workbook(path)
    book.worksheets[0].row_dimensions[2].hidden = True
    book.save(path)
    collection = load_clips("MMEW", tmp_path)
    assert len(collection.clips) == 1
    assert f"emotions and frames from {path}; hidden rows are read, too" in collection.notes


def test_a_row_that_repeats_a_clip_with_other_frames_says_so(tmp_path: Path) -> None:
    frames(tmp_path / "S01-01-001", *range(1, 9), name="{}.jpg")
    rows = [[1, "S01-01-001", 2, 4, 7, "happiness"], [1, "S01-01-001", 3, 4, 8, "happiness"]]
    path = sheet(tmp_path / "MMEW_Micro_Exp.xlsx", [HEADER, *rows])
    notes = load_clips("MMEW", tmp_path).notes
    assert f"row 3 of {path} repeats S01/S01-01-001 with other frames, not used" in notes


def test_a_clip_in_which_nothing_moves_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    for n in range(1, 5):
        cv2.imwrite(str(tmp_path / f"a/{n}.png"), picture)
    (clip,) = load_clips("mine", tmp_path).clips
    notes: list[str] = []
    assert len(read_frames(clip, notes)) == 4
    assert notes == ["all its frames are the same picture; nothing moves"]


@pytest.mark.parametrize(("column", "cell"), [("start", 2), ("OnsetF", "/"), ("OnsetF", None), ("OnsetF", "img2")])
def test_raw_smic_clips_whose_row_gives_no_frames_are_named(tmp_path: Path, column: str, cell: object) -> None:
    frames(tmp_path / "SMIC_all_raw/VIS/s1/micro/negative/s1_ne_01", *range(1, 9), name="image{}.jpg")
    header = ["Subject", "Filename", column, "OffsetF", "Emotion"]
    sheet(tmp_path / "SMIC_VIS_E_annotation.xlsx", [header, [1, "s1_ne_01", cell, 7, "negative"]])
    collection = load_clips("SMIC_VIS", tmp_path)
    assert collection.clips == ()
    assert collection.skipped[0].reason == (
        "row 2 of the sheet gives no onset and offset frame (columns OnsetF and OffsetF)"
    )


LINES = ["0.5,1.5", "0.25,2.5", "0.75,3.25", "0.1,4.5", "0.3,5.75", "0.9,0.25"]


def test_several_rows_of_a_clip_are_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{'ab'[n % 2]},c{n // 3},{n % 3},{values}" for n, values in enumerate(LINES)]
    assert len(import_features(table(tmp_path / "t.csv", rows, "label,clip,frame,f1,f2"), "m")) == 6
    assert "2 clips have several rows, such as c0; give each clip one" in notes()


def test_labels_that_are_there_once_each_are_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"c{n},{values}" for n, values in enumerate(LINES)]
    import_features(table(tmp_path / "t.csv", rows, "label,f1,f2"), "m")
    assert "each label is there once only, as names of clips are" in notes()


def test_classes_beside_the_protocols_are_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{('negative', 'Negativ')[n % 2]},{values}" for n, values in enumerate(LINES)]
    import_features(table(tmp_path / "t.csv", rows, "label,f1,f2"), "m")
    assert "classes of its own beside the protocol's: Negativ" in notes()


def test_blanks_and_underlines_make_no_other_label(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{('very happy', 'very  happy', 'very_happy')[n % 3]},{values}" for n, values in enumerate(LINES)]
    assert import_features(table(tmp_path / "t.csv", rows, "label,f1,f2"), "m").counts == {"very happy": 6}
    assert "one spelling: very  happy as very happy, very_happy as very happy" in notes()


def test_groups_that_may_be_one_and_features_without_one_are_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{'ab'[n % 2]},{values},{values[::-1]}" for n, values in enumerate(LINES)]
    import_features(table(tmp_path / "t.csv", rows, "label,Brow/1,brow/2,f1,f2"), "m")
    assert "are they one group each: Brow and brow?" in notes()
    assert "features without a group in their name are groups of their own: f1, f2" in notes()


def test_a_column_that_pandas_renamed_and_holds_the_same_is_noted(tmp_path: Path, notes: Callable[[], str]) -> None:
    rows = [f"{'ab'[n % 2]},{values},{values.split(',')[0]}" for n, values in enumerate(LINES)]
    import_features(table(tmp_path / "t.csv", rows, "label,AU1,AU2,AU1.1"), "m")
    assert "AU1.1 holds the same as AU1; leave one of them out with --drop" in notes()


def test_endings_in_capitals_are_the_same_kinds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own = FeatureDataset("A", rng.normal(size=(4, 6)), np.arange(4) % 2, groups=np.arange(6))
    save_features(own, tmp_path / "A.npz").rename(tmp_path / "A.NPZ")
    values = {"SMIC_VIS_micro_feature": rng.random((3, 15045)), "SMIC_VIS_micro_label": [[1.0, 2.0, 3.0]]}
    scipy.io.savemat(tmp_path / "v.MAT", values, appendmat=False)
    assert [entry.name for entry in find_databases(tmp_path)] == ["A", "SMIC_VIS"]
    assert load_database("A.NPZ", tmp_path).digest == own.digest
    assert len(load_database("V", tmp_path)) == 3


def test_a_smic_sheet_of_several_cameras_is_read_for_the_right_one(tmp_path: Path) -> None:
    frames(tmp_path / "SMIC_all_raw/VIS/s1/micro/negative/s1_ne_01", *range(1, 9), name="image{}.jpg")
    header = ["Subject", "Filename", "OnsetF NIR", "OffsetF NIR", "OnsetF VIS", "OffsetF VIS", "Emotion"]
    sheet(tmp_path / "SMIC_NIR_VIS_annotation.xlsx", [header, [1, "s1_ne_01", 1, 3, 4, 8, "negative"]])
    (clip,) = load_clips("SMIC_VIS", tmp_path).clips
    assert (clip.onset, clip.offset, len(clip.frames)) == (4, 8, 5)


@pytest.mark.parametrize("names", [("X", "y"), ("x", "Y"), ("Features", "Labels"), ("FEATURES", "y_true")])
def test_members_of_an_archive_are_found_in_any_case(tmp_path: Path, names: tuple[str, str]) -> None:
    np.savez(tmp_path / "a.npz", **dict(zip(names, (np.eye(4), ["a", "b", "a", "b"]), strict=True)))
    assert import_features(tmp_path / "a.npz", "m").counts == {"a": 2, "b": 2}


def test_two_members_that_may_be_one_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.eye(4), features=np.eye(4))
    with pytest.raises(DataError, match="could each be its features; keep one"):
        import_features(tmp_path / "a.npz", "m")
