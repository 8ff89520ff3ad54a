"""Our own feature files: what is written is read, and nothing else is believed."""

import json
import pickle

import numpy as np
import pytest

from tgsr.datasets import FeatureDataset, find_databases, load_database, load_features, save_features
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
        ({"features": np.zeros((6, 84, 177))}, "shape"),
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
