"""Our own feature files: what is written is read, and nothing else is believed."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import (
    FeatureDataset,
    find_damaged,
    find_databases,
    load_database,
    load_features,
    load_pair,
    save_features,
)
from tgsr.datasets import dataset as dataset_module
from tgsr.errors import DataError, MissingDataError


@pytest.fixture
def dataset(pair_factory):
    return pair_factory(n_source=6).source


def test_round_trip_keeps_everything(tmp_path, dataset):
    path = save_features(dataset, tmp_path / "deep" / "vis.tgsr.npz")
    again = load_features(path)
    np.testing.assert_array_equal(again.features, dataset.features)
    np.testing.assert_array_equal(again.labels, dataset.labels)
    np.testing.assert_array_equal(again.subjects, dataset.subjects)
    assert again.parameters == dataset.parameters
    assert again.digest == dataset.digest
    assert [entry.name for entry in find_databases(path.parent)] == ["SMIC_VIS"]
    assert load_database("v", path.parent).digest == dataset.digest


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, dataset, monkeypatch):
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")
    before = path.read_bytes()

    def fail(stream, **members):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        save_features(dataset, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, dataset, share):
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"vis\.tgsr\.npz"):
        load_features(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"vis\.tgsr\.npz.*tgsr features"):
        load_features(tmp_path / "vis.tgsr.npz")


def rewrite(path, **changes):
    with np.load(path, allow_pickle=False) as members:
        content = {name: members[name] for name in members}
    np.savez(path, **{**content, **changes})


def test_altered_features_do_not_pass_the_digest(tmp_path, dataset):
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")
    rewrite(path, labels=dataset.labels[::-1])
    with pytest.raises(DataError, match="digest"):
        load_features(path)


def test_a_newer_format_is_refused(tmp_path, dataset):
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")
    rewrite(path, header=np.array(json.dumps({"format": "tgsr-features", "version": 99})))
    with pytest.raises(DataError, match="version 99"):
        load_features(path)


def test_pickles_are_not_executed(tmp_path, dataset):
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    rewrite(path, subjects=np.array([Bomb()] * len(dataset), dtype=object))
    with pytest.raises(DataError, match=r"vis\.tgsr\.npz"):
        load_features(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError):
        load_features(path)


def test_digest_depends_on_content_only(dataset):
    same = FeatureDataset("SMIC_VIS", dataset.features.copy(), dataset.labels.copy(), subjects=dataset.subjects)
    assert same.digest == dataset.digest
    moved = FeatureDataset("SMIC_VIS", np.roll(dataset.features, 1, axis=2), dataset.labels, subjects=dataset.subjects)
    assert moved.digest != dataset.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((6, 85))}, "without groups"),
        ({"features": np.zeros((6, 4)), "groups": np.array([0, 0, 2, 2])}, "without a gap"),
        ({"features": np.zeros((6, 4)), "groups": np.arange(3)}, "4 integers"),
        ({"features": np.zeros((6, 0))}, "shape"),
        ({"features": np.full((6, 85, 177), 1e300)}, "huge"),
        ({"features": np.full((6, 85, 177), np.nan)}, "NaN"),
        ({"features": np.full((6, 85, 177), np.inf)}, "infinite"),
        ({"features": np.zeros((6, 85, 177), dtype=complex)}, "numbers"),
        ({"labels": np.array([0, 1, 2, 0, 1, 3])}, "0…2"),
        ({"labels": np.array([0.5] * 6)}, "integers"),
        ({"labels": np.zeros(5, dtype=int)}, "5 labels for 6 samples"),
        ({"subjects": np.array(["a"])}, "subjects"),
    ],
)
def test_bad_content_is_refused(dataset, change, message):
    content = {"features": dataset.features, "labels": dataset.labels, **change}
    with pytest.raises(DataError, match=message):
        FeatureDataset("SMIC_VIS", **content)


def test_a_dataset_cannot_be_changed_by_accident(dataset):
    with pytest.raises(ValueError, match="read-only"):
        dataset.features[0] = 0


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a.reshape(6, -1), lambda a: a[:], pd.DataFrame])
def test_a_dataset_keeps_its_content_when_the_callers_arrays_change(dataset, view):
    features, labels, subjects = dataset.features.copy(), dataset.labels.copy(), dataset.subjects.copy()
    given = view(features.reshape(6, -1) if view is pd.DataFrame else features)
    made = FeatureDataset("SMIC_VIS", given, labels, subjects=subjects)
    features[:], labels[:], subjects[:] = 0, 0, "x"
    np.testing.assert_array_equal(made.features, dataset.features)
    np.testing.assert_array_equal(made.labels, dataset.labels)
    np.testing.assert_array_equal(made.subjects, dataset.subjects)


def test_memory_that_nobody_can_change_is_shared(tmp_path, dataset, monkeypatch):
    locked = dataset.features.copy()
    locked.setflags(write=False)
    assert np.shares_memory(FeatureDataset("SMIC_VIS", locked, dataset.labels).features, locked)
    assert np.shares_memory(FeatureDataset("SMIC_VIS", dataset.X, dataset.labels).features, dataset.features)
    path = save_features(dataset, tmp_path / "vis.tgsr.npz")
    shared = []

    def owned(array, given):
        shared.append(np.shares_memory(array, given) and not dataset_module._writeable(given))
        return array

    monkeypatch.setattr(dataset_module, "_owned", owned)
    load_features(path)
    assert shared[0]


def header_of(path, text):
    rewrite(path, header=np.array(text))


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-900]),
    "emptied": lambda path: path.write_bytes(b""),
    "no JSON": lambda path: header_of(path, "no JSON"),
    "a list": lambda path: header_of(path, "[1, 2]"),
    "no name": lambda path: header_of(path, "{}"),
    "numbers": lambda path: rewrite(path, header=np.arange(3)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_hurts_no_other(tmp_path, pair_factory, dataset, damage):
    pair = pair_factory(n_source=6, n_target=6)
    for data in (pair.source, pair.target):
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    bad = save_features(replace(dataset, name="CASME2"), tmp_path / "CASME2.tgsr.npz")
    DAMAGES[damage](bad)
    with pytest.raises(DataError, match=r"CASME2\.tgsr\.npz: not a "):
        load_features(bad)
    assert list(find_damaged(tmp_path)) == [bad]
    assert load_pair("V", "N", tmp_path).source.digest == pair.source.digest
    with pytest.raises(DataError, match=r"CASME2\.tgsr\.npz: not a readable"):
        load_database("C", tmp_path)
    with pytest.raises(MissingDataError, match=r"SMIC_HS is not there.*damaged: .*CASME2\.tgsr\.npz"):
        load_database("H", tmp_path)
    listed = CliRunner().invoke(cli, ["data", "--data", str(tmp_path)])
    assert listed.exit_code == 1, listed.output
    assert "Error: 1 of these cannot be used" in listed.output
    assert f"damaged    {bad}" in listed.output
    assert "experiments that can be run: V-N N-V" in listed.output


def test_a_foreign_archive_is_passed_over(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    (tmp_path / "notes.npz").write_text("no archive")
    (tmp_path / "folder.tgsr.npz").mkdir()
    assert find_databases(tmp_path) == []
    assert find_damaged(tmp_path) == {}
