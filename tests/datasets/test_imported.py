"""Features of one's own: tables and archives become datasets, or are refused with the reason."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tgsr.cli import cli
from tgsr.datasets import import_features, load_features
from tgsr.errors import DataError, MissingDataError, TgsrError

TABLE = pd.DataFrame(
    {
        "clip": ["a", "b", "c"],
        "Label": ["joy", "pain", "joy"],
        "subject": ["s1", "s1", "s2"],
        "mouth/0": [0.1, 0.2, 0.3],
        "mouth/1": [1, 2, 3],
        "brow/0": [4.0, 5.0, 6.0],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_has_groups_by_the_features_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    TABLE.to_csv(path, index=False) if suffix == ".csv" else TABLE.to_parquet(path)
    dataset = import_features(path, "mine", {"joy": "positive", "pain": "negative"})
    assert (dataset.X.shape, dataset.groups.tolist()) == ((3, 3), [0, 0, 1])
    assert dataset.parameters["group_names"] == ["mouth", "brow"]
    assert dataset.counts == {"negative": 1, "positive": 2, "surprise": 0}
    assert (dataset.subjects.tolist(), dataset.sample_ids.tolist()) == (["s1", "s1", "s2"], ["a", "b", "c"])
    own = import_features(path, "mine")
    assert own.class_names == ("joy", "pain")
    assert import_features(path, "mine", {"joy": "positive", "pain": ""}).counts["positive"] == 2


def test_features_without_groups_are_groups_of_one(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}).to_csv(tmp_path / "t.csv", index=False)
    dataset = import_features(tmp_path / "t.csv", "t")
    assert (dataset.n_groups, dataset.is_labelled, dataset.subjects) == (2, False, None)


def test_an_archive_of_forty_groups_of_unequal_size(tmp_path: Path) -> None:
    groups = np.repeat(np.arange(1, 41), np.arange(1, 41))  # numbered from 1, as other programs do
    features = np.random.default_rng(0).random((6, len(groups)))
    content = {"features": features, "groups": groups, "class_names": np.array(["negative", "positive"])}
    np.savez(tmp_path / "f.npz", labels=np.array([0, 1, 0, 1, 1, 1]), **content)
    dataset = import_features(tmp_path / "f.npz", "f")
    assert (dataset.n_groups, dataset.groups.max(), dataset.counts["positive"]) == (40, 39, 4)
    np.testing.assert_array_equal(dataset.X, features)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"z": np.ones((2, 3))}, "no member features; it has z"),
        ({"features": np.ones((2, 3)), "labels": np.array([0, 1])}, "class_names"),
        ({"features": np.ones((2, 3)), "labels": np.array([0, 2]), "class_names": np.array(["a", "b"])}, "0…1"),
        ({"features": np.ones((2, 3)), "labels": np.array(["a"])}, "1 labels for 2"),
        ({"features": np.array([[np.nan, 1.0]])}, "NaN"),
        ({"features": np.ones((2, 3)), "groups": np.arange(4)}, "3 integers"),
        ({"features": np.ones(3)}, "shape"),
        ({"features": np.array([object()])}, "cannot be read"),
    ],
)
def test_archives_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path, content: dict, message: str) -> None:
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(DataError, match=rf"bad\.npz: .*{message}"):
        import_features(tmp_path / "bad.npz", "bad")


def test_tables_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text, message in (
        ("label,x\na,b\n", "line 2, column x: 'b'"),
        ("label,x\n,1\n", "sample 1 has no label"),
        ("", "empty"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"t\.csv: .*{message}"):
            import_features(path, "t")
    with pytest.raises(DataError, match="not a known kind"):
        import_features(Path(__file__), "t")
    with pytest.raises(MissingDataError, match=r"none\.csv"):
        import_features(tmp_path / "none.csv", "t")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".npz", ".parquet"]))
def test_any_bytes_are_a_dataset_or_a_typed_error(tmp_path_factory, data: bytes, suffix: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"any{suffix}"
    path.write_bytes(data)
    with contextlib.suppress(TgsrError):
        assert len(import_features(path, "any")) > 0


def test_the_command_imports(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    command = ["features", "--database", "mine", "--import", str(tmp_path / "t.csv"), "--out", str(tmp_path)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "mine: 3 rows (2 joy, 1 pain); 3 features in 2 groups" in result.output
    assert load_features(tmp_path / "mine.tgsr.npz").n_groups == 2
    assert CliRunner().invoke(cli, [*command, "--root", "x"]).exit_code == 2
    assert (
        CliRunner().invoke(cli, ["features", "--database", "m", "--root", "x", "--out", "y", "--drop", "z"]).exit_code
        == 2
    )
    result = CliRunner().invoke(cli, [*command, "--drop", "brow/0", "--drop", "Label", "--label", "clip"])
    assert "mine: 3 rows (1 a, 1 b, 1 c); 2 features in 1 groups" in result.output
