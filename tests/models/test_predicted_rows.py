"""Rows of features are predicted from every file that can be imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tgsr.datasets import import_features, save_features
from tgsr.errors import DataError, MissingDataError
from tgsr.models import predict_features
from tgsr.models.registered import Header, RegisteredModel

CLASSES = ("negative", "positive", "surprise")
NAMES = ("brow/0", "brow/1", "jaw/0", "jaw/1")
Y = np.arange(18) % 3
X = np.random.default_rng(0).normal(size=(18, 4)) + 4 * np.eye(4)[Y]


@pytest.fixture(scope="module")
def model() -> RegisteredModel:
    return RegisteredModel(LogisticRegression().fit(X, Y), Header(CLASSES, 4, feature_names=NAMES))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    known = {"clip": [f"c{row:02d}" for row in range(18)], "label": [CLASSES[code] for code in Y]}
    return pd.DataFrame(X, columns=NAMES).assign(**known)


def write(table: pd.DataFrame, path: Path) -> Path:
    match path.suffixes:
        case [".csv"]:
            table.to_csv(path, index=False)
        case [".tsv"]:
            table.to_csv(path, index=False, sep="\t")
        case [".parquet"]:
            table.to_parquet(path, index=False)
        case [".tgsr", ".npz"]:
            save_features(import_features(write(table, path.parent / "rows.csv"), "mine"), path)
        case [".npz"]:
            content = {"features": table[[*NAMES]].to_numpy(), "feature_names": np.array(NAMES)}
            np.savez(path, labels=table["label"].to_numpy(str), clips=table["clip"].to_numpy(str), **content)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.npz", "a.tgsr.npz"])
def test_what_can_be_imported_can_be_predicted(
    model: RegisteredModel, table: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    predicted = predict_features(model, write(table, tmp_path / name))
    assert predicted.table["sample"].tolist() == table["clip"].tolist()
    assert predicted.table["label"].tolist() == [CLASSES[code] for code in model.estimator.predict(X)]
    assert predicted.table["true"].tolist() == table["label"].tolist()
    assert predicted.scores["n"] == 18


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npz"])
def test_columns_meet_by_their_names_and_labels_may_be_missing(
    model: RegisteredModel, table: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    expected = predict_features(model, write(table, tmp_path / name)).table["label"].tolist()
    moved = table[["jaw/1", "clip", "brow/1", "jaw/0", "brow/0"]]
    if name != "a.npz":
        predicted = predict_features(model, write(moved, tmp_path / name))
        assert predicted.table["label"].tolist() == expected
        assert predicted.scores == {}
    with pytest.raises(DataError, match="other features"):
        predict_features(model, write(table.rename(columns={"jaw/1": "nose/1"}), tmp_path / "b.csv"))


def test_a_missing_file_and_one_of_no_known_kind_are_named(model: RegisteredModel, tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.npz", "gone.tgsr.npz"):
        with pytest.raises(MissingDataError, match=name):
            predict_features(model, tmp_path / name)
    (tmp_path / "a.xyz").write_text("1,2,3,4")
    with pytest.raises(DataError, match=r"a\.xyz"):
        predict_features(model, tmp_path / "a.xyz")
