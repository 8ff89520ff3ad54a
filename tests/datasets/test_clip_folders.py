"""Names and folders as systems make them, and lists of clips as people write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from films import pictures, write_pictures, write_video
from trees import frames

from tgsr.datasets import find_damaged, load_clips
from tgsr.datasets._tree import find_path, is_cropped
from tgsr.errors import MissingDataError


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC")])
def test_names_with_accents_are_found_however_they_are_encoded(tmp_path: Path, on_disk: str, in_list: str) -> None:
    for number, folder in enumerate(("josé_1", "Ångström/fünf", "가나")):
        frames(tmp_path / unicodedata.normalize(on_disk, folder), 1, 2, 3, name=f"{number}_{{}}.png")
    rows = unicodedata.normalize(in_list, "josé_1,negative\nÅngström/fünf,positive\n가나,surprise\n")
    (tmp_path / "clips.csv").write_text("clip,label\n" + rows, encoding="utf-8")
    collection = load_clips("mine", tmp_path)
    assert [clip.label for clip in collection.clips] == ["negative", "positive", "surprise"]
    assert collection.skipped == ()


def test_a_database_whose_folders_have_accents_is_found_by_its_sheet(tmp_path: Path) -> None:
    frames(tmp_path / "Cropped" / "sub01" / unicodedata.normalize("NFD", "EP01_é"), 1, 2)
    header = "Subject,Filename,OnsetFrame,OffsetFrame,Estimated Emotion\n"
    (tmp_path / "CASME2-coding-1.csv").write_text(f"{header}1,{unicodedata.normalize('NFC', 'EP01_é')},1,2,disgust\n")
    assert [clip.label for clip in load_clips("C", tmp_path).clips] == ["negative"]


def test_paths_written_on_windows_are_found(tmp_path: Path) -> None:
    frames(tmp_path / "day 1" / "a", 1, 2, name="{}.png")
    (tmp_path / "clips.csv").write_text("clip,label\nday 1\\a,negative\n")
    assert [clip.path for clip in load_clips("mine", tmp_path).clips] == [tmp_path / "day 1" / "a"]


def test_a_name_that_two_folders_may_have_is_not_guessed(tmp_path: Path) -> None:
    names = ["\u1e69", "s\u0323\u0307", "s\u0307\u0323"]  # one letter with two marks: composed, and in both orders
    for name in names[1:]:
        (tmp_path / name).mkdir()
    assert not find_path(tmp_path, names[0]).exists()
    assert find_path(tmp_path, names[1]).name == names[1]


def mac(root: Path) -> None:
    """What a Mac adds to an archive and to a disk of another system."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        for copy in (
            path.with_name(f"._{path.name}"),
            root / "__MACOSX" / path.relative_to(root).parent / f"._{path.name}",
        ):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100))
    (root / ".DS_Store").write_bytes(b"x")


def synology(root: Path) -> None:
    for path in list(root.rglob("*.jpg")):
        thumbnail = path.parent / "@eaDir" / path.name / "SYNOPHOTO_THUMB_M1.jpg"
        thumbnail.parent.mkdir(parents=True)
        thumbnail.write_bytes(b"x")


@pytest.mark.parametrize("pollute", [mac, synology])
def test_what_systems_add_is_neither_clip_nor_tree_nor_sheet(tmp_path: Path, pollute: Callable[[Path], None]) -> None:
    micro = tmp_path / "SMIC" / "SMIC_all_cropped" / "HS" / "s3" / "micro" / "negative"
    frames(micro / "s3_ne_01", 1, 2, 3, name="reg_{}.jpg")
    sheet = tmp_path / "SMIC" / "SMIC-HS-E_annotation.csv"
    sheet.write_text("Subject,Filename,OnsetF,OffsetF,Emotion\n3,s3_ne_01,1,3,negative\n")
    write_video(tmp_path / "own" / "b.avi", pictures(4))
    write_pictures(tmp_path / "own" / "a", pictures(4), "{}.jpg")
    pollute(tmp_path / "SMIC")
    pollute(tmp_path / "own")
    smic, own = load_clips("HS", tmp_path / "SMIC"), load_clips("mine", tmp_path / "own")
    assert [clip.id for clip in smic.clips] == ["s3/s3_ne_01"]
    assert f"onset, offset and emotions compared with {sheet}" in smic.notes
    assert [clip.id for clip in own.clips] == ["b.avi", "a"]
    assert own.skipped == smic.skipped == ()


def test_copies_of_feature_files_that_a_mac_adds_are_no_damage(tmp_path: Path) -> None:
    (tmp_path / "._SMIC_VIS.tgsr.npz").write_bytes(b"\0\5\x16\7")
    (tmp_path / "._CrossCorpus_LBPTOP_R3P8_x.mat").write_bytes(b"\0\5\x16\7")
    assert find_damaged(tmp_path) == {}


CROPPED = ("Cropped", "SMIC_all_cropped", "faces cropped", "autocropped_2")
RAW = ("uncropped", "un-cropped", "Not_Cropped", "noncropped", "non cropped", "no-cropped", "uncropped_raw")
RAW_TOO = ("raw", "CASME2_RAW_selected", "rawpic", "clips")


