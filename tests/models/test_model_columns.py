"""A model and what it is given meet by the features' names: in any order, never with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

import tgsr
from tgsr.cli.predict import command
from tgsr.datasets import FeatureDataset, save_features
from tgsr.errors import DataError
from tgsr.models.loading import FOLDER, LOADER
from tgsr.models.prediction import predict_features
from tgsr.models.registered import Header, RegisteredModel, save_files

NAMES = ("brow/0", "brow/1", "jaw/0", "jaw/1", "nose/0")
CLASSES = ("negative", "positive", "surprise")
Y = np.arange(24) % 3
X = np.random.default_rng(0).normal(size=(24, 5)) + 4 * np.eye(5)[Y]
ORDER = [3, 0, 4, 2, 1]
PERMUTED = pd.DataFrame(X[:, ORDER], columns=[NAMES[place] for place in ORDER])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder as MLflow writes it."""
    home = tmp_path_factory.mktemp("model")
    (home / FOLDER).mkdir()
    header = Header(CLASSES, 5, extraction={"size": 112}, feature_names=NAMES)
    save_files(LogisticRegression().fit(X, Y), header, home / FOLDER)
    mlflow.pyfunc.save_model(home / "bundle", loader_module=LOADER, data_path=str(home / FOLDER), pip_requirements=[])
    return home / "bundle"


@pytest.fixture(scope="module")
def model(bundle: Path) -> RegisteredModel:
    return tgsr.load_model(bundle)


@pytest.mark.parametrize(
    "given",
    [
        lambda: PERMUTED,
        lambda: PERMUTED.astype(np.float32),
        lambda: PERMUTED.set_axis(PERMUTED.columns.str.upper().str.lower(), axis=1),
        lambda: X,
        lambda: X.tolist(),
        lambda: pd.DataFrame(X),
        lambda: pd.DataFrame(X, columns=[str(n) for n in range(5)]),
        lambda: pd.DataFrame(X, columns=NAMES, index=np.arange(24)[::-1]),
    ],
)
def test_rows_are_predicted_alike_in_any_order_of_their_columns(
    model: RegisteredModel, bundle: Path, given: Callable[[], Any]
) -> None:
    expected = [CLASSES[code] for code in LogisticRegression().fit(X, Y).predict(X)]
    assert model.predict(given())["label"].tolist() == expected
    assert mlflow.pyfunc.load_model(str(bundle)).predict(given())["label"].tolist() == expected


def test_one_row_of_a_frame_is_aligned_too(model: RegisteredModel) -> None:
    expected = model.predict(X[:1])
    pd.testing.assert_frame_equal(model.predict(PERMUTED.iloc[0]), expected)
    pd.testing.assert_frame_equal(model.predict(pd.Series(X[0])), expected)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (PERMUTED.rename(columns={"jaw/0": "jaw/9"}), "without jaw/0, besides jaw/9"),
        (PERMUTED.assign(label="negative"), "besides label"),
        (PERMUTED.drop(columns="jaw/0"), "without jaw/0"),
        (pd.DataFrame(X, columns=list("abcde")), "without brow/0"),
        (pd.DataFrame(X, columns=[4, 3, 2, 1, 0]), "without brow/0"),
    ],
)
def test_rows_with_other_columns_are_refused(
    model: RegisteredModel, bundle: Path, frame: pd.DataFrame, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model.predict(frame)
    with pytest.raises(mlflow.exceptions.MlflowException, match=message) as refused:
        mlflow.pyfunc.load_model(str(bundle)).predict(frame)
    assert refused.value.get_http_status_code() == 400


def test_a_model_without_names_takes_frames_in_their_order() -> None:
    unnamed = RegisteredModel(LogisticRegression().fit(X, Y), Header(CLASSES, 5))
    named = pd.DataFrame(X, columns=NAMES)
    pd.testing.assert_frame_equal(unnamed.predict(named), unnamed.predict(X))


def test_a_feature_file_is_predicted_by_its_names_and_settings(
    model: RegisteredModel, bundle: Path, tmp_path: Path
) -> None:
    groups = np.array([0, 0, 1, 1, 2])
    data = FeatureDataset("A", X, Y, groups=groups, feature_names=np.array(NAMES))
    moved = replace(data, features=X[:, ORDER], groups=np.array([0, 1, 2, 0, 1]), feature_names=np.array(NAMES)[ORDER])
    scores = predict_features(model, save_features(data, tmp_path / "A.tgsr.npz")).scores
    assert predict_features(model, save_features(moved, tmp_path / "M.tgsr.npz")).scores == scores
    for change, message in (
        ({"feature_names": np.array(list("abcde"))}, "other features"),
        ({"parameters": {"size": 64}}, r"another size \(112, 64\)"),
    ):
        path = save_features(replace(data, **change), tmp_path / "B.tgsr.npz")
        with pytest.raises(DataError, match=message):
            predict_features(model, path)
        result = CliRunner().invoke(command, ["--model", str(bundle), "--features", str(path)])
        assert result.exit_code == 1


@pytest.mark.parametrize(
    "change",
    [
        {"feature_names": NAMES[:4]},
        {"feature_names": ("a", "a", "b", "c", "d")},
        {"feature_names": (*NAMES[:4], "\x1b[2J")},
        {"feature_names": (*NAMES[:4], 5)},
        {"class_names": ("a\x1b[2J", "b")},
        {"class_names": ("=cmd|' /C calc'!A0", "b")},
        {"class_names": ("a\u202eb", "b")},
    ],
)
def test_a_header_with_names_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|called"):
        Header(**{"class_names": CLASSES, "n_features": 5, **change})
