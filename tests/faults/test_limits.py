"""What is too large, or not what it seems, is refused by name before it is read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import openpyxl
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from tgsr.datasets import FeatureDataset, load_clips, load_features, load_released, save_features
from tgsr.datasets import _sheet as sheet_module
from tgsr.datasets._sheet import read_sheet
from tgsr.datasets.clips import Clip, frame_files, read_frames, read_image
from tgsr.errors import DataError, MissingDataError, ParameterError, TgsrError
from tgsr.features.extraction import ExtractionSettings
from tgsr.preprocessing import prepare_clip

pytestmark = pytest.mark.faults


def peak() -> float:
    """The most memory that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture(autouse=True)
def frugal() -> object:
    """No refusal may first fill the memory."""
    before = peak()
    yield
    assert peak() - before < 300


def png(width: int, height: int) -> bytes:
    """A valid PNG of one colour, small on disk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(bytes(width + 1)) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_an_image_of_400_million_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "img1.png").write_bytes(png(20_000, 20_000))
    with pytest.raises(DataError, match=r"img1\.png: .*pixels"):
        read_image(tmp_path / "img1.png")


def test_a_face_and_a_clip_of_too_many_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3000 × 2000 pixels; crop"):
        prepare_clip(np.arange(12_000_000, dtype=np.float32).reshape(2, 2000, 3000))
    frame = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), frame)
    clip = Clip("clip", "MINE", None, None, (tmp_path / "1.png",) * 6000)
    with pytest.raises(DataError, match=r"6000 frames .* too many"):
        read_frames(clip)


def test_a_fifo_among_the_frames_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    clip = tmp_path / "HS/s1/micro/negative/s1_ne_01"
    clip.mkdir(parents=True)
    for number in (1, 2):
        (clip / f"reg_{number}.bmp").write_bytes(b"")
    os.mkfifo(clip / "reg_3.bmp")
    with pytest.raises(DataError, match=r"reg_3\.bmp: neither a file nor a folder"):
        frame_files(clip)
    assert [entry.clip for entry in load_clips("HS", tmp_path).skipped] == ["s1/s1_ne_01"]
    with pytest.raises(DataError, match=r"reg_3\.bmp: not a file"):
        read_image(clip / "reg_3.bmp")


def test_workbooks_of_too_many_rows_or_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    for number in range(60):
        book.active.append([number, "clip"])
    book.save(tmp_path / "s.xlsx")
    monkeypatch.setattr(sheet_module, "_MOST_ROWS", 50)
    with pytest.raises(DataError, match=r"s\.xlsx: more than 50 rows"):
        read_sheet(tmp_path / "s.xlsx", ("clip",))
    monkeypatch.setattr(sheet_module, "_MOST_UNPACKED", 2**12)
    with pytest.raises(DataError, match=r"s\.xlsx: unpacks to more than"):
        read_sheet(tmp_path / "s.xlsx", ("clip",))
    monkeypatch.setattr(sheet_module, "_MOST_BYTES", 2**12)
    (tmp_path / "s.csv").write_text("clip\n" + "a\n" * 5000)
    with pytest.raises(DataError, match=r"s\.csv: larger than"):
        read_sheet(tmp_path / "s.csv", ("clip",))


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_a_feature_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tgsr.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as member:
            member.write(npy_header((5000, 85, 177)))
            for _ in range(600):
                member.write(bytes(2**20))
        archive.writestr("header.npy", npy_header(()))
    with pytest.raises(DataError, match=r"bomb\.tgsr\.npz: unpacks to 600 MB"):
        load_features(path)


def test_a_feature_file_that_states_a_larger_array_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = save_features(FeatureDataset("A", np.ones((2, 15045)), np.array([0, 1])), tmp_path / "A.tgsr.npz")
    with np.load(path) as members:
        header = members["header"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", npy_header((2**40, 85, 177)))
        stream = io.BytesIO()
        np.save(stream, header)
        archive.writestr("header.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"A\.tgsr\.npz: not a readable"):
        load_features(path)


@pytest.mark.parametrize("change", [{"name": "../../x"}, {"name": ""}, {"class_names": 3}, {"parameters": 7}])
def test_headers_out_of_range_are_refused(tmp_path: Path, change: dict) -> None:
    path = save_features(FeatureDataset("A", np.ones((2, 15045)), np.array([0, 1])), tmp_path / "A.tgsr.npz")
    with np.load(path) as members:
        content = dict(members)
    header = json.loads(str(content["header"])) | change
    np.savez(path, **{**content, "header": np.array(json.dumps(header))})
    with pytest.raises(DataError, match=r"A\.tgsr\.npz"):
        load_features(path)


@pytest.mark.parametrize(
    "values",
    [
        {"radii": None},
        {"radii": 3},
        {"grid": "all"},
        {"grid": []},
        {"grid": [[1]]},
        {"n_frames": 10**9},
        {"size": 10**6},
        {"neighbours": "eight"},
        {"mapping": ["uniform"]},
        {"crop": None},
        {"extractor": {}},
        {"decimals": "four"},
    ],
)
def test_extraction_values_out_of_range_are_typed_errors(values: dict) -> None:
    with pytest.raises(ParameterError):
        ExtractionSettings.from_dict({**ExtractionSettings().to_dict(), **values})


LABELS = np.array([[1, 2, 3, 1, 2]], dtype=float)


def external_link(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.ones((15045, 5))
    with h5py.File(path, "w") as file:
        file["SMIC_VIS_micro_feature"] = h5py.ExternalLink("other.h5", "secret")
        file["SMIC_VIS_micro_label"] = LABELS.T


def external_storage(path: Path) -> None:
    raw = path.with_name("raw")
    raw.write_bytes(bytes(15045 * 5 * 8))
    with h5py.File(path, "w") as file:
        file.create_dataset("SMIC_VIS_micro_feature", (15045, 5), "f8", external=[(str(raw), 0, 601800)])
        file["SMIC_VIS_micro_label"] = LABELS.T


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((15045, 5), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (15045, 5))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("SMIC_VIS_micro_feature", layout)
        file["SMIC_VIS_micro_label"] = LABELS.T


def huge(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("SMIC_VIS_micro_feature", (15045, 10**6), "f8", chunks=(1, 1000), compression="gzip")
        file["SMIC_VIS_micro_label"] = LABELS.T


def bomb(path: Path) -> None:
    """An older MATLAB file of 1 MB whose features unpack to 600."""
    scipy.io.savemat(path, {"SMIC_VIS_micro_feature": np.ones((1, 3)), "SMIC_VIS_micro_label": LABELS})
    whole = path.read_bytes()
    pack = zlib.compressobj(1)
    data = b"".join(pack.compress(bytes(2**20)) for _ in range(600)) + pack.flush()
    path.write_bytes(whole + struct.pack("<II", 15, len(data)) + data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_link, "links to other files"),
        (external_storage, "links to other files"),
        (virtual, "links to other files"),
        (huge, "more than 512 MB"),
        (bomb, "unpacks to more than 512 MB|not a readable"),
    ],
)
def test_released_files_that_lead_elsewhere_or_unpack_to_gigabytes_are_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "x.mat")
    with pytest.raises(DataError, match=rf"x\.mat: .*({message})"):
        load_released(tmp_path / "x.mat", "SMIC_VIS")


def matlab_bytes(path: Path, **how: object) -> bytes:
    values = {"SMIC_VIS_micro_feature": np.arange(6.0).reshape(2, 3), "SMIC_VIS_micro_label": [[1.0, 2.0]]}
    scipy.io.savemat(path, values, **how)
    return path.read_bytes()


def compressed_anew(data: bytes, damage: Callable[[bytes], bytes]) -> bytes:
    """An older MATLAB file whose variables are damaged before they are compressed."""
    at, parts = 128, [data[:128]]
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        content = zlib.compress(damage(zlib.decompress(data[at + 8 : at + 8 + size])))
        parts += [struct.pack("<II", kind, len(content)), content]
        at += 8 + size
    return b"".join(parts)


@pytest.mark.parametrize("how", [{"format": "4"}, {"format": "5"}, {"do_compression": True}, {"sparse": True}])
def test_damaged_matlab_files_are_typed_errors(tmp_path: Path, how: dict) -> None:
    """In SciPy's reader about 15 of 1,000 such files end the process."""
    path, random = tmp_path / "x.mat", np.random.default_rng(0)
    whole = matlab_bytes(path, **{key: value for key, value in how.items() if key != "sparse"})
    if "sparse" in how:
        values = {
            "SMIC_VIS_micro_feature": scipy.sparse.eye(3, format="csc"),
            "SMIC_VIS_micro_label": [[1.0, 2.0, 3.0]],
        }
        scipy.io.savemat(path, values)
        whole = path.read_bytes()

    def damage(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(random.integers(1, 4)):
            at = 4 * int(random.integers(len(changed) // 4))
            number = int(
                random.choice([0, 1, 2, 5, 6, 7, 9, 14, 15, 255, 2**16, 2**31, 2**32 - 8, random.integers(2**32)])
            )
            changed[at : at + 4] = struct.pack("<I", number)
        return bytes(changed[: None if random.random() < 0.8 else int(random.integers(len(changed)))])

    for _ in range(500):
        path.write_bytes(compressed_anew(whole, damage) if "do_compression" in how else damage(whole))
        with pytest.raises((DataError, MissingDataError), match=r"x\.mat"):  # what is not damaged has too few features
            load_released(path, "SMIC_VIS")


def test_a_checksum_that_does_not_fit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    features = {"SMIC_VIS_micro_feature": np.ones((2, 15045)), "SMIC_VIS_micro_label": [[1.0, 2.0]]}
    scipy.io.savemat(path, features, do_compression=True)
    assert len(load_released(path)) == 2
    data = bytearray(path.read_bytes())
    end = 136 + struct.unpack_from("<I", data, 132)[0]
    data[end - 1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"x\.mat: SMIC_VIS_micro_feature cannot be read .*; download the file again"):
        load_released(path)


READERS = {
    ".tgsr.npz": load_features,
    ".mat": load_released,
    ".csv": lambda path: read_sheet(path, ("clip",)),
    ".xlsx": lambda path: read_sheet(path, ("clip",)),
    ".png": read_image,
}


VALID: dict[str, bytes] = {}


def valid(suffix: str, path: Path) -> bytes:
    if suffix == ".tgsr.npz":
        save_features(FeatureDataset("A", np.eye(4), np.arange(4) % 2, groups=np.arange(4)), path)
    elif suffix == ".mat":
        scipy.io.savemat(path, {"SMIC_VIS_micro_feature": np.ones((2, 3)), "SMIC_VIS_micro_label": [[1.0, 2.0]]})
    elif suffix == ".xlsx":
        book = openpyxl.Workbook()
        book.active.append(["clip"])
        book.save(path)
    elif suffix == ".png":
        path.write_bytes(png(20, 20))
    else:
        path.write_text("clip,label\na,b\n")
    return path.read_bytes()


@pytest.mark.parametrize("suffix", READERS)
@settings(max_examples=25, deadline=None, derandomize=True)  # the same examples each time
@given(data=st.data())
def test_any_bytes_are_read_or_a_typed_error(tmp_path_factory: pytest.TempPathFactory, suffix: str, data) -> None:
    path = tmp_path_factory.mktemp("any") / f"any{suffix}"
    content = bytearray(VALID.setdefault(suffix, valid(suffix, path)))  # a workbook has the time of its making in it
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(TgsrError):
        READERS[suffix](path)


NAMES = ["HS", "s1", "s01", "micro", "negative", "s1_ne_01", "sub01", "EP01_01f", "Cropped", "006", "a", "\udcff"]
FILES = ["reg_img1.jpg", "img2.jpg", "img2.png", "b.avi", "clips.csv", "CASME2-coding-1.csv", "SMIC-HS_annotation.csv"]


@pytest.mark.parametrize("database", ["SMIC_HS", "CASME2", "SAMM", "mine"])
@settings(max_examples=15, deadline=None)
@given(
    paths=st.lists(st.tuples(st.lists(st.sampled_from(NAMES), max_size=5), st.sampled_from(FILES)), max_size=12),
    text=st.sampled_from(["", "clip\na\n", "clip,label\n../x,negative\n", "Subject,Filename\n1,s1_ne_01\n", "\x00,\n"]),
)
def test_any_tree_is_a_collection_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, database: str, paths: list[tuple[list[str], str]], text: str
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for folders, name in paths:
        folder = root.joinpath(*folders)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with contextlib.suppress(TgsrError):
        assert load_clips(database, root).database == database
