"""Features meet by their names: put into one order where they are the same, refused where they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgsr.datasets import DatabasePair, FeatureDataset, import_features, load_features, pool, save_features
from tgsr.datasets._alignment import align_features
from tgsr.errors import DataError

NAMES = ("brow/0", "brow/1", "jaw/0", "jaw/1", "jaw/2", "nose/0")
CLASSES = np.repeat(["negative", "positive", "surprise"], 4)


def table(order: tuple[int, ...], seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).random((len(CLASSES), len(NAMES)))
    columns = pd.DataFrame(values, columns=NAMES)[[NAMES[place] for place in order]]
    return columns.assign(label=CLASSES)


def imported(tmp_path: Path, name: str, order: tuple[int, ...], seed: int = 0) -> FeatureDataset:
    table(order, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    return import_features(tmp_path / f"{name}.csv", name)


@given(order=st.permutations(range(len(NAMES))))
def test_columns_in_any_order_meet_in_that_of_the_first(tmp_path_factory, order: list[int]) -> None:
    folder = tmp_path_factory.mktemp("order")
    first, other = imported(folder, "A", tuple(range(6))), imported(folder, "B", tuple(order))
    other = load_features(save_features(other, folder / "B.tgsr.npz"))
    pair, both = DatabasePair(first, other), pool([first, other])
    for features, groups, names in (
        (pair.target.X, pair.target.groups, pair.target.feature_names),
        (both.X[len(first) :], both.groups, both.feature_names),
    ):
        np.testing.assert_array_equal(features, first.X)
        np.testing.assert_array_equal(groups, first.groups)
        assert names.tolist() == list(NAMES)
    assert pair.target.parameters["group_names"] == ["brow", "jaw", "nose"]
    assert pair.warnings == ()


def test_groups_of_archives_meet_by_their_names(tmp_path: Path) -> None:
    features = np.random.default_rng(0).random((12, 5))
    groups = np.array(["brow", "brow", "jaw", "jaw", "jaw"])
    order = [2, 3, 4, 0, 1]
    for name, columns in (("A", [0, 1, 2, 3, 4]), ("B", order)):
        np.savez(tmp_path / f"{name}.npz", features=features[:, columns], groups=groups[columns], labels=CLASSES)
    pair = DatabasePair(*(import_features(tmp_path / f"{name}.npz", name) for name in "AB"))
    np.testing.assert_array_equal(pair.target.X, features)
    assert pair.target.groups.tolist() == [0, 0, 1, 1, 1]
    # one name for each of two groups of equal size will do
    np.savez(tmp_path / "C.npz", features=features[:, :4].reshape(12, 2, 2), groups=np.array(["brow", "jaw"]))
    assert import_features(tmp_path / "C.npz", "C").feature_names.tolist() == ["brow/0", "brow/1", "jaw/0", "jaw/1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_names": np.array([*NAMES[:5], "nose/1"])}, "without nose/0, besides nose/1"),
        ({"feature_names": np.array([name.upper() for name in NAMES])}, "without brow/0"),
        ({"groups": np.array([0, 1, 1, 1, 1, 2])}, "other groups"),
        ({"features": np.ones((12, 2)), "groups": np.arange(2), "feature_names": np.array(NAMES[:2])}, "without jaw/0"),
        ({"features": np.ones((12, 2)), "groups": np.arange(2), "feature_names": None}, "has 6 features, B has 2"),
        ({"parameters": {"extractor": "flow"}}, "extractor"),
    ],
)
def test_other_features_are_refused_in_pairs_and_pools(tmp_path: Path, change: dict, message: str) -> None:
    first = imported(tmp_path, "A", tuple(range(6)))
    first = replace(first, parameters={"extractor": "lbp-top"})
    other = replace(first, name="B", **{"parameters": {}, **change})
    for meet in (DatabasePair, lambda *both: pool(both)):
        with pytest.raises(DataError, match=rf"A.* B.*{message}|{message}"):
            meet(first, other)


def test_features_without_names_are_taken_in_their_order_and_that_is_said(tmp_path: Path) -> None:
    first = imported(tmp_path, "A", tuple(range(6)))
    other = replace(imported(tmp_path, "B", (5, 4, 3, 2, 1, 0)), feature_names=None, groups=first.groups)
    pair = DatabasePair(first, other)
    np.testing.assert_array_equal(pair.target.X, other.X)
    assert any("B: its features have no names" in note for note in pair.warnings)
    third = imported(tmp_path, "C", (1, 0, 2, 3, 4, 5))
    np.testing.assert_array_equal(pool([other, third]).X[len(other) :], third.X)  # the names of those that have them
    assert pool([other, third]).feature_names.tolist() == third.feature_names.tolist()


def test_names_are_stored_and_part_of_the_digest(tmp_path: Path) -> None:
    data = imported(tmp_path, "A", tuple(range(6)))
    again = load_features(save_features(data, tmp_path / "A.tgsr.npz"))
    assert again.feature_names.tolist() == list(NAMES)
    assert again.digest == data.digest
    assert replace(data, feature_names=data.feature_names[::-1]).digest != data.digest
    assert replace(data, feature_names=None).digest != data.digest


@pytest.mark.parametrize("names", [("a", "b"), ("a", "a", "b"), ("a", "b", "\x1b[2J"), ("a", "b", "=1+1")])
def test_names_that_cannot_be_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError):
        FeatureDataset("A", np.ones((2, 3)), None, groups=np.arange(3), feature_names=np.array(names))


def test_rows_are_aligned_by_name_whatever_the_names_are_given_as() -> None:
    X = np.arange(6.0).reshape(2, 3)
    for names in (["c", "a", "b"], np.array(["c", "a", "b"]), pd.Index(["c", "a", "b"])):
        np.testing.assert_array_equal(align_features(("a", "b", "c"), names, X), X[:, [1, 2, 0]])
    assert align_features(("a", "b", "c"), ("a", "b", "c"), X) is X
    assert align_features((), ("a", "b", "c"), X) is X
    assert align_features(("a", "b", "c"), None, X) is X
    np.testing.assert_array_equal(align_features(("e\u0301", "b", "c"), ("c", "\xe9", "b"), X), X[:, [1, 2, 0]])
    with pytest.raises(DataError, match="other features: without b, besides d"):
        align_features(("a", "b", "c"), ("a", "c", "d"), X)
    with pytest.raises(DataError, match="a name is there twice"):
        align_features(("a", "b", "c"), ("a", "b", "c", "a"), X)
