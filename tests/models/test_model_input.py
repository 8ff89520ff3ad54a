"""A model takes what people give it, in Python, over HTTP and by command, and answers with numbers or says why not."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import tgsr
import tgsr.reports
from tgsr.cli.predict import command
from tgsr.datasets import DatabasePair, save_features
from tgsr.errors import DataError, MissingDataError, ParameterError, TgsrError
from tgsr.estimators import AveragedTGSR, get_method
from tgsr.features.extraction import ExtractionSettings
from tgsr.models.loading import FOLDER, LOADER
from tgsr.models.registered import Header, RegisteredModel, save_files
from tgsr.models.registry import make_signature

N = 15045
SHAPE = [18, 40, 30]


@pytest.fixture(scope="module")
def pair(pair_factory: Callable[..., DatabasePair]) -> DatabasePair:
    return pair_factory(n_source=15, n_target=12)


@pytest.fixture(scope="module")
def folders(pair: DatabasePair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models' folders as MLflow writes them: TGSR with regions, a consensus, and SVM without."""
    home = tmp_path_factory.mktemp("models")
    folders = {}
    X, y, X_target = pair.source.X, pair.source.labels, pair.target.X
    tgsr = get_method("TGSR").make(kappa=10, xi=0.1, groups="region").fit(X, y, X_target=X_target)
    estimators = {
        "TGSR": tgsr,
        "consensus": AveragedTGSR.of(tgsr.coef_.T, np.linspace(0, 1, 85), "region", 4),
        "SVM": get_method("SVM").make().fit(X, y),
    }
    for name, estimator in estimators.items():
        extraction = ExtractionSettings(size=64).to_dict()
        (home / name / FOLDER).mkdir(parents=True)
        header = Header(pair.class_names, N, "" if name == "SVM" else "region", extraction)
        save_files(estimator, header, home / name / FOLDER)
        mlflow.pyfunc.save_model(
            home / name / "bundle",
            loader_module=LOADER,
            data_path=str(home / name / FOLDER),
            pip_requirements=[],
            signature=make_signature(RegisteredModel(estimator, header)),
            input_example=(np.zeros((1, N)), {"clip_shape": [0, 0, 0]}),
        )
        folders[name] = home / name / "bundle"
    return folders


@pytest.fixture(scope="module")
def model(folders: dict[str, Path]) -> RegisteredModel:
    return tgsr.load_model(folders["TGSR"])


def frames(seed: int = 0) -> np.ndarray:
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).random((40, 30 + 18)), (0, 0), 2)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.array([smooth[:, number : number + 30] for number in range(18)])


def write_clip(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames(seed)):
        cv2.imwrite(str(folder / f"img{number}.png"), frame)
    return folder


def as_objects(entries: list[Any]) -> np.ndarray:
    array = np.empty(len(entries), dtype=object)
    for index, entry in enumerate(entries):
        array[index] = entry
    return array


ROWS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "fortran": np.asfortranarray,
    "read only": lambda X: np.broadcast_to(X, X.shape),
    "lists": lambda X: X.tolist(),
    "list of rows": list,
    "blocks": lambda X: X.reshape(len(X), 85, 177),
    "DataFrame": pd.DataFrame,
    "DataFrame of objects": lambda X: pd.DataFrame(X).astype(object),
    "a column of rows": lambda X: pd.DataFrame({"features": list(X)}),
    "object array": lambda X: as_objects(list(X)),
}


@pytest.mark.parametrize("form", ROWS)
def test_rows_are_taken_in_any_form(form: str, model: RegisteredModel, pair: DatabasePair) -> None:
    X = pair.target.X
    given = ROWS[form](X)
    table = model.predict(given)
    expected = model.predict(X)
    assert table["label"].tolist() == expected["label"].tolist()
    assert table["regions"].tolist() == expected["regions"].tolist()
    columns = [name for name in expected if name.startswith("score_")]
    np.testing.assert_allclose(table[columns], expected[columns], atol=1e-5)


def test_one_row_and_integers_are_taken(model: RegisteredModel) -> None:
    assert len(model.predict(np.ones(N, dtype=np.int64))) == 1


