"""Hostile models, feature files and sheets, each read in a process of its own: none runs, fills the memory or lingers.

With ``TGSR_FAULTS=full`` all of them, otherwise every tenth.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pytest
import scipy.io
from reader import read

from tgsr.datasets import FeatureDataset, save_features

sys.path.append(str(Path(__file__).parents[1] / "models"))
import test_hostile_models as models

pytestmark = pytest.mark.faults

STEP = 1 if os.environ.get("TGSR_FAULTS") == "full" else 10
SECONDS, MEGABYTES = 20, 1024

Make = Callable[[Path, Path], None]
"""Writes a hostile file, given its path and that of the file that must not come into being."""


def payload(canary: Path) -> Any:
    return models.Payload(canary)


def npy(array: Any, *, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def members(path: Path) -> dict[str, bytes]:
    """The members of a valid feature file."""
    rng = np.random.default_rng(0)
    save_features(
        FeatureDataset("A", rng.random((6, 15045)), np.arange(6) % 3, subjects=np.array(list("abcdef"))), path
    )
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def zeros(path: Path, files: dict[str, bytes], name: str, header: bytes, megabytes: int) -> None:
    """A member of so many megabytes of zeros, small on disk."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w", force_zip64=True) as member:
            member.write(header)
            for _ in range(megabytes):
                member.write(bytes(2**20))
        for other, data in files.items():
            if other != name:
                archive.writestr(other, data)


def lines(text: str | tuple[Any, ...]) -> Make:
    """Write a text, or parts of one, each so many times: made only when it is needed."""
    parts = (text, 1) if isinstance(text, str) else text

    def make(path: Path, canary: Path) -> None:
        with path.open("wb") as file:
            for part, times in zip(parts[::2], parts[1::2], strict=True):
                file.write(part.encode(errors="surrogateescape") * times)

    return make


def feature_files() -> Iterator[tuple[str, Make]]:
    def with_member(name: str, data: Callable[[Path], bytes]) -> Make:
        return lambda path, canary: pack(path, {**members(path), name: data(canary)})

    for member in ("features", "header", "labels", "subjects", "groups", "sample_ids", "feature_names"):
        name = f"{member}.npy"
        yield f"{name} is a pickled array", with_member(name, lambda c: npy(np.array([payload(c)]), pickled=True))
        yield f"{name} is a bare pickle", with_member(name, lambda c: pickle.dumps(payload(c)))
        yield f"{name} states 8 TB", with_member(name, lambda _: npy_header((2**40,)) + bytes(64))
        yield f"{name} is cut", with_member(name, lambda _: npy_header((6, 15045))[:40])
        yield f"{name} is complex", with_member(name, lambda _: npy(np.ones((6, 15045)) * 1j))
    for value in (np.nan, np.inf, 1e300):
        yield f"features {value}", with_member("features.npy", lambda _, value=value: npy(np.full((6, 85, 177), value)))
    yield "features are text", with_member("features.npy", lambda _: npy(np.full((6, 85, 177), "a")))
    yield "labels out of range", with_member("labels.npy", lambda _: npy(np.array([0, 1, 2, 0, 1, 9])))
    texts = {
        "deep": "[" * 100_000,
        "a list": "[]",
        "huge number": '{"format": ' + "9" * 100_000 + "}",
        "empty": "",
        "NaN": '{"format": NaN}',
        "another format": '{"format": "x"}',
        "newer": '{"format": "tgsr-features", "version": 9}',
    }
    for name, text in texts.items():
        yield f"header is {name}", with_member("header.npy", lambda _, text=text: npy(np.array(text)))
    changes: dict[str, Any] = {"name": "../../x", "class_names": [[]], "parameters": [1], "digest": "0", "version": "1"}
    for key, value in changes.items():

        def change(path: Path, canary: Path, key: str = key, value: Any = value) -> None:
            files = members(path)
            header = json.loads(str(np.load(io.BytesIO(files["header.npy"]))))
            pack(path, {**files, "header.npy": npy(np.array(json.dumps({**header, key: value})))})

        yield f"header's {key} is {value!r}", change
    for kind, shape in (
        ("<f8", (4000, 85, 177)),
        ("<f4", (8000, 85, 177)),
        ("|i1", (32000, 85, 177)),
        ("|b1", (32000, 85, 177)),
    ):
        megabytes = int(np.prod(shape)) * np.dtype(kind).itemsize // 2**20 + 1
        head = npy_header(shape, kind)
        yield (
            f"{megabytes} MB of {kind} zeros",
            lambda path, _, head=head, size=megabytes: zeros(path, members(path), "features.npy", head, size),
        )
    yield (
        "subjects of 400 MB",
        lambda path, _: zeros(path, members(path), "subjects.npy", npy_header((6,), "<U17000000"), 400),
    )
    yield (
        "sample ids of 400 MB",
        lambda path, _: zeros(path, members(path), "sample_ids.npy", npy_header((10**8,), "<U1"), 400),
    )
    yield "600 MB", lambda path, _: zeros(path, members(path), "features.npy", npy_header((5000, 85, 177)), 600)
    yield "30,000 members", lambda path, _: pack(path, {f"{n}.npy": b"" for n in range(30_000)})
    yield "a pickle", lambda path, canary: path.write_bytes(pickle.dumps(payload(canary))) and None
    yield "a bare array", lambda path, _: path.write_bytes(npy(np.ones(3))) and None
    yield "empty", lambda path, _: path.write_bytes(b"") and None
    for share in (0.1, 0.5, 0.99):

        def cut(path: Path, canary: Path, share: float = share) -> None:
            members(path)
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

        yield f"cut at {share}", cut


