from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import frames, sheet

from tgsr.datasets import load_clips
from tgsr.errors import DataError, MissingDataError, ParameterError, ProtocolError

CASME_HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "AUs", "Estimated Emotion"]


@pytest.fixture
def casme(tmp_path: Path) -> Callable[..., Path]:
    """A CASME II tree from rows of (subject, clip, onset, apex, offset, emotion); each clip has frames 1 to 100."""

    def make(*rows: tuple[object, ...], folder: str = "Cropped", name: str = "reg_img{}.jpg") -> Path:
        lines: list[list[object]] = []
        for subject, clip, onset, apex, offset, emotion in rows:
            frames(tmp_path / folder / f"sub{subject:02d}" / str(clip), *range(1, 101), name=name)
            lines.append([subject, clip, None, onset, apex, offset, None, "4", emotion])
        sheet(tmp_path / "CASME2-coding-20140508.xlsx", [CASME_HEADER, *lines])
        return tmp_path

    return make


def smic(root: Path, kind: str = "cropped", camera: str = "HS") -> Path:
    tree = root / f"SMIC_all_{kind}" / camera
    name = "reg_image{:06d}.bmp" if kind == "cropped" else "image{:06d}.jpg"
    for subject, short, emotion in ((2, "ne", "negative"), (11, "po", "positive"), (2, "sur", "surprise")):
        frames(tree / f"s{subject}" / "micro" / emotion / f"s{subject}_{short}_01", 98, 99, 100, 101, name=name)
    frames(tree / "s2" / "non_micro" / "s2_n1", 1, 2, 3, name=name)
    return root


@pytest.mark.parametrize("below", [".", "SMIC_all_cropped", "SMIC_all_cropped/HS"])
def test_smic_is_found_from_its_own_folder_and_from_above(tmp_path: Path, below: str) -> None:
    collection = load_clips("H", smic(tmp_path) / below)
    assert [clip.id for clip in collection.clips] == ["s2/s2_ne_01", "s2/s2_sur_01", "s11/s11_po_01"]
    assert [clip.label for clip in collection.clips] == ["negative", "surprise", "positive"]
    assert {clip.subject for clip in collection.clips} == {"s2", "s11"}
    assert all(clip.cropped and clip.database == "SMIC_HS" for clip in collection.clips)
    assert collection.skipped == ()


def test_frames_are_in_numeric_order(tmp_path: Path) -> None:
    frames(tmp_path / "VIS/s1/micro/negative/s1_ne_01", 9, 10, 11, 100, name="reg_{}.bmp")
    (clip,) = load_clips("VIS", tmp_path).clips
    assert [path.name for path in clip.frames] == ["reg_9.bmp", "reg_10.bmp", "reg_11.bmp", "reg_100.bmp"]


def test_cropped_clips_win_over_raw_ones(tmp_path: Path) -> None:
    smic(smic(tmp_path, "raw"), "cropped")
    assert all("SMIC_all_cropped" in str(clip.path) for clip in load_clips("HS", tmp_path).clips)