def test_clips_are_taken_as_arrays_lists_and_paths(model: RegisteredModel, tmp_path: Path) -> None:
    clip, path = frames(), write_clip(tmp_path / "clip")
    expected = model.predict([clip, clip])
    assert len(expected) == 2
    assert np.isclose(expected.filter(like="score_").sum(axis=1), 1.0).all()
    forms: list[Any] = [
        np.array([clip, clip], dtype=np.float32),
        [list(clip), clip],
        as_objects([clip, clip]),
        [path, str(path)],
        np.array([str(path)] * 2),
        pd.DataFrame({"clip": [str(path)] * 2}),
        pd.Series([str(path)] * 2),
    ]
    for given in forms:
        assert model.predict(given).equals(expected)
    for given in (clip, path, str(path)):
        alone = model.predict(given)
        assert alone["label"].tolist() == expected["label"].tolist()[:1]
        np.testing.assert_allclose(alone.filter(like="score_"), expected[:1].filter(like="score_"), atol=1e-12)
    flat = np.array([clip.ravel()] * 2, dtype=np.float64)
    assert model.predict(flat, params={"clip_shape": SHAPE}).equals(expected)


WRONG: dict[str, tuple[Any, str]] = {
    "too short": (np.zeros((2, 100)), "15045"),
    "flat": (np.zeros(7), "shape"),
    "no rows": (np.zeros((0, N)), "shape"),
    "NaN": (np.full((1, N), np.nan), "row 1 holds NaN"),
    "infinite": (np.full((1, N), -np.inf), "row 1 holds NaN"),
    "1e308": (np.concatenate([np.zeros((1, N)), np.full((1, N), 1e308)]), "row 2 holds NaN"),
    "complex": (np.zeros((1, N), dtype=complex), "real numbers"),
    "words": (pd.DataFrame([["a"] * N], dtype=object), "no number"),
    "ragged": ([[1.0] * 3, [1.0] * 4], "same length"),
    "dates": (np.zeros((1, N), dtype="datetime64[s]"), "real numbers"),
    "None": (None, "no number|shape"),
    "mapping": ({"a": 1}, "no number|shape"),
    "bright clip": (np.full((18, 40, 30), 1e300), "0 to 255"),
    "clip of NaN": (np.full((18, 40, 30), np.nan), "0 to 255"),
    "blank clip": (np.zeros((18, 40, 30)), "blank"),
    "one frame": (frames()[:1], "at least 2"),
    "clip of words": ([np.full((3, 4, 5), "a")], "0 to 255"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_an_error_that_says_what(name: str, model: RegisteredModel) -> None:
    given, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        model.predict(given)


def test_a_clip_that_is_not_there_is_named(model: RegisteredModel, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="nowhere"):
        model.predict([tmp_path / "nowhere"])


@pytest.mark.parametrize("shape", [[2, 5, 5], [1, 2], [0, 1, N], [10**9, 10**9, 10**9], "abc", [[1]], 5])
def test_a_clip_shape_that_does_not_fit_is_an_error(shape: Any, model: RegisteredModel) -> None:
    with pytest.raises(DataError, match="clip_shape"):
        model.predict(np.zeros((1, N)), params={"clip_shape": shape})


def test_scores_that_overflow_are_an_error_and_never_nan() -> None:
    class Steep:
        classes_ = np.arange(2)

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.zeros(len(X), dtype=int)

        def decision_function(self, X: np.ndarray) -> np.ndarray:
            return X.sum(axis=1) * 1e308

    model = RegisteredModel(Steep(), Header(("a", "b"), 4))
    assert list(model.predict(np.full((1, 4), 0.1))) == ["label", "score_a", "score_b"]
    with pytest.raises(DataError, match="overflow"):
        model.predict(np.full((1, 4), 10.0))


def test_mlflow_loads_it_and_reads_no_paths(folders: dict[str, Path], pair: DatabasePair, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    loaded = mlflow.pyfunc.load_model(str(folders["TGSR"]))
    expected = tgsr.load_model(folders["TGSR"]).predict(pair.target.X)
    assert loaded.predict(pair.target.X)["label"].tolist() == expected["label"].tolist()
    clip = np.array([frames().ravel()], dtype=np.float64)
    assert len(loaded.predict(clip, params={"clip_shape": SHAPE})) == 1
    path = str(write_clip(tmp_path / "clip"))
    for given in (path, [path], pd.DataFrame({"clip": [path]}), as_objects([path])):
        with pytest.raises(MlflowException, match=r"paths|schema") as refused:
            loaded.predict(given)
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    for form in ("float32", "lists", "DataFrame", "a column of rows"):  # as the docstring says
        with pytest.raises(MlflowException, match="schema") as refused:
            loaded.predict(ROWS[form](pair.target.X))
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


@contextmanager
def serving(model: Any) -> Iterator[str]:
    """MLflow's model server for one model, in this process, on a free port."""
    import uvicorn
    from mlflow.pyfunc.scoring_server import init

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(init(model), host="127.0.0.1", port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/invocations"
    server.should_exit = True
    thread.join()


def post(address: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, {"Content-Type": kind})) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_server_answers_rows_and_clips_and_outlives_bad_requests(
    folders: dict[str, Path], pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, clip = pair.target.X[:3], frames()
    model = tgsr.load_model(folders["TGSR"])
    monkeypatch.setattr("tgsr.models._input._MOST_VALUES", 100_000)
    packed = io.BytesIO()
    pd.DataFrame({"features": list(rows)}).to_parquet(packed)
    column = {"columns": ["features"], "data": [[row.tolist()] for row in rows]}
    good: dict[str, tuple[Any, ...]] = {
        "inputs": ({"inputs": rows.tolist()},),
        "instances": ({"instances": rows.tolist()},),
    }
    bad: dict[str, tuple[Any, ...]] = {
        "a column": ({"dataframe_split": column},),
        "parquet": (packed.getvalue(), "application/vnd.apache.parquet"),
        "short": ({"inputs": [[1.0, 2.0]]},),
        "flat": ({"inputs": [1.0]},),
        "empty": ({"inputs": []},),
        "null": ({"inputs": None},),
        "1e308": ({"inputs": [[1e308] * N]},),
        "NaN": ({"inputs": [[float("nan")] * N]},),
        "ragged": ({"inputs": [[1.0], [1.0, 2.0]]},),
        "path in rows": ({"inputs": [["/etc/passwd"]]},),
        "path": ({"inputs": ["/etc/passwd"]},),
        "bare path": ({"inputs": "/etc/passwd"},),
        "path in a frame": ({"dataframe_split": {"columns": ["x"], "data": [["/etc/passwd"]]}},),
        "path in records": ({"dataframe_records": [{"x": "/etc/passwd"}]},),
        "huge": ({"inputs": [[0] * N] * 7},),
        "huge clip": ({"inputs": [[1] * 8], "params": {"clip_shape": [10**9, 10**9, 10**9]}},),
        "bright clip": ({"inputs": [[1e300] * 8], "params": {"clip_shape": [2, 2, 2]}},),
        "words for shape": ({"inputs": [[1] * 8], "params": {"clip_shape": "abc"}},),
        "two inputs": ({"inputs": [[1]], "instances": [[1]]},),
        "not JSON": (b"{",),
        "not UTF-8": (b"\xff\xfe",),
        "no body": (b"",),
        "a list": ([1],),
        "no parquet": (b"PAR1", "application/vnd.apache.parquet"),
        "of no type": (b"1", "text/html"),
    }
    with serving(mlflow.pyfunc.load_model(str(folders["TGSR"]))) as address:
        for name, request in good.items():
            status, answer = post(address, *request)
            assert status == 200, (name, answer)
            assert [row["label"] for row in answer["predictions"]] == model.predict(rows)["label"].tolist()
        for name, request in bad.items():
            status, answer = post(address, *request)
            assert 400 <= status < 500, (name, status, answer)
            assert answer, name
        body = {"inputs": [clip.ravel().tolist()], "params": {"clip_shape": SHAPE}}
        status, answer = post(address, body)
        assert status == 200
        assert answer["predictions"][0]["label"] == model.predict(clip)["label"][0]


def predict(folder: Path, *arguments: Any) -> Any:
    return CliRunner().invoke(command, ["--model", str(folder), *map(str, arguments)])


def test_the_command_takes_folders_of_clips_and_lists_of_clips(folders: dict[str, Path], tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / "clips" / name, seed) for seed, name in enumerate(("a", "b/c", "b/d"))]
    out = tmp_path / "new" / "predictions.csv"
    done = predict(folders["TGSR"], tmp_path / "clips", "--out", out)
    assert done.exit_code == 0, done.output
    assert "3 predictions written" in done.output
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["clip", "label", "score_negative", "score_positive", "score_surprise", "regions"]
    assert [row["clip"] for row in rows] == [str(clip) for clip in clips]
    table = tmp_path / "clips" / "list.csv"
    labels = [rows[0]["label"], rows[1]["label"], "unheard-of"]
    table.write_text(
        "clip,label\n" + "".join(f"{c.relative_to(table.parent)},{x}\n" for c, x in zip(clips, labels, strict=True))
    )
    done = predict(folders["TGSR"], table)
    assert done.exit_code == 0, done.output
    assert "accuracy 1.0000" in done.output
    assert "on 2 labelled samples" in done.output
    table.write_text("clip\na\nmissing\n")
    done = predict(folders["TGSR"], table)
    assert done.exit_code == 1
    assert "1 of 2 clips cannot be used" in str(done.exception)
    (tmp_path / "empty").mkdir()
    assert isinstance(predict(folders["TGSR"], tmp_path / "empty").exception, MissingDataError)


def test_the_command_scores_a_feature_file_where_labels_are_known(
    folders: dict[str, Path], pair: DatabasePair, tmp_path: Path
) -> None:
    save_features(pair.target, tmp_path / "SMIC_NIR.tgsr.npz")
    done = predict(folders["SVM"], "--features", tmp_path / "SMIC_NIR.tgsr.npz")
    labels = tgsr.load_model(folders["SVM"]).predict(pair.target.X)["label"]
    accuracy = np.mean(labels == np.array(pair.class_names)[pair.target.labels])
    assert f"accuracy {accuracy:.4f}, macro-F1" in done.output
    assert "on 12 labelled samples" in done.output


def test_an_overlay_of_a_method_without_regions_is_refused_before_predicting(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    done = predict(folders["SVM"], tmp_path / "not even there", "--overlay", tmp_path / "regions.png")
    assert isinstance(done.exception, ParameterError)
    assert "--overlay" in str(done.exception)


@pytest.mark.parametrize("name", ["TGSR", "consensus"])
def test_the_overlay_shows_norms_or_a_consensus_frequencies(
    name: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []
    for draw in ("draw_mask", "draw_frequency"):
        original = getattr(tgsr.reports, draw)

        def look(weights: np.ndarray, *given: Any, original: Any = original, draw: str = draw) -> Any:
            drawn.append(weights)
            assert draw == ("draw_mask" if name == "TGSR" else "draw_frequency")
            return original(weights, *given)

        monkeypatch.setattr(tgsr.reports, draw, look, raising=False)
    done = predict(folders[name], write_clip(tmp_path / "clip"), "--overlay", tmp_path / "regions.png")
    assert done.exit_code == 0, done.output
    assert "kept regions" in done.output
    assert ("0.99" in done.output) == (name == "consensus")
    assert (tmp_path / "regions.png").stat().st_size > 1000
    np.testing.assert_array_equal(drawn[0], tgsr.load_model(folders[name]).strengths)


def test_a_damaged_model_is_one_line_on_the_command_line(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["SVM"], tmp_path / "model")
    (tmp_path / "model" / "MLmodel").write_text("flavors: {sklearn: {}}")
    done = predict(tmp_path / "model", tmp_path)
    assert isinstance(done.exception, TgsrError)
    assert "\n" not in str(done.exception)
