"""A study's best trial, registered, answers as its trial did, in any process, from rows and from clips."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from tgsr.tracking.place import Place, open_client, resolve_place

from tgsr.datasets import DatabasePair, save_features
from tgsr.errors import DataError, MissingDataError, ParameterError, TrackingError
from tgsr.estimators.tgsr import TGSRClassifier
from tgsr.tracking.model import load_weights
from tgsr.tracking.reading import list_studies
from tgsr.tracking.registration import register_study
from tgsr.tracking.registry import Registered, load_model, model_weights

ROOT = Path(__file__).parents[2]


@dataclass
class World:
    place: Place
    pair: DatabasePair
    data: Path
    registered: Registered
    client: Any
    best: dict[str, Any]


@pytest.fixture(scope="module")
def world(pair_factory: Callable[..., DatabasePair], tmp_path_factory: pytest.TempPathFactory) -> World:
    from studies.space import Space

    from studies.spec import StudySpec
    from studies.study import StudyOptions, run_study

    home = tmp_path_factory.mktemp("registry")
    pair = pair_factory(n_source=15, n_target=12)
    pair = replace(pair, source=replace(pair.source, parameters={"origin": "clips", "size": 96, "n_frames": 24}))
    data = home / "features"
    for database in (pair.source, pair.target):
        save_features(database, data / f"{database.name}.tgsr.npz")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
            patch.delenv(variable, raising=False)
        place = resolve_place(home)
    spec = StudySpec("V-N", pair.source.digest, pair.target.digest, Space((5, 40), (0.1, 10.0)), selection="oracle")
    result = run_study(spec, pair, StudyOptions(place, str(data), progress=False, jobs=1))
    client = open_client(place.tracking_uri)
    return World(place, pair, data, register_study(client, data=str(data)), client, result.best)


def test_the_champion_predicts_as_its_trial_did(world: World) -> None:
    fitted = TGSRClassifier(world.best["kappa"], world.best["xi"]).fit(
        world.pair.source.X, world.pair.source.labels, X_target=world.pair.target.X
    )
    table = load_model("models:/tgsr-V-N@champion").predict(world.pair.target.X.copy())
    names = np.array(world.pair.target.class_names)
    assert table["label"].tolist() == names[fitted.predict(world.pair.target.X)].tolist()
    np.testing.assert_allclose(
        table[[f"score_{name}" for name in names]].to_numpy(), fitted.predict_proba(world.pair.target.X), atol=1e-9
    )
    assert sorted(table["regions"][0]) == fitted.selected_regions_.tolist()


def test_a_new_process_predicts_the_same_by_command(world: World, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["predict", "--model", world.registered.uri, "--home", str(world.place.home)]
    command += ["--features", str(world.data / "SMIC_NIR.tgsr.npz"), "--out", str(tmp_path / "out.csv")]
    done = subprocess.run(
        [sys.executable, "-m", "tgsr", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    labels = [line.split(",")[2] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    expected = load_model(world.registered.uri).predict(world.pair.target.X.copy())["label"].tolist()
    assert labels == expected


def test_the_version_says_what_it_is(world: World) -> None:
    version = world.client.get_model_version_by_alias("tgsr-V-N", "champion")
    assert str(version.version) == world.registered.version
    assert version.run_id == world.best["run_id"]
    assert version.tags["tgsr.experiment"] == "V-N"
    assert version.tags["tgsr.selection"] == "oracle"
    assert version.tags["tgsr.source_digest"] == world.pair.source.digest
    assert version.tags["tgsr.code_version"]
    assert "oracle" in version.description


def test_the_way_from_clips_to_features_travels_with_the_study(world: World) -> None:
    """Also where no feature files are at hand when the trial is registered."""
    assert model_weights(load_model(world.registered.uri)).extraction["size"] == 96
    without_data = register_study(world.client)
    extraction = model_weights(load_model(without_data.uri)).extraction
    assert (extraction["size"], extraction["n_frames"]) == (96, 24)


def test_the_trials_run_is_as_it_was_and_names_the_model(world: World) -> None:
    trial = world.client.get_run(world.best["run_id"])
    assert trial.info.status == "FINISHED"
    version = world.client.get_model_version("tgsr-V-N", world.registered.version)
    assert version.source.rpartition("/")[2] in [output.model_id for output in trial.outputs.model_outputs]
    for key in trial.data.metrics:
        assert len(world.client.get_metric_history(world.best["run_id"], key)) == 1


def test_registering_never_reopens_the_trial(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in the middle of it must not leave the study's best trial unfinished."""
    states = []

    def log_and_look(**given: Any) -> None:
        states.append((world.client.get_run(world.best["run_id"]).info.status, mlflow.active_run()))
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.pyfunc, "log_model", log_and_look)
    with pytest.raises(KeyboardInterrupt):
        register_study(world.client)
    assert states == [("FINISHED", None)]
    assert world.client.get_run(world.best["run_id"]).info.status == "FINISHED"