def imported_files() -> Iterator[tuple[str, str, Make]]:
    def archive(**arrays: Callable[[Path], bytes]) -> Make:
        def make(path: Path, canary: Path) -> None:
            files = {"features.npy": npy(np.ones((6, 4))), "labels.npy": npy(np.array(list("abcabc")))}
            pack(path, {**files, **{f"{name}.npy": data(canary) for name, data in arrays.items()}})

        return make

    for name in ("features", "labels", "subjects", "groups", "clips"):
        pickled = archive(**{name: lambda c: npy(np.array([payload(c)]), pickled=True)})
        yield f"import: {name} pickled", ".npz", pickled
    yield "import: 30 million groups", ".npz", archive(groups=lambda _: npy(np.arange(3 * 10**7)))
    yield "import: 8 TB", ".npz", archive(features=lambda _: npy_header((2**40,)))
    yield "import: pickle", ".parquet", lambda path, canary: path.write_bytes(pickle.dumps(payload(canary))) and None
    yield "import: half a table", ".parquet", lambda path, _: path.write_bytes(b"PAR1" + bytes(100) + b"PAR1") and None

    def objects(path: Path, canary: Path) -> None:
        pd.DataFrame({"label": ["a", "b"], "x": [pickle.dumps(payload(canary))] * 2}).to_parquet(path)

    yield "import: pickles in cells", ".parquet", objects
    yield (
        "import: a column of 100 million",
        ".parquet",
        lambda path, _: pd.DataFrame({"x": np.zeros(10**8, dtype=np.int8)}).to_parquet(path),
    )
    for name, text in {
        "words": "label,x\na,b\n", "formula": "label,x\na,=1+1\n", "NaN": "label,x\na,nan\n",
        "ragged": "label,x\na\nb,1,2,3\n",
        "NUL": "label,x\n\0,\0\n", "wide": ("x,", 5_000_000), "quote": ('label,x\n"', 1, "a", 10**7), "empty": "",
    }.items():  # fmt: skip
        yield f"import: {name}", ".csv", lines(text)