@pytest.mark.parametrize(
    ("folder", "cropped"),
    [*((name, True) for name in CROPPED), *((name, False) for name in RAW + RAW_TOO)],
)
def test_a_folders_name_says_whether_it_is_cropped(tmp_path: Path, folder: str, cropped: bool) -> None:
    frames(tmp_path / folder / "c1", 1, 2, name="{}.png")
    assert is_cropped(tmp_path / folder, tmp_path) == cropped
    assert [clip.cropped for clip in load_clips("mine", tmp_path / folder).clips] == [cropped]


def test_labels_in_capitals_are_the_protocols_classes(tmp_path: Path) -> None:
    for name in "abcd":
        frames(tmp_path / name, 1, 2, name="{}.png")
    table = tmp_path / "clips.csv"
    table.write_text("clip,label\na,Negative\nb,POSITIVE\nc,surprise\nd, Surprise \n")
    collection = load_clips("mine", tmp_path)
    assert [clip.label for clip in collection.clips] == ["negative", "positive", "surprise", "surprise"]
    assert collection.class_names == ("negative", "positive", "surprise")
    said = "Negative as negative, POSITIVE as positive, Surprise as surprise"
    assert f"{table}: labels are taken in one spelling: {said}" in collection.notes
    table.write_text("clip,label\na,Joy\nb,joy\nc,Pain\nd,Joy\n")
    assert load_clips("mine", tmp_path).class_names == ("Joy", "Pain")
    (tmp_path / "map.csv").write_text("label,class\nJOY,Positive\npain,NEGATIVE\n")
    mapped = load_clips("mine", tmp_path, label_map=tmp_path / "map.csv")
    assert [clip.label for clip in mapped.clips] == ["positive", "positive", "negative", "positive"]


def test_a_clip_without_a_label_among_others_is_named(tmp_path: Path) -> None:
    for name in "ab":
        frames(tmp_path / name, 1, 2, name="{}.png")
    (tmp_path / "clips.csv").write_text("clip,label\na,negative\nb,\n")
    (entry,) = load_clips("mine", tmp_path).skipped
    assert (entry.clip, entry.reason) == ("b", "row 3: no label; give all clips one, or none")


def test_links_are_followed_within_a_folder_and_named_where_they_lead_out(tmp_path: Path) -> None:
    frames(tmp_path / "in" / "deep" / "a", 1, 2, name="{}.png")
    frames(tmp_path / "out", 1, 2, name="{}.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    collection = load_clips("mine", tmp_path / "in")
    assert [clip.id for clip in collection.clips] == ["deep/a"]
    assert [(entry.clip, "leads out" in entry.reason) for entry in collection.skipped] == [("linked", True)]


def test_clips_are_found_however_deep_they_lie(tmp_path: Path) -> None:
    below = tmp_path.joinpath(*map(str, range(20)))
    frames(below, 1, 2, name="{}.png")
    assert [clip.path for clip in load_clips("mine", tmp_path).clips] == [below]


def test_one_film_may_be_named_alone(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", pictures(4))
    write_video(tmp_path / "b.avi", pictures(4))
    assert [clip.id for clip in load_clips("mine", path).clips] == ["a.avi"]
    with pytest.raises(MissingDataError, match=r"c\.avi"):
        load_clips("mine", tmp_path / "c.avi")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("a,joy\x1b[2J,p", "joy"),
        ("a,=cmd|calc,p", "cmd"),
        ("a,joy,p\x07", "p"),
        ("a,joy,@SUM(A1)", "SUM"),
        ("a,jo\u200by,p", "jo"),
    ],
)
def test_a_name_that_steers_a_terminal_or_a_spreadsheet_leaves_its_clip_out(
    tmp_path: Path, row: str, column: str
) -> None:
    for name in "ab":
        frames(tmp_path / name, 1, 2, name="{}.png")
    (tmp_path / "clips.csv").write_text(f"clip,label,subject\n{row}\nb,joy,q\n", encoding="utf-8")
    collection = load_clips("mine", tmp_path)
    assert [clip.id for clip in collection.clips] == ["b"]
    (entry,) = collection.skipped
    assert column in entry.reason
    assert entry.reason.isprintable()


def test_a_folder_whose_name_steers_a_terminal_is_named_without_doing_so(tmp_path: Path) -> None:
    frames(tmp_path / "a\x1b[2J", 1, 2, name="{}.png")
    frames(tmp_path / "b", 1, 2, name="{}.png")
    (tmp_path / "b" / "notes\x1b[2J.txt").write_text("x")
    collection = load_clips("mine", tmp_path)
    assert [clip.id for clip in collection.clips] == ["b"]
    said = [*collection.notes, *(f"{entry.clip} {entry.path} {entry.reason}" for entry in collection.skipped)]
    assert all(text.isprintable() for text in said)
    assert sum("\\x1b[2J" in text for text in said) == 2