def test_folders_above_the_root_say_nothing_of_the_frames(casme: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / "cropped" / "raw"
    smic(root)
    assert all(clip.cropped for clip in load_clips("HS", root / "SMIC_all_cropped" / "HS").clips)
    smic(root, "raw", "VIS")
    raw = load_clips("VIS", root / "SMIC_all_raw" / "VIS").clips
    assert len(raw) == 3
    assert not any(clip.cropped for clip in raw)


def test_names_of_cropped_frames_win_over_names_of_folders(casme: Callable[..., Path]) -> None:
    root = casme((1, "EP01_01f", 20, 30, 39, "disgust"), folder="raw/CASME2")
    (clip,) = load_clips("C", root).clips
    assert (clip.cropped, len(clip.frames)) == (True, 100)


def test_the_first_frame_decides_and_no_other_file(tmp_path: Path) -> None:
    tree = smic(tmp_path, "raw") / "SMIC_all_raw" / "HS"
    (tree / "reg_2019.txt").write_text("notes")
    (tree / "s2" / "._reg_1.bmp").write_text("hidden")
    assert not any(clip.cropped for clip in load_clips("HS", tree).clips)


@pytest.mark.parametrize(("camera", "suffix"), [("HS", ""), ("NIR", " NIR")])
def test_raw_smic_clips_are_cut_to_onset_and_offset_of_the_sheet(tmp_path: Path, camera: str, suffix: str) -> None:
    root = smic(tmp_path, "raw", camera)
    header = ["Subject", "Filename", f"OnsetF{suffix}", f"ApexF{suffix}", f"OffsetF{suffix}", "Emotion"]
    rows: list[list[object]] = [
        [2, "s2_ne_01", 99, 99, 100, "negative"],
        [11, "s11_po_01", 98, 99, 101, "positive"],
        [2, "s2_sur_01", 98, None, 99, "surprise"],
    ]
    sheet(tmp_path / "SMIC_all_raw" / camera / f"SMIC-{camera}-E_annotation.xlsx", [header, *rows])
    collection = load_clips(camera, root)
    assert {clip.id: len(clip.frames) for clip in collection.clips} == {
        "s2/s2_ne_01": 2,
        "s2/s2_sur_01": 2,
        "s11/s11_po_01": 4,
    }
    assert not any(clip.cropped for clip in collection.clips)


def test_raw_smic_without_a_sheet_uses_every_frame_and_says_so(tmp_path: Path) -> None:
    collection = load_clips("HS", smic(tmp_path, "raw"))
    assert [len(clip.frames) for clip in collection.clips] == [4, 4, 4]
    assert any("no annotation sheet" in note for note in collection.notes)


def test_other_numbers_of_clips_than_the_protocol_are_told_by_class(tmp_path: Path) -> None:
    notes = load_clips("HS", smic(tmp_path)).notes
    assert any("negative 1 instead of 70; positive 1 instead of 51; surprise 1 instead of 43" in note for note in notes)


def test_casme2_emotions_become_classes_and_the_rest_is_counted(casme: Callable[..., Path]) -> None:
    root = casme(
        (1, "EP01_01f", 1, 2, 9, "disgust"),
        (1, "EP01_02f", 1, "/", 9, "Sadness "),
        (3, "EP02_01f", 1, 2, 9, "happiness"),
        (3, "EP02_02f", 1, None, 9, "surprise"),
        (4, "EP03_01f", 1, 2, 9, "others"),
        (4, "EP03_02f", 1, 2, 9, "others"),
        (4, "EP03_03f", 1, 2, 9, "repression"),
    )
    collection = load_clips("casme2", root)
    assert Counter(clip.label for clip in collection.clips) == {"negative": 2, "positive": 1, "surprise": 1}
    assert [clip.id for clip in collection.clips][:2] == ["sub01/EP01_01f", "sub01/EP01_02f"]
    assert collection.skipped == ()
    assert any("not part of the protocol: 2 others, 1 repression" in note for note in collection.notes)


def test_a_label_map_selects_other_emotions(casme: Callable[..., Path]) -> None:
    root = casme((1, "EP01_01f", 1, 2, 9, "repression"), (1, "EP01_02f", 1, 2, 9, "sadness"))
    collection = load_clips("C", root, label_map={"Sadness": "negative"})
    assert [clip.id for clip in collection.clips] == ["sub01/EP01_02f"]
    with pytest.raises(DataError, match="gloom"):
        load_clips("C", root, label_map={"sadness": "gloom"})


def test_an_empty_class_leaves_an_emotion_out(casme: Callable[..., Path], tmp_path: Path) -> None:
    rows = [(1, f"EP01_0{n}f", 1, 2, 9, emotion) for n, emotion in enumerate(("repression", "fear", "disgust"))]
    root = casme(*rows)
    (tmp_path / "map.csv").write_text("label,class\nrepression,\ndisgust,negative\n")
    collection = load_clips("C", root, label_map=tmp_path / "map.csv")
    assert [clip.id for clip in collection.clips] == ["sub01/EP01_02f"]
    assert collection.skipped == ()
    assert any("not part of the protocol: 1 fear, 1 repression" in note for note in collection.notes)


def test_emotions_that_a_label_map_does_not_name_are_counted_too(casme: Callable[..., Path]) -> None:
    root = casme((1, "EP01_01f", 1, 2, 9, "happiness"), (1, "EP01_02f", 1, 2, 9, "sadness"))
    collection = load_clips("C", root, label_map={"Sadness": "negative"})
    assert collection.skipped == ()
    assert any("not part of the protocol: 1 happiness" in note for note in collection.notes)


def test_the_sheet_is_found_above_a_doubly_nested_tree(casme: Callable[..., Path]) -> None:
    nested = Path("CASME2_RAW_selected/CASME2_RAW_selected")
    top = casme((1, "EP01_01f", 20, 30, 39, "disgust"), folder=str(nested), name="img{}.jpg")
    for root in (top, top / nested.parent, top / nested):
        assert [len(clip.frames) for clip in load_clips("C", root).clips] == [20]
    (top / "CASME2-coding-20140508.xlsx").unlink()
    with pytest.raises(MissingDataError, match=rf"{top / nested} up to two folders above {top / nested.parent}"):
        load_clips("C", top / nested.parent)


def test_raw_casme2_clips_are_cut_and_cropped_ones_are_not(casme: Callable[..., Path]) -> None:
    row = (1, "EP01_01f", 20, 30, 39, "disgust")
    (cropped,) = load_clips("C", casme(row)).clips
    assert (cropped.cropped, len(cropped.frames)) == (True, 100)
    (raw,) = load_clips("C", casme(row, folder="CASME2_RAW_selected", name="img{}.jpg") / "CASME2_RAW_selected").clips
    assert (raw.cropped, len(raw.frames), raw.frames[0].name) == (False, 20, "img20.jpg")


def test_an_offset_that_cannot_be_right_is_a_reason_to_skip(casme: Callable[..., Path]) -> None:
    collection = load_clips("C", casme((1, "EP01_01f", 50, 60, 7, "disgust"), (2, "EP01_01f", 1, 2, 9, "disgust")))
    assert [entry.clip for entry in collection.skipped] == ["sub01/EP01_01f"]


def test_subject_folders_without_leading_zero_are_found(tmp_path: Path) -> None:
    frames(tmp_path / "Cropped/sub3/ep01_01F", 1, 2)
    sheet(
        tmp_path / "CASME2-coding-20140508.xlsx",
        [CASME_HEADER, ["03", "EP01_01f", None, 1, 2, 2, None, "", "disgust"]],
    )
    assert [clip.subject for clip in load_clips("C", tmp_path).clips] == ["sub03"]


def test_unknown_databases_and_needless_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"clips\.csv"):
        load_clips("mine", tmp_path)
    with pytest.raises(ProtocolError, match="letters"):
        load_clips("my/clips", tmp_path)
    with pytest.raises(MissingDataError, match="nowhere"):
        load_clips("HS", tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="SMIC"):
        load_clips("HS", smic(tmp_path), label_map={"a": "negative"})
