"""A registered method predicts as its trial did, in any process, and its file makes nothing that it need not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studies.method_spec import MethodSpec
from studies.study import StudyOptions, StudyResult, run_study
from tgsr.datasets import DatabasePair, save_features
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.estimators.spaces import METHODS
from tgsr.tracking.method_model import FittedMethod, load_method, save_method
from tgsr.tracking.method_registry import register_method
from tgsr.tracking.place import Place, open_client, resolve_place
from tgsr.tracking.reading import read_study
from tgsr.tracking.registration import register_study
from tgsr.tracking.registry import load_model, model_weights

ROOT = Path(__file__).parents[2]
NINE = [method for method in METHODS.values() if method.name != "TGSR"]
World = tuple[Place, Path, Any, StudyResult]


@pytest.fixture(scope="module")
def pair(pair_factory: Callable[..., DatabasePair]) -> DatabasePair:
    made = pair_factory(n_source=15, n_target=12)
    labels = np.random.default_rng(3).permutation(made.target.labels)  # a score that settings do not share
    return DatabasePair(made.source, replace(made.target, labels=labels))


@pytest.fixture(scope="module")
def world(pair: DatabasePair, tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("registry")
    for database in (pair.source, pair.target):
        save_features(database, home / "features" / f"{database.name}.tgsr.npz")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
            patch.delenv(variable, raising=False)
        place = resolve_place(home)
    spec = MethodSpec.of("V-N", pair, "IW-SVM", selection="oracle")
    result = run_study(spec, pair, StudyOptions(place, str(home / "features"), progress=False, jobs=1, n_trials=5))
    return place, home / "features", open_client(place.tracking_uri), result


@pytest.mark.parametrize("method", NINE, ids=lambda method: method.name)
def test_every_method_is_read_back_as_it_was(method: Any, pair: DatabasePair, tmp_path: Path) -> None:
    estimator = method.make(**method.defaults).fit(pair.source.X, pair.source.labels, X_target=pair.target.X)
    files = save_method(FittedMethod(estimator, pair.source.class_names, {"size": 64}), tmp_path)
    again = load_method(files["estimator"], files["header"])
    assert (again.class_names, again.extraction) == (pair.source.class_names, {"size": 64})
    assert again.estimator.get_params() == estimator.get_params()
    np.testing.assert_array_equal(again.estimator.predict(pair.target.X), estimator.predict(pair.target.X))


def test_a_file_with_other_types_is_refused(pair: DatabasePair, tmp_path: Path) -> None:
    estimator = METHODS["SVM"].make().fit(pair.source.X, pair.source.labels)
    estimator.C = Fraction(1, 2)
    files = save_method(FittedMethod(estimator, pair.source.class_names, {}), tmp_path)
    with pytest.raises(TrackingError, match=r"fractions\.Fraction"):
        load_method(files["estimator"], files["header"])


def test_a_new_process_predicts_as_the_trial_did(world: World, pair: DatabasePair, tmp_path: Path) -> None:
    place, data, client, result = world
    registered = register_study(client, experiment="V-N", method="iwsvm", data=str(data))
    assert (registered.name, registered.run_id) == ("tgsr-V-N-IW-SVM", result.best["run_id"])
    command = ["predict", "--model", registered.uri, "--home", str(place.home), "--out", str(tmp_path / "out.csv")]
    done = subprocess.run(
        [sys.executable, "-m", "tgsr", *command, "--features", str(data / "SMIC_NIR.tgsr.npz")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert rows[0] == ["sample", "true", "label"]
    assert np.mean([true == label for _, true, label in rows[1:]]) == result.best["accuracy"]
    fitted = METHODS["IW-SVM"].make(**result.settings).fit(pair.source.X, pair.source.labels, X_target=pair.target.X)
    names = np.array(pair.target.class_names)
    assert [label for *_, label in rows[1:]] == names[fitted.predict(pair.target.X)].tolist()
    version = client.get_model_version_by_alias(registered.name, "champion")
    assert version.tags["tgsr.method"] == "IW-SVM"
    assert "oracle" in version.description
    files = [path.name for path in place.home.rglob("*") if path.is_file() and "models" in path.parts]
    assert "estimator.skops" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle"))]


def test_the_model_takes_clips_and_has_no_regions(world: World) -> None:
    model = load_model(register_study(world[2], method="IW-SVM", data=str(world[1])).uri)
    clips = np.empty(1, dtype=object)
    clips[0] = np.random.default_rng(0).integers(0, 256, size=(18, 60, 50)).astype(np.float64)
    by_row = model.predict(clips[0].reshape(1, -1), params={"clip_shape": [18, 60, 50]})
    assert model.predict(clips).equals(by_row)
    with pytest.raises(TrackingError, match="no TGSR"):
        model_weights(model)


def test_what_cannot_be_registered_is_named(world: World, pair: DatabasePair) -> None:
    _, _, client, result = world
    with pytest.raises(ParameterError, match="--data"):
        register_study(client, study=result.run_id)
    with pytest.raises(MissingDataError, match="no study"):  # of TGSR
        register_study(client)
    study = read_study(client, result.run_id)
    other = DatabasePair(replace(pair.source, labels=(pair.source.labels + 1) % 3), pair.target)
    with pytest.raises(TrackingError, match="SMIC_VIS"):
        register_method(client, study, other)
    with pytest.raises(TrackingError, match="no trial of"):
        register_method(client, study, pair, trial_run_id=result.run_id)
    client.log_metric(result.best["run_id"], "macro_f1", 0.0)
    with pytest.raises(TrackingError, match="run the study again"):
        register_method(client, study, pair)
    client.log_metric(result.best["run_id"], "macro_f1", result.best["macro_f1"])  # as the other tests expect it
