"""Loaders of the databases as delivered, on generated trees in their layouts, whole and damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from trees import frames, sheet

from tgsr.datasets import load_clips, loaders
from tgsr.datasets.clips import ClipCollection
from tgsr.datasets.loaders import LOADERS, find_loader, loader_name
from tgsr.errors import DataError, MissingDataError, ParameterError

CASME2_HEADER = [
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "AUs",
    "Estimated Emotion",
]
EMOTIONS = ("disgust", "repression", "happiness", "surprise", "sadness", "fear", "others")
SHEETS = {  # rows by emotion of each version
    "20140508": (63, 27, 32, 25, 7, 2, 99),
    "20190701": (63, 27, 32, 28, 4, 2, 99),
    "list257": (63, 27, 33, 25, 8, 2, 99),
}
TURNED = ("EP07_01", "EP07_04f", "EP10_03")


def casme2(root: Path, version: str) -> Path:
    """A tree with the numbers of rows of a version of the sheet, and the clips that are corrected under their names."""
    fixed = {("sub04", "EP12_01f"): "disgust", ("sub05", "EP09_05f"): "disgust"}
    fixed |= {("sub24", clip): "surprise" if version == "20190701" else "sadness" for clip in TURNED}
    if version == "list257":
        fixed |= {("sub24", "EP02_07"): "sadness", ("sub09", "EP02_02f"): "happiness"}
    rest = Counter(dict(zip(EMOTIONS, SHEETS[version], strict=True))) - Counter(fixed.values())
    clips = [(*clip, emotion) for clip, emotion in fixed.items()]
    clips += [("sub01", f"EP90_{n:03d}", emotion) for n, emotion in enumerate(rest.elements())]
    rows = [[subject[3:], clip, None, 1, "/", 3, None, "", emotion] for subject, clip, emotion in clips]
    sheet(root / f"CASME2-coding-{version}.xlsx", [CASME2_HEADER, *rows])
    for subject, clip, _ in clips:
        frames(root / "Cropped" / subject / clip, 1, 2, 3)
    if version != "list257":
        frames(root / "Cropped" / "sub24" / "EP02_07", 24, 25)
    return root


@pytest.mark.parametrize("version", SHEETS)
def test_casme2_gives_the_protocols_counts_with_either_sheet(tmp_path: Path, version: str) -> None:
    collection = load_clips("C", casme2(tmp_path, version))
    assert Counter(clip.label for clip in collection.clips) == {"negative": 73, "positive": 32, "surprise": 25}
    assert collection.skipped == ()
    assert collection.label_map == "cdmer"
    assert not any("other numbers" in note for note in collection.notes)
    corrected = [note for note in collection.notes if note.startswith("correction: ")]
    assert len(corrected) == {"20140508": 1, "20190701": 4, "list257": 1}[version]
    added = next(clip for clip in collection.clips if clip.id == "sub24/EP02_07")
    if version != "list257":
        assert (added.label, added.onset, added.offset) == ("negative", 24, 66)
        assert "sub24/EP02_07: added as sadness, frames 24 to 66 (in no sheet; the released" in corrected[0]


@pytest.mark.parametrize("version", SHEETS)
def test_casme2_gives_the_composite_protocols_counts_too(tmp_path: Path, version: str) -> None:
    collection = load_clips("C", casme2(tmp_path, version), label_map="megc2019")
    assert Counter(clip.label for clip in collection.clips) == {"negative": 88, "positive": 32, "surprise": 25}
    assert not {"sub04/EP12_01f", "sub05/EP09_05f"} & {clip.id for clip in collection.clips}
    assert not any("other numbers" in note for note in collection.notes)


def test_no_row_is_corrected_by_its_number_and_other_versions_are_told(tmp_path: Path) -> None:
    rows = [[1, f"EP{n:03d}", None, 50, 60, 70, None, "4", "disgust" if n == 60 else "others"] for n in range(61)]
    sheet(tmp_path / "CASME2-coding-20140508.xlsx", [CASME2_HEADER, *rows])
    frames(tmp_path / "CASME2_RAW_selected/sub01/EP060", *range(1, 101), name="img{}.jpg")
    collection = load_clips("C", tmp_path)
    assert [clip.offset for clip in collection.clips] == [70]
    assert any("61 rows; the versions of" in note for note in collection.notes)


@dataclass(frozen=True)
class Layout:
    """A small tree of a database: its sheet, one clip of each class, and where the first one is."""

    make: Callable[[Path], object]
    ids: tuple[str, ...]
    first: str
    sheet: str
    n_frames: int = 3


FRAMES_1_9 = tuple(range(1, 10))


def _samm(root: Path) -> None:
    columns = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration"]
    header = [*columns, "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]
    rows = [
        [subject, clip, 1, 5562, 5563, 5564, 3, "1/2", "4", emotion, 1, ""]
        for subject, clip, emotion in (
            ("006", "006_1_2", "Anger"),
            (7, "007_3_1", "Happiness"),
            (7, "007_5_4", "Other"),
        )
    ]
    legend = [["SAMM"], *([None] for _ in range(12))]
    sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", [*legend, header, *rows], "MICRO_ONLY", ALL=[["x"]])
    for _, clip, *_ in rows:
        name = f"{clip[:3]}_{{:05d}}.jpg"
        frames(root / "SAMM" / str(clip)[:3] / str(clip), *range(5560, 5570), name=name)


def _casme(root: Path) -> None:
    header = ["Subject", "Filename", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "AU", "Emotion"]
    emotions = ("disgust", "happiness", "tense")
    rows = [[1, f"EP0{n}_1", 3, 4, 4, 5, "4", emotion] for n, emotion in enumerate(emotions)]
    sheet(root / "CASME-coded-20190721.xlsx", [header, *rows])
    for n in range(3):
        frames(root / f"Cropped/sub01/EP0{n}_1", 3, 4, 5, name=f"reg_EP0{n}_1-{{}}.jpg")


def _cas_me_2(root: Path) -> None:
    rows = [
        [1, "anger1_1", 4, 5, 6, "4", "negative", "micro-expression", "x"],
        [1, "anger1_2", 1, 2, 3, "4", "negative", "macro-expression", "x"],
        [2, "happy3_1", 4, 5, 6, "12", "positive", "micro-expression", "x"],
        [2, "happy3_2", 7, 8, 9, "", "others", "micro-expression", "x"],
    ]
    people = [["s15", 15, 1], ["s16", 16, 2]]
    codes = [["0401", "anger1"], ["0503", "happy3"]]
    path = root / "CAS(ME)^2code_final.xlsx"
    sheet(path, rows, "CASFEcode_final", naming_rule1=people, naming_rule2=codes)
    frames(root / "rawpic/s15/15_0401girlcrash", *FRAMES_1_9, name="img{}.jpg")
    frames(root / "rawpic/s16/16_0503unnamed", *FRAMES_1_9, name="img{}.jpg")


def _cas_me_3_a(root: Path) -> None:
    header = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    rows: list[list[object]] = [
        ["spNO.1", "a", 4, 5, 6, "4", 1, "disgust"],
        ["spNO.1", "a", 7, 8, 9, "12", 1, "happy"],
        ["spNO.2", "b", 7, 8, 9, "12", 1, "Others"],
    ]
    sheet(root / "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", [header, *rows])
    for clip in ("spNO.1/a", "spNO.2/b"):
        frames(root / "part_A" / clip / "color", *FRAMES_1_9, name="{}.jpg")
        frames(root / "part_A" / clip / "depth", *FRAMES_1_9, name="{}.png")


def _cas_me_3_c(root: Path) -> None:
    header = ["sub", "count", "onset", "offset", "au", "emotion"]
    rows: list[list[object]] = [[1, 1, 4, 6, "4", "fear"], [2, 3, 7, 9, "12", "happy"]]
    sheet(root / "CAS(ME)3_part_C_ME.xlsx", [header, *rows])
    frames(root / "part_C/01/color/01_1", *FRAMES_1_9, name="{}.jpg")
    frames(root / "part_C/02/color/02_3", *FRAMES_1_9, name="{}.jpg")


def _mmew(root: Path) -> None:
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"]
    rows: list[list[object]] = [
        [13, "S13-07-001", 1, 2, 3, "4", "anger"],
        [2, "S02-03-001", 1, 2, 3, "12", "happiness"],
        [2, "S02-08-001", 1, 2, 3, "", "others"],
    ]
    sheet(root / "MMEW_Micro_Exp.xlsx", [header, *rows])
    for row in rows:
        frames(root / "Micro_Expression" / str(row[6]) / str(row[1]), *FRAMES_1_9, name="{}.jpg")


def _4dme(root: Path) -> None:
    header = ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "Positive", "Negative"]
    rows: list[list[object]] = [
        [1, "S01_1st_002_01", "Negative", 4, 5, 6, "4", 0, 1],
        [2, "S02_1st_002_01", "Positive", 4, 5, 6, "12", 1, 0],
    ]
    sheet(root / "4DME_Labelling_Micro_release v1.xlsx", [header, *rows])
    for row in rows:
        frames(root / "gray_micro" / str(row[1]), *FRAMES_1_9, name="img{}.jpg")


def _dfme(root: Path) -> None:
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU"]
    rows: list[list[object]] = [
        [3, "sub0003_01", 4, 5, 6, "Contempt", 1, 500, "14"],
        [4, "sub0004_01", 4, 5, 6, "Happiness", 4, 300, "12"],
    ]
    sheet(root / "training_full_with_AU.xlsx", [header, *rows])
    for row in rows:
        frames(root / "train_data" / "train_data" / str(row[1]), *FRAMES_1_9, name="{:05d}.jpg")


LAYOUTS = {
    "SAMM": Layout(_samm, ("006/006_1_2", "007/007_3_1"), "SAMM/006/006_1_2", "*.xlsx"),
    "CASME": Layout(_casme, ("sub01/EP00_1", "sub01/EP01_1"), "Cropped/sub01/EP00_1", "*.xlsx"),
    "CAS(ME)^2": Layout(_cas_me_2, ("s15/0401@4-6", "s16/0503@4-6"), "rawpic/s15/15_0401girlcrash", "*.xlsx"),
    "CAS(ME)³ A": Layout(_cas_me_3_a, ("spNO.1/a@4-6", "spNO.1/a@7-9"), "part_A/spNO.1/a/color", "annotation/*.xlsx"),
    "cas_me_3_c": Layout(_cas_me_3_c, ("01/01_1@4-6", "02/02_3@7-9"), "part_C/01/color/01_1", "*.xlsx"),
    "mmew": Layout(_mmew, ("S13/S13-07-001", "S02/S02-03-001"), "Micro_Expression/anger/S13-07-001", "*.xlsx"),
    "4DME": Layout(_4dme, ("S01/S01_1st_002_01", "S02/S02_1st_002_01"), "gray_micro/S01_1st_002_01", "*.xlsx"),
    "DFME": Layout(_dfme, ("sub0003/sub0003_01", "sub0004/sub0004_01"), "train_data/train_data/sub0003_01", "*.xlsx"),
}


@pytest.fixture(params=LAYOUTS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Layout, Path]:
    LAYOUTS[request.param].make(tmp_path)
    return request.param, LAYOUTS[request.param], tmp_path


def test_a_database_is_read_as_delivered(database: tuple[str, Layout, Path]) -> None:
    name, layout, root = database
    collection = load_clips(name, root)
    assert [clip.id for clip in collection.clips] == list(layout.ids)
    assert [clip.label for clip in collection.clips] == ["negative", "positive"]
    assert [len(clip.frames) for clip in collection.clips] == [3, 3]
    assert collection.clips[0].frames[0].parent == root / layout.first
    assert len({clip.subject for clip in collection.clips}) == (1 if name in ("CASME", "CAS(ME)³ A") else 2)
    assert collection.skipped == ()
    assert any("selected: 1 " in note for note in collection.notes)


def test_frames_that_the_sheet_names_and_the_disk_lacks_are_told(database: tuple[str, Layout, Path]) -> None:
    name, layout, root = database
    clips = load_clips(name, root).clips
    clips[0].frames[1].unlink()
    for frame in clips[1].frames:
        frame.unlink()
    collection = load_clips(name, root)
    assert [clip.id for clip in collection.clips] == [layout.ids[0]]
    assert any("2 of the 3 frames from" in note for note in collection.notes)
    assert [entry.clip for entry in collection.skipped] == [layout.ids[1]]


def test_a_clip_that_is_not_on_disk_is_told(database: tuple[str, Layout, Path]) -> None:
    name, layout, root = database
    where = root / layout.first
    where.rename(where.with_name("elsewhere"))
    missing = next(entry for entry in load_clips(name, root).skipped if entry.clip == layout.ids[0])
    assert "not on disk" in missing.reason or "no frame" in missing.reason


def test_a_sheet_of_another_version_or_none_is_told(database: tuple[str, Layout, Path]) -> None:
    name, layout, root = database
    (path,) = root.glob(layout.sheet)
    sheet(path, [["Person", "Clip", "Class"], [1, "a", "b"]])
    with pytest.raises(DataError, match=r"no header with the columns|no worksheet"):
        load_clips(name, root)
    path.unlink()
    with pytest.raises(MissingDataError, match="name it with --annotations"):
        load_clips(name, root)


def test_smics_extended_release_has_its_classes_in_the_clips_names(tmp_path: Path) -> None:
    tree = tmp_path / "HS_long" / "SMIC_HS_E"
    for clip in ("s3_ne_01", "s20_po_01", "s20_sur_02"):
        frames(tree / f"s{int(clip[1:].split('_')[0]):02d}" / clip, 98, 99, 100, 101, name="image{:06d}.jpg")
    header = ["Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion"]
    rows = [[3, "s3_ne_01", 99, 99, 100, "negative"], [20, "s20_po_01", 98, 99, 100, "positive"]]
    sheet(tmp_path / "SMIC_HS_E_annotation.xlsx", [header, *rows])
    collection = load_clips("HS", tmp_path)
    assert {clip.id: (clip.label, len(clip.frames)) for clip in collection.clips} == {
        "s3/s3_ne_01": ("negative", 2),
        "s20/s20_po_01": ("positive", 3),
        "s20/s20_sur_02": ("surprise", 4),
    }


@pytest.mark.parametrize("database", ["SMIC_HS", "CASME2", "SAMM"])
def test_protocols_are_known_where_they_belong(tmp_path: Path, database: str) -> None:
    with pytest.raises(MissingDataError, match="not there"):
        load_clips(database, tmp_path, label_map="megc2019")
    with pytest.raises(ParameterError, match="megc2019"):
        load_clips("DFME", tmp_path, label_map="megc2019")


def test_every_registered_loader_can_be_imported() -> None:
    assert all(callable(find_loader(name)) for name in LOADERS)
    assert loader_name("cas(me)^3 c") == "CAS_ME_3_C"
    assert loader_name("casme ii") == "CASME2"
    assert loader_name("mine") is None


def test_another_package_can_register_a_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("Theirs", "trees_loader:load", loaders.GROUP)
    monkeypatch.setattr(loaders, "entry_points", lambda group, **by: [entry])
    with pytest.raises(ParameterError, match="trees_loader:load"):
        load_clips("theirs", tmp_path)
    module = tmp_path / "trees_loader.py"
    module.write_text("def load(root, annotations, label_map):\n    return (root, annotations, label_map)\n")
    monkeypatch.syspath_prepend(tmp_path)
    found: ClipCollection = load_clips("theirs", tmp_path, label_map={"a": "b"})
    assert found == (tmp_path, None, {"a": "b"})