def released_files() -> Iterator[tuple[str, Make]]:
    def linked(path: Path, canary: Path) -> None:
        with h5py.File(path, "w") as file:
            file["SMIC_VIS_micro_feature"] = h5py.ExternalLink("/etc/passwd", "/x")

    def declared(path: Path, canary: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("SMIC_VIS_micro_feature", (15045, 10**7), "f8", chunks=(1, 1000), compression="gzip")
            file["SMIC_VIS_micro_label"] = np.ones((1, 5))

    def function(path: Path, canary: Path) -> None:
        scipy.io.savemat(path, {"SMIC_VIS_micro_feature": np.array([[{"a": 1}]], dtype=object)})

    def stated(path: Path, canary: Path) -> None:
        scipy.io.savemat(path, {"SMIC_VIS_micro_feature": np.ones((4, 4))})
        data = bytearray(path.read_bytes())
        data[128 + 4 : 128 + 8] = struct.pack("<I", 2**31 - 1)
        path.write_bytes(bytes(data))

    yield from {"links out": linked, "states 1 TB": declared, "cells": function, "states 2 GB": stated}.items()
    yield "pickle", lambda path, canary: path.write_bytes(pickle.dumps(payload(canary))) and None
    yield "half a header", lambda path, _: path.write_bytes(b"MATLAB 7.3 MAT-file") and None


SHEET = "xl/worksheets/sheet1.xml"
SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def workbook(path: Path) -> dict[str, bytes]:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["clip", "label"])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sheets() -> Iterator[tuple[str, str, Make]]:
    def part(name: str, text: Callable[[Path], str]) -> Make:
        return lambda path, canary: pack(path, {**workbook(path), name: text(canary).encode()})

    laughs = '<!DOCTYPE x [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    cell = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row></sheetData></worksheet>'
    sheet = f"<worksheet {SPACE}>"
    yield "entities by the billion", ".xlsx", part(SHEET, lambda _: f"{laughs}]>{sheet}{cell.format('&a11;')}")
    quadratic = f'<!DOCTYPE x [<!ENTITY a "{"a" * 10**6}">]>{sheet}{cell.format("&a;" * 10_000)}'
    yield "a large entity often", ".xlsx", part(SHEET, lambda _: quadratic)
    for address in ("file:///etc/passwd", "http://127.0.0.1:9/x"):
        outside = f'<!DOCTYPE x [<!ENTITY a SYSTEM "{address}">]>{sheet}{cell.format("&a;")}'
        yield f"entity {address}", ".xlsx", part(SHEET, lambda _, outside=outside: outside)
    for name in (SHEET, "xl/workbook.xml", "[Content_Types].xml", "xl/styles.xml"):
        yield f"{name} is no XML", ".xlsx", part(name, lambda _: "\0\1<")
        yield f"{name} is deep", ".xlsx", part(name, lambda _: "<a>" * 500_000)
        if name == "xl/styles.xml":
            continue  # nothing in it is needed
        yield (
            f"{name} is missing",
            ".xlsx",
            lambda path, _, name=name: pack(path, {key: data for key, data in workbook(path).items() if key != name}),
        )
    far = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 50_000))
    yield "cells far to the right", ".xlsx", part(SHEET, lambda _: f"{sheet}<sheetData>{far}</sheetData></worksheet>")
    below = '<row r="2000000000"><c r="A2000000000"><v>1</v></c></row>'
    yield "a cell far below", ".xlsx", part(SHEET, lambda _: f"{sheet}<sheetData>{below}</sheetData></worksheet>")
    shared = part("xl/sharedStrings.xml", lambda _: f"<sst {SPACE}>" + "<si><t>a</t></si>" * 14_000_000 + "</sst>")
    yield "14 million shared strings", ".xlsx", shared
    yield "300 MB", ".xlsx", lambda path, _: zeros(path, workbook(path), SHEET, b"", 300)
    yield "a pickle", ".xlsx", lambda path, canary: path.write_bytes(pickle.dumps(payload(canary))) and None
    yield "an old workbook", ".xlsx", lambda path, _: path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(2000)) and None
    for share in (0.0, 0.3, 0.9):

        def cut(path: Path, canary: Path, share: float = share) -> None:
            workbook(path)
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

        yield f"cut at {share}", ".xlsx", cut
    for name, text in {
        "no header": "a,b\n1,2\n",
        "not text": "\udcff\udcfe",
        "a giant cell": ("clip\n", 1, "a", 10**7),
        "30 million empty lines": ("clip\n", 1, "\n", 3 * 10**7),
        "15 million cells": ("clip\n", 1, "a,", 15_000_000),
        "a quote without end": ('clip\n"', 1, "a\n", 10**6),
        "250 MB": ("clip,b\n", 1, "a,b\n", 60_000_000),
    }.items():
        yield name, ".sheet.csv", lines(text)


def cases() -> Iterator[tuple[str, str, Any]]:
    yield from ((f"model: {name}", "", name) for name in models.ATTACKS)
    yield from ((f"features: {name}", ".tgsr.npz", make) for name, make in feature_files())
    yield from imported_files()
    yield from ((f"released: {name}", ".mat", make) for name, make in released_files())
    yield from ((f"sheet: {name}", suffix, make) for name, suffix, make in sheets())


CASES = {name: (suffix, make) for name, suffix, make in cases()}


good = models.good


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandas", "openpyxl", "h5py", "scipy.io", "reader", "tgsr.models.registered"])
    return context


def test_there_are_a_hundred_of_each() -> None:
    assert len(models.ATTACKS) >= 100
    assert len(CASES) - len(models.ATTACKS) >= 100


@pytest.mark.parametrize("name", list(CASES)[::STEP])
def test_a_hostile_file_is_refused_in_one_line_soon_and_with_little_memory(
    name: str, good: Path, processes: Any, tmp_path: Path
) -> None:
    suffix, make = CASES[name]
    path, canary = tmp_path / f"x{suffix}", tmp_path / "canary"
    if suffix:
        make(path, canary)
    else:
        path = tmp_path / "model"
        shutil.copytree(good, path)
        models.ATTACKS[make](models.Bundle(path, canary))
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=read, args=(suffix, path, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(SECONDS), f"no answer after {SECONDS} s"
        refusal, peak = ours.recv()
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
    assert not canary.exists()
    assert refusal is not None
    assert not refusal.startswith("TRACEBACK"), refusal
    assert "\n" not in refusal
    assert str(path) in refusal
    assert len(refusal) < 2000
    assert peak < MEGABYTES, f"{peak:.0f} MB"