def test_trial_study_experiment_and_data_must_belong_together(world: World, tmp_path: Path) -> None:
    study = list_studies(world.client)[0]
    with pytest.raises(ParameterError, match="no study of C-V"):
        register_study(world.client, study=study.run_id, experiment="C-V")
    with pytest.raises(TrackingError, match="no trial of study"):
        register_study(world.client, study=study.run_id, trial=study.run_id)
    other = replace(world.pair.source, features=world.pair.source.features[::-1])
    save_features(other, tmp_path / "SMIC_VIS.tgsr.npz")
    with pytest.raises(DataError, match="is not what"):
        register_study(world.client, data=str(tmp_path))
    assert study.experiment == "V-N"
    assert register_study(world.client, trial=world.best["run_id"]).run_id == world.best["run_id"]


def test_no_pickle_travels_with_the_model(world: World) -> None:
    model = load_model(world.registered.uri)
    folder = Path(world.client.download_artifacts(world.best["run_id"], "").rstrip("/")).parents[1]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "weights.npz" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".cloudpickle")]
    assert model.metadata.signature.inputs is not None
    assert model.metadata.saved_input_example_info is not None
    for path in files:
        if path.name == "weights.npz":
            weights = load_weights(path)
            assert weights.facts["experiment"] == "V-N"


def test_clips_are_taken_as_arrays_and_flattened(world: World) -> None:
    model = load_model(world.registered.uri)
    clip = np.random.default_rng(0).integers(0, 256, size=(18, 60, 50)).astype(np.float64)
    entries = np.empty(1, dtype=object)
    entries[0] = clip
    by_array = model.predict(entries)
    by_row = model.predict(clip.reshape(1, -1), params={"clip_shape": list(clip.shape)})
    assert by_array.equals(by_row)
    assert np.isclose(by_array.filter(like="score_").sum(axis=1), 1.0).all()


@pytest.mark.parametrize(
    ("rows", "params", "message"),
    [
        (np.zeros((2, 100)), {}, "15045"),
        (np.full((1, 15045), np.nan), {}, "NaN"),
        (np.zeros((1, 100)), {"clip_shape": [2, 5, 5]}, "clip_shape"),
    ],
)
def test_wrong_input_is_named(world: World, rows: Any, params: dict[str, Any], message: str) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=message) as error:
        load_model(world.registered.uri).predict(rows, params=params)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


@contextmanager
def _serving(model: Any) -> Iterator[str]:
    """MLflow's model server for one model, in this process, on a free port."""
    import uvicorn
    from mlflow.pyfunc.scoring_server import init

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(init(model), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/invocations"
    server.should_exit = True
    thread.join()


def _post(address: str, body: dict[str, Any]) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_server_answers_rows_and_clips_and_refuses_wrong_shapes(world: World) -> None:
    model = load_model(world.registered.uri)
    rows = world.pair.target.X[:2]
    clip = np.random.default_rng(0).integers(0, 256, size=(18, 60, 50)).astype(np.float64)
    with _serving(model) as address:
        status, answer = _post(address, {"inputs": rows.tolist()})
        assert status == 200
        assert [row["label"] for row in answer["predictions"]] == model.predict(rows.copy())["label"].tolist()
        status, answer = _post(address, {"inputs": [clip.ravel().tolist()], "params": {"clip_shape": [18, 60, 50]}})
        assert status == 200
        assert answer["predictions"][0]["label"] in world.pair.target.class_names
        status, answer = _post(address, {"inputs": [[1.0, 2.0]]})
        assert status == 400
        assert "15045" in answer
        # a path is for the library only: a client must not make the server read its files
        assert _post(address, {"inputs": [["/etc/passwd"]]})[0] == 400
        assert _post(address, {"inputs": ["/etc/passwd"]})[0] == 400
        assert _post(address, {"dataframe_split": {"columns": ["x"], "data": [["/etc/passwd"]]}})[0] == 400


def test_a_model_or_study_that_is_not_there_is_named(world: World) -> None:
    with pytest.raises(MissingDataError, match="tgsr-C-V"):
        load_model("models:/tgsr-C-V@champion")
    with pytest.raises(MissingDataError, match="C-V"):
        register_study(world.client, experiment="C-V")
    with pytest.raises(MissingDataError, match="0123"):
        register_study(world.client, study="0123")
    assert len(list_studies(world.client)) == 1
    assert model_weights(load_model(world.registered.uri)).class_names == ("negative", "positive", "surprise")
