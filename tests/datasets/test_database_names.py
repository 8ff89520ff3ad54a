"""Names of databases of one's own: written under one spelling, and no two that could be taken for each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import (
    FeatureDataset,
    find_damaged,
    find_databases,
    import_features,
    load_clips,
    load_database,
    load_features,
    save_features,
)
from tgsr.errors import DataError, ProtocolError

ALIASES = {
    "nir": "SMIC_NIR",
    "v": "SMIC_VIS",
    "C": "CASME2",
    "casme2": "CASME2",
    "HS": "SMIC_HS",
    "SMIC-VIS": "SMIC_VIS",
}
OWN = ("mine", "my.clips", "F", "5", "müde")


def data(name: str, seed: int = 0) -> FeatureDataset:
    features = np.random.default_rng(seed).random((6, 4))
    return FeatureDataset(name, features, np.arange(6) % 3, groups=np.arange(4))


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [*arguments, "--data" if arguments[0] == "data" else "--out", str(folder)])
    return result.exit_code, result.output


def import_own(folder: Path, name: str, seed: int = 0) -> tuple[int, str]:
    table = folder.parent / f"{seed}.csv"
    rows = np.random.default_rng(seed).random((3, 2))
    lines = [f"{label},{a},{b}" for label, (a, b) in zip(("negative", "positive", "surprise"), rows, strict=True)]
    table.write_text("\n".join(["label,f,g", *lines]))
    return run(folder, "features", "--database", name, "--import", str(table))


@pytest.mark.parametrize(("given", "name"), [*ALIASES.items(), *zip(OWN, OWN, strict=True), ("casme", "CASME")])
def test_a_database_is_found_under_the_name_that_was_given(tmp_path: Path, given: str, name: str) -> None:
    status, output = import_own(tmp_path / "f", given)
    assert status == 0, output
    assert [(entry.name, entry.path.name) for entry in find_databases(tmp_path / "f")] == [(name, f"{name}.tgsr.npz")]
    assert load_database(given, tmp_path / "f").name == load_database(name, tmp_path / "f").name == name


@pytest.mark.parametrize(("given", "name"), ALIASES.items())
def test_what_python_writes_is_written_under_the_same_name(tmp_path: Path, given: str, name: str) -> None:
    assert load_features(save_features(data(given), tmp_path / "x.tgsr.npz")).name == name
    assert load_database(given, tmp_path).name == name
    assert import_features_named(tmp_path, given) == name


def import_features_named(folder: Path, name: str) -> str:
    np.savez(folder / "rows.npz", features=np.random.default_rng(0).random((3, 2)))
    return import_features(folder / "rows.npz", name).name


@pytest.mark.parametrize("given", ["nir", "N", "mine", "MINE", "Mine"])
def test_another_database_is_never_replaced_by_a_name_in_another_spelling(tmp_path: Path, given: str) -> None:
    save_features(data("SMIC_NIR", 1), tmp_path / "f" / "SMIC_NIR.tgsr.npz")
    save_features(data("mine", 1), tmp_path / "f" / "mine.tgsr.npz")
    before = {path: path.read_bytes() for path in (tmp_path / "f").iterdir()}
    status, output = import_own(tmp_path / "f", given)
    if given == "mine":  # its own name: made anew
        assert status == 0
        return
    assert status == 1
    assert "Error: " in output
    assert "another" in output
    assert {path: path.read_bytes() for path in (tmp_path / "f").iterdir()} == before


def test_the_same_database_may_be_made_again_and_is_not_written_twice(tmp_path: Path) -> None:
    for name in ("nir", "nir", "SMIC_NIR"):
        assert import_own(tmp_path / "f", name)[0] == 0
    assert import_own(tmp_path / "f", "SMIC_NIR", seed=1)[0] == 0
    assert import_own(tmp_path / "f", "nir", seed=2)[0] == 1
    status, output = run(
        tmp_path / "f" / "other.npz", "features", "--database", "N", "--import", str(tmp_path / "1.csv")
    )
    assert (status, "holds SMIC_NIR already" in output) == (1, True)


@pytest.mark.parametrize("name", ["a b", "x/y", "x.npz", "x.MAT", "x.csv", "", "+", "a\x1b[2J", "=1", "-x", "a" * 99])
def test_names_that_cannot_be_used_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProtocolError, match="database name"):
        import_features_named(tmp_path, name)
    with pytest.raises(ProtocolError, match="database name"):
        load_clips(name, tmp_path)


@pytest.mark.parametrize("name", ["nir", "V", "hs"])
def test_a_file_under_a_name_that_means_another_database_is_told_and_not_used(tmp_path: Path, name: str) -> None:
    path = save_features(data("other"), tmp_path / "old.tgsr.npz")
    save_features(data("SMIC_VIS"), tmp_path / "SMIC_VIS.tgsr.npz")
    with np.load(path) as members:
        content = dict(members)
    header = {**json.loads(str(content["header"])), "name": name, "digest": replace(data("other"), name=name).digest}
    np.savez(path, **{**content, "header": np.array(json.dumps(header))})
    with pytest.raises(DataError, match=f"{name} means SMIC_"):
        load_features(path)
    assert list(find_damaged(tmp_path)) == [path]
    status, output = run(tmp_path, "data")
    assert status == 1
    assert f"damaged    {path}: {name} means" in output


def test_a_database_that_is_there_twice_is_told(tmp_path: Path) -> None:
    for file, seed in (("a", 1), ("b", 2)):
        save_features(data("mine", seed), tmp_path / f"{file}.tgsr.npz")
    status, output = run(tmp_path, "data")
    assert (status, output.count("mine       unusable: mine is in ")) == (1, 2)
    with pytest.raises(ProtocolError, match="keep one of them"):
        load_database("mine", tmp_path)


def test_each_file_is_listed_with_its_own_content(tmp_path: Path) -> None:
    for name, seed in (("SMIC_NIR", 1), ("mine", 2), ("Mine2", 3)):
        save_features(data(name, seed), tmp_path / f"{name}.tgsr.npz")
    status, output = run(tmp_path, "data")
    assert status == 0
    for name, seed in (("SMIC_NIR", 1), ("mine", 2), ("Mine2", 3)):
        [line] = [line for line in output.splitlines() if line.startswith(f"{name} ")]
        assert f"digest {data(name, seed).digest[:12]}; {name}.tgsr.npz" in line
