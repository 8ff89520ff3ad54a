"""Folder trees with every kind of damage: a typed error or a reported skip that names the file, never half a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import load_features

pytestmark = pytest.mark.faults

HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "AUs", "Estimated Emotion"]
CASME = [
    [1, "EP01_01f", None, 1, 2, 4, None, "4", "disgust"],
    [1, "EP02_01f", None, 1, 2, 4, None, "12", "happiness"],
    [2, "EP03_01f", None, 1, "/", 4, None, "1+2", "surprise"],
]
EMOTIONS = ("negative", "positive", "surprise")


def image(seed: int, height: int = 36, width: int = 30) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.0)


def write_clip(folder: Path, suffix: str = ".bmp", prefix: str = "reg_", n_frames: int = 4) -> None:
    folder.mkdir(parents=True)
    seed = sum(os.fsencode(folder.name))
    for number in range(1, n_frames + 1):
        _, data = cv2.imencode(suffix, image(seed + number))
        (folder / f"{prefix}{number:03d}{suffix}").write_bytes(data.tobytes())


def write_sheet(path: Path, rows: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(path)


def smic(root: Path, camera: str = "HS") -> None:
    for number, emotion in enumerate(EMOTIONS, start=1):
        micro = root / "SMIC_all_cropped" / camera / f"s{number}" / "micro"
        write_clip(micro / emotion / f"s{number}_{emotion[:2]}_01")


def casme(root: Path, tree: str = "Cropped", prefix: str = "reg_img") -> None:
    for subject, name, *_ in CASME:
        write_clip(root / tree / f"sub{subject:02d}" / str(name), ".jpg", prefix)
    write_sheet(root / "CASME2-coding-20140508.xlsx", [HEADER, *CASME])


def raw_casme(root: Path) -> None:
    casme(root, "CASME2_RAW_selected", "img")


def table(root: Path) -> None:
    for name in ("a", "b", "c"):
        write_clip(root / "clips" / name)
    (root / "clips.csv").write_text("clip,label,subject\nclips/a,negative,x\nclips/b,positive,x\nclips/c,surprise,y\n")


NEGATIVE = "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01"
DISGUST = "Cropped/sub01/EP01_01f"


def remove(*names: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        for name in names:
            for path in sorted(root.glob(name), reverse=True):
                path.unlink()

    return damage


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) * 2 // 3])

    return damage


def draw(name: str, picture: np.ndarray) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        cv2.imwrite(str(root / name), picture)

    return damage


def rename(old: str, new: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return damage


def link_out(name: str) -> Callable[[Path], None]:
    """Move a file or folder out of the tree and leave a link to it."""

    def damage(root: Path) -> None:
        outside = root.parent / "outside"
        outside.mkdir()
        (root / name).rename(outside / "moved")
        (root / name).symlink_to(outside / "moved")

    return damage


def link(name: str, target: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)

    return damage


def clip(name: str, n_frames: int = 4, prefix: str = "reg_") -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        write_clip(root / name, n_frames=n_frames, prefix=prefix)

    return damage


def sheet(rows: list[list[object]], name: str = "CASME2-coding-20140508.xlsx") -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        write_sheet(root / name, rows)

    return damage


def casme_row(index: int, *cells: tuple[int, object]) -> Callable[[Path], None]:
    rows = [list(row) for row in CASME]
    for column, value in cells:
        rows[index][column] = value
    return sheet([HEADER, *rows])


def video(name: str, share: float, replaces: str) -> Callable[[Path], None]:
    """A clip as an AVI of which only a share of the bytes is left."""

    def damage(root: Path) -> None:
        remove(f"{replaces}/*")(root)
        (root / replaces).rmdir()
        writer = cv2.VideoWriter(str(root / name), cv2.VideoWriter_fourcc(*"MJPG"), 25, (30, 36))
        for seed in range(40):
            writer.write(cv2.cvtColor(image(seed), cv2.COLOR_GRAY2BGR))
        writer.release()
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return damage


def both(*damages: Callable[[Path], None]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        for each in damages:
            each(root)

    return damage


def lines(*text: str) -> Callable[[Path], None]:
    return write("clips.csv", "\n".join(["clip,label,onset,offset,cropped", *text, ""]).encode())


def nothing(root: Path) -> None:
    pass


SMIC_HEADER: list[object] = ["Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion"]
SMIC_SHEET = "SMIC_all_cropped/HS/SMIC-HS-E_annotation_2019.xlsx"


@dataclass(frozen=True)
class Case:
    """A damaged tree, and what the user must read: for ``kept`` None an error, else that many clips are used."""

    name: str
    tree: Callable[[Path], None]
    damage: Callable[[Path], None]
    kept: int | None
    says: tuple[str, ...]
    database: str = "SMIC_HS"


def c(name: str, damage: Callable[[Path], None], kept: int | None, *says: str) -> Case:
    return Case(name, casme, damage, kept, says, "CASME2")


def r(name: str, damage: Callable[[Path], None], kept: int | None, *says: str) -> Case:
    return Case(name, raw_casme, damage, kept, says, "CASME2")


def s(name: str, damage: Callable[[Path], None], kept: int | None, *says: str) -> Case:
    return Case(name, smic, damage, kept, says)


def t(name: str, damage: Callable[[Path], None], kept: int | None, *says: str) -> Case:
    return Case(name, table, damage, kept, says, "MINE")


CASES = [
    s("empty clip", remove(f"{NEGATIVE}/*"), 2, "s1/s1_ne_01", "no frame"),
    s("one frame", remove(f"{NEGATIVE}/reg_00[234].bmp"), 2, "s1/s1_ne_01", "1 frame"),
    s("truncated bmp", cut(f"{NEGATIVE}/reg_002.bmp"), 2, "reg_002.bmp", "truncated"),
    s("empty image", write(f"{NEGATIVE}/reg_002.bmp", b""), 2, "reg_002.bmp", "empty"),
    s("text as image", write(f"{NEGATIVE}/reg_002.bmp", b"not an image at all"), 2, "reg_002.bmp"),
    s("bmp header lies", write(f"{NEGATIVE}/reg_002.bmp", b"BM" + b"\xff" * 80), 2, "reg_002.bmp"),
    s("non-numeric frame name", rename(f"{NEGATIVE}/reg_002.bmp", f"{NEGATIVE}/reg_b.bmp"), 2, "reg_b.bmp", "number"),
    s("frame number twice", draw(f"{NEGATIVE}/reg_2.bmp", image(1)), 2, "reg_2.bmp", "same frame number"),
    s("copy of a frame", draw(f"{NEGATIVE}/reg_004 (5).bmp", image(9)), 2, "reg_004 (5).bmp", "reg_#"),
    s("edited frame", draw(f"{NEGATIVE}/reg_004_copy7.bmp", image(9)), 2, "reg_004_copy7.bmp", "unlike"),
    s("a gap", remove(f"{NEGATIVE}/reg_003.bmp"), 3, "s1_ne_01: 3 of the 4 frames from 1 to 4"),
    s("mixed sizes", draw(f"{NEGATIVE}/reg_003.bmp", image(1, 40, 40)), 2, "reg_003.bmp", "one size"),
    c(
        "16 bits",
        both(
            remove(f"{DISGUST}/*"),
            *(draw(f"{DISGUST}/reg_img{n}.png", image(n).astype(np.uint16) * 16) for n in (1, 2, 3)),
        ),
        2,
        "reg_img1.png",
        "8 bits",
    ),
    s("black frame", draw(f"{NEGATIVE}/reg_003.bmp", np.zeros((36, 30), np.uint8)), 2, "reg_003.bmp", "blank"),
    s("stray files", write(f"{NEGATIVE}/Thumbs.db", b"x"), 3, "Thumbs.db", "passed over"),
    s("folder as frame", clip(f"{NEGATIVE}/reg_005.bmp"), 3, "reg_005.bmp", "passed over"),
    s("frame links out", link_out(f"{NEGATIVE}/reg_002.bmp"), 2, "reg_002.bmp", "leads out"),
    s("clip links out", link_out(NEGATIVE), 2, "s1_ne_01", "leads out"),
    s("subject links out", link_out("SMIC_all_cropped/HS/s1"), 2, "HS/s1", "leads out"),
    s("tree links out", link_out("SMIC_all_cropped"), None, "SMIC HS is not there"),
    s("broken link", link(f"{NEGATIVE}/reg_002.bmp", "reg_999.bmp"), 2, "reg_002.bmp"),
    s("link to itself", link(f"{NEGATIVE}/reg_002.bmp", "reg_002.bmp"), 2, "reg_002.bmp", "leads out"),
    s("clip links to itself", link("SMIC_all_cropped/HS/s1/micro/negative/x.avi", "x.avi"), 3, "s1/x", "leads out"),
    s("folder name is no text", clip("SMIC_all_cropped/HS/s1/micro/negative/s1_\udcff"), 3, "\\udcff", "not text"),
    s("file name is no text", rename(f"{NEGATIVE}/reg_002.bmp", f"{NEGATIVE}/\udcff_002.bmp"), 2, "not text"),
    s("stray name is no text", write(f"{NEGATIVE}/\udcff.txt", b"x"), 3, "\\udcff.txt", "passed over"),
    s("link in a circle", link("SMIC_all_cropped/HS/s9", ".."), 3, "s9", "no folder micro"),
    s(
        "unknown emotion",
        clip("SMIC_all_cropped/HS/s1/micro/happy/s1_ha_01"),
        3,
        "s1/s1_ha_01",
        "unknown emotion 'happy'",
    ),
    s("duplicate clip", clip("SMIC_all_cropped/HS/s1/micro/positive/s1_ne_01"), 2, "s1/s1_ne_01", "duplicate"),
    s("duplicate subject", clip("SMIC_all_cropped/HS/s01/micro/negative/s1_ne_01"), 2, "s01/micro", "duplicate"),
    s(
        "no micro",
        rename("SMIC_all_cropped/HS/s1/micro", "SMIC_all_cropped/HS/s1/mikro"),
        2,
        "HS/s1",
        "no folder micro",
    ),
    s(
        "frames beside the clips",
        rename(f"{NEGATIVE}/reg_001.bmp", f"{NEGATIVE}/../reg_001.bmp"),
        3,
        "passed over reg_001.bmp",
    ),
    s("unreadable video", video(f"{NEGATIVE}.avi", 0.0, NEGATIVE), 2, "s1_ne_01.avi", "not a readable video"),
    s("truncated video", video(f"{NEGATIVE}.avi", 0.5, NEGATIVE), 2, "s1_ne_01.avi", "frames"),
    s("only another camera", rename("SMIC_all_cropped/HS", "SMIC_all_cropped/VIS"), None, "SMIC HS is not there"),
    s("no tree", rename("SMIC_all_cropped", "../elsewhere"), None, "SMIC HS is not there"),
    s("two trees", lambda root: smic(root / "copy"), None, "name one of them"),
    s(
        "damaged sheet",
        write(SMIC_SHEET, b"PK not a workbook"),
        None,
        "SMIC-HS-E_annotation_2019.xlsx",
        "not a readable",
    ),
    s(
        "sheet contradicts",
        sheet([SMIC_HEADER, [1, "s1_ne_01", 1, 2, 4, "positive"]], SMIC_SHEET),
        2,
        "s1_ne_01",
        "row 2",
    ),
    s(
        "sheet lists more",
        sheet([SMIC_HEADER, [7, "s7_po_01", 1, 2, 4, "positive"]], SMIC_SHEET),
        3,
        "s7/s7_po_01",
        "not on disk",
    ),
    c("missing sheet", remove("*.xlsx"), None, "no CASME2-coding-20140508.xlsx", "--annotations"),
    c("empty sheet", write("CASME2-coding-20140508.xlsx", b""), None, "CASME2-coding-20140508.xlsx", "not a readable"),
    c("sheet lacks a column", sheet([HEADER[:6], *[row[:6] for row in CASME]]), None, "estimated emotion"),
    c("truncated jpeg", cut(f"{DISGUST}/reg_img002.jpg"), 2, "reg_img002.jpg", "truncated"),
    c(
        "wrong extension",
        rename(f"{DISGUST}/reg_img002.jpg", f"{DISGUST}/reg_img002.jp"),
        3,
        "reg_img002.jp",
        "passed over",
    ),
    c("unknown emotion in sheet", casme_row(0, (8, "hapiness")), 2, "'hapiness'", "row 2"),
    c("clip not on disk", casme_row(0, (1, "EP09_09f")), 2, "sub01/EP09_09f", "not on disk"),
    c("clip not in sheet", clip("Cropped/sub02/EP07_01"), 3, "sub02/EP07_01", "not in"),
    c(
        "contradictory rows",
        sheet([HEADER, *CASME, [*CASME[0][:8], "surprise"]]),
        2,
        "sub01/EP01_01f",
        "several emotions",
    ),
    c("row without a clip", sheet([HEADER, *CASME, [None] * 8 + ["surprise"]]), 3, "row 5", "passed over"),
    c("offset before onset", casme_row(0, (5, 0)), 2, "sub01/EP01_01f", "not after onset"),
    c(
        "a shortcut among subjects",
        write("Cropped/sub01/Desktop - Shortcut.lnk", b"x"),
        3,
        "Shortcut.lnk",
        "passed over",
    ),
    r("raw without onset", casme_row(0, (3, None)), None, "EP01_01f", "no onset"),
    r("raw frames elsewhere", casme_row(0, (3, 3000), (5, 3009)), None, "sub01/EP01_01f", "none of the frames 1-4"),
    r("one raw frame left", casme_row(0, (3, 4), (5, 9)), None, "onset 4 to offset 9 leaves 1 of 4 frames"),
    r("no face", nothing, None, "face"),
    t("table lacks a column", write("clips.csv", b"clip,emotion\nclips/a,negative\n"), None, "clips.csv", "label"),
    t("table is not text", write("clips.csv", b"clip,label\n\xff\xfe\x00"), None, "clips.csv", "UTF-8"),
    t("clip of the table gone", lines("clips/z,negative", "clips/b,positive"), 1, "row 2", "clips/z is not there"),
    t("table leads out", both(lines("../other,negative", "clips/b,positive"), clip("../other")), 1, "leads out"),
    t("clip is no clip", lines("clips.csv,negative", "clips/b,positive"), 1, "clips.csv", "known kind of video"),
    t(
        "onset is no number",
        lines("clips/a,negative,first,3", "clips/b,positive", "clips/c,surprise"),
        2,
        "row 2",
        "'first'",
    ),
    t(
        "cropped is no answer",
        lines("clips/a,negative,1,3,maybe", "clips/b,positive", "clips/c,surprise"),
        2,
        "'maybe'",
    ),
    t(
        "a clip twice",
        lines("clips/a,negative", "clips/a,positive", "clips/b,positive", "clips/c,surprise"),
        2,
        "duplicate",
    ),
    t("table gone", remove("clips.csv"), 3, "no clips.csv", "without labels"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_damage_is_an_error_or_a_reported_skip(case: Case, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    case.tree(root)
    case.damage(root)

    arguments = ["features", "--database", case.database, "--root", str(root), "--out", str(out / "x.tgsr.npz")]
    result = CliRunner().invoke(cli, [*arguments, "--jobs", "1", "--no-cache"])

    # a click error ends in SystemExit; anything else would be a traceback before the user's eyes
    assert isinstance(result.exception, (SystemExit, type(None))), result.exception
    for text in case.says:
        assert text in result.output
    if case.kept is None:
        assert result.exit_code == 1
        assert "Error: " in result.output
        assert list(out.iterdir()) == []
    else:
        assert result.exit_code == 0, result.output
        assert [path.name for path in out.iterdir()] == ["x.tgsr.npz"]
        assert len(load_features(out / "x.tgsr.npz")) == case.kept


@pytest.mark.parametrize("tree", [smic, casme, table])
def test_undamaged_trees_give_all_their_clips(tree: Callable[[Path], None], tmp_path: Path) -> None:
    tree(tmp_path / "data")
    database = {smic: "HS", casme: "CASME2", table: "MINE"}[tree]
    arguments = ["features", "--database", database, "--root", str(tmp_path / "data"), "--jobs", "1", "--no-cache"]
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "x.tgsr.npz")])
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output
    assert "frames: 3 cropped; crop: none" in result.output
    assert len(load_features(tmp_path / "x.tgsr.npz")) == 3
