"""What is registered answers as it did in its study, says what it is, and gives way to no oracle by accident."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import tgsr
from tgsr.cli.register import command
from tgsr.datasets import DatabasePair, FeatureDataset, save_features
from tgsr.errors import DataError, MissingDataError, ParameterError, TrackingError
from tgsr.estimators import METHODS, AveragedTGSR, get_method
from tgsr.models import consensus_of, load_model, register
from tgsr.models.registered import ESTIMATOR, HEADER, Header, load_files, save_files
from tgsr.names import store_name
from tgsr.study import RunOptions, make_spec, resolve_config, run_study
from tgsr.tracking.client import open_client
from tgsr.tracking.names import CONSENSUS, Tag
from tgsr.tracking.records import StudyRecord, read_study
from tgsr.trials.trial import decode_predictions

GRID = {"kappa": [3, 10, 20, 40, 85], "xi": [0.01, 1.0, 30.0, 200.0]}


@dataclass
class World:
    """A home folder with a database each way, and studies of them."""

    home: Path
    pair: DatabasePair
    client: Any

    @property
    def data(self) -> str:
        return str(self.home / "features")

    @property
    def uri(self) -> str:
        return str(self.client.tracking_uri)

    def study(
        self, method: str = "TGSR", pair: DatabasePair | None = None, run: dict[str, Any] | None = None, **search: Any
    ) -> StudyRecord:
        pair = pair or self.pair
        options = {"jobs": 1, "progress": False, "page": False, **(run or {})}
        done = run_study(
            make_spec(pair, method, **search), pair, RunOptions(resolve_config(self.home), self.data, **options)
        )
        return read_study(self.client, done.record.run_id)

    def load(self, name: str, **given: Any) -> Any:
        return load_model(name, tracking_uri=self.uri, **given)

    def tags(self, made: Any) -> dict[str, str]:
        return dict(self.client.get_model_version(made.name, made.version).tags)


@pytest.fixture(scope="module")
def world(
    pair_factory: Callable[..., DatabasePair], empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> World:
    home = tmp_path_factory.mktemp("registry")
    shutil.copy(empty_store, home / "mlflow.db")
    pair = pair_factory(n_source=15, n_target=12)
    parameters = {"origin": "generated", "size": 96, "n_frames": 24}
    labels = np.random.default_rng(3).permutation(pair.target.labels)  # scores that are not all 1
    pair = DatabasePair(replace(pair.source, parameters=parameters), replace(pair.target, labels=labels))
    for database in (pair.source, pair.target):
        save_features(database, home / "features" / f"{database.name}.tgsr.npz")
    return World(home, pair, open_client(f"sqlite:///{home / 'mlflow.db'}"))


@pytest.fixture(scope="module")
def grid(world: World) -> StudyRecord:
    return world.study(axes=GRID)


@pytest.fixture(scope="module")
def svm(world: World) -> StudyRecord:
    return world.study("SVM")


def names_of(pair: DatabasePair, codes: Any) -> list[str]:
    return [pair.class_names[code] for code in codes]


def test_a_study_of_a_linear_method_gives_its_consensus(world: World, grid: StudyRecord) -> None:
    made = register(world.client, grid.run_id, world.pair)
    consensus, stored = consensus_of(grid), json.loads(grid.artifact(CONSENSUS) or b"")
    assert (made.uri, made.run_id) == ("models:/tgsr-V-N@champion", grid.run_id)
    assert "mean of the best 5% of the trials; chosen by circular" in made.described
    assert consensus.numbers == tuple(stored["trials"])
    model = world.load(made.uri)
    assert isinstance(model.estimator, AveragedTGSR)
    np.testing.assert_allclose(model.estimator.coef_, consensus.coef.T)
    table = model.predict(world.pair.target.X)
    assert table["label"].tolist() == names_of(world.pair, decode_predictions(stored["predictions"]))
    assert table["frequency"][0] == sorted(consensus.frequency[consensus.frequency > 0], reverse=True)
    np.testing.assert_array_equal(model.strengths, consensus.frequency)
    assert model.kept[0] == "regions"


@pytest.mark.parametrize("way", ["by another rule", "without matrices"])
def test_a_consensus_is_averaged_anew_where_the_study_has_none(world: World, grid: StudyRecord, way: str) -> None:
    if way == "without matrices":
        pair = DatabasePair(world.pair.target, world.pair.source)
        record, by, run = world.study(pair=pair, axes=GRID, run={"matrices": "none"}), None, {}
        with pytest.raises(MissingDataError, match="keep no regression matrix"):
            consensus_of(record)
    else:
        record, pair, by, run = grid, world.pair, "class-balance", {"by": "class-balance"}
    made = register(world.client, record.run_id, pair, by=by, alias="anew")
    expected = consensus_of(record, pair, **run)
    np.testing.assert_allclose(world.load(made.uri).estimator.coef_, expected.coef.T)
    assert f"chosen by {expected.by}" in made.described


@pytest.mark.parametrize("preprocess", ["standard", "maxabs", "unit", "standard+unit"])
@pytest.mark.parametrize("trial", [None, "best"])
def test_a_model_takes_rows_as_they_are_and_scales_them_as_the_targets(
    world: World, preprocess: str, trial: str | None
) -> None:
    axes = {"kappa": [3, 10, 20, 40], "xi": [0.01, 1.0, 30.0, 200.0, 300.0]}
    record = world.study(axes=axes, preprocess=preprocess)
    made = register(world.client, record.run_id, world.pair, trial=trial, alias="scaled")
    stored = json.loads(record.artifact(CONSENSUS) or b"")["predictions"]
    recorded = stored if trial is None else record.choose().row["predictions"]
    model = world.load(made.uri)
    assert model.predict(world.pair.target.X)["label"].tolist() == names_of(world.pair, decode_predictions(recorded))
    one_by_one = [model.predict(row)["label"][0] for row in world.pair.target.X]
    assert one_by_one == names_of(world.pair, decode_predictions(recorded))


def test_a_consensus_that_is_not_reached_again_is_refused(world: World, grid: StudyRecord) -> None:
    path = world.home / "mlruns/tgsr/V-N" / grid.run_id / "artifacts" / CONSENSUS
    kept = path.read_text()
    stored = json.loads(kept)
    try:
        path.write_text(json.dumps({**stored, "predictions": stored["predictions"][::-1].translate({48: 49, 49: 50})}))
        with pytest.raises(TrackingError, match=r"consensus of .* run the study again"):
            register(world.client, grid.run_id, world.pair)
    finally:
        path.write_text(kept)


def test_the_single_best_trial_and_a_named_one_are_registered_where_asked(world: World, grid: StudyRecord) -> None:
    best, last = grid.choose("circular").row, grid.table.iloc[-1]
    for trial, row in (("best", best), (last["run_id"], last)):
        made = register(world.client, grid.run_id, world.pair, trial=trial, alias="single")
        assert made.run_id == row["run_id"]
        assert f"chosen by {'circular' if trial == 'best' else 'hand'}" in made.described
        settings = json.loads(row["settings"])
        fitted = METHODS["TGSR"].make(**settings, groups="region")
        fitted.fit(world.pair.source.X, world.pair.source.labels, X_target=world.pair.target.X)
        table = world.load(made.uri).predict(world.pair.target.X)
        assert table["label"].tolist() == names_of(world.pair, decode_predictions(row["predictions"]))
        scores = table[[f"score_{name}" for name in world.pair.class_names]].to_numpy()
        np.testing.assert_allclose(scores, fitted.predict_proba(world.pair.target.X), atol=1e-9)
        assert sorted(table["regions"][0]) == fitted.selected_regions_.tolist()
        strengths = fitted.region_norms_[table["regions"][0]]
        assert strengths.tolist() == sorted(strengths, reverse=True)
        assert "frequency" not in table
        run = world.client.get_run(made.run_id)
        assert run.info.status == "FINISHED"
        version = world.client.get_model_version("tgsr-V-N", made.version)
        assert version.source.split("/")[-2] in [output.model_id for output in run.outputs.model_outputs]


def test_a_best_trial_that_somebody_deleted_gives_way_to_the_next(world: World, pair_factory: Any) -> None:
    record = world.study(axes={"kappa": [2, 5], "xi": [0.1]})
    first = record.choose("circular").row["run_id"]
    world.client.delete_run(first)
    made = register(world.client, study=record.run_id, alias="left")
    assert made.run_id not in (first, record.run_id)
    with pytest.raises(TrackingError, match="no trial of"):
        register(world.client, trial=first)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_read_back_as_it_was(name: str, pair_factory: Any, tmp_path: Path) -> None:
    pair = pair_factory(n_source=15, n_target=12)
    method = get_method(name)
    estimator = method.make(**method.defaults).fit(pair.source.X, pair.source.labels, X_target=pair.target.X)
    header = save_files(estimator, Header(pair.class_names, pair.source.X.shape[1]), tmp_path)
    again = load_files(tmp_path)
    assert again.header == header
    assert again.estimator.get_params() == estimator.get_params()
    np.testing.assert_array_equal(again.estimator.predict(pair.target.X), estimator.predict(pair.target.X))
    scored = again.predict(pair.target.X).filter(like="score_").to_numpy()
    assert scored.shape == (12, 3)
    np.testing.assert_array_equal(scored.argmax(axis=1), estimator.predict(pair.target.X))


def test_what_is_registered_and_replaced_is_said_and_tagged(world: World, svm: StudyRecord) -> None:
    first = register(world.client, svm.run_id, world.pair)
    assert (first.name, first.alias, first.replaced) == ("tgsr-V-N-SVM", "champion", "")
    second = register(world.client, svm.run_id, world.pair)
    for part in ("SVM for V-N", "chosen by", "macro-F1", "accuracy"):
        assert part in second.described
    assert second.replaced.startswith(f"version {first.version} (SVM for V-N")
    version = world.client.get_model_version_by_alias("tgsr-V-N-SVM", "champion")
    assert str(version.version) == second.version
    expected = {
        Tag.METHOD: "SVM",
        Tag.CHOOSE: svm.default_choice,
        Tag.SOURCE_DIGEST: world.pair.source.digest,
        Tag.GENERATED: "true",
        "tgsr.study_run": svm.run_id,
        "tgsr.trial_run": second.run_id,
        "tgsr.replaces": f"version {first.version}",
    }
    assert {key: version.tags[key] for key in expected} == expected
    assert "Generated data" in version.description
    table = world.load(second.uri).predict(world.pair.target.X)
    assert list(table) == ["label", "score_negative", "score_positive", "score_surprise"]


def test_the_model_shows_a_schema_that_says_what_comes_out(world: World, grid: StudyRecord) -> None:
    made = register(world.client, grid.run_id, world.pair, alias="schema")
    with mlflow_at(world.uri):
        signature = mlflow.models.get_model_info(made.uri).signature
    [rows] = signature.inputs.inputs
    assert (rows.type, rows.shape) == (np.dtype(np.float64), (-1, -1))
    columns = world.load(made.uri).predict(world.pair.target.X).columns
    assert signature.outputs.input_names() == list(columns)
    assert {"label", "score_negative", "regions", "frequency"} <= set(columns)


class mlflow_at:
    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        self.before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self.uri)

    def __exit__(self, *_: object) -> None:
        # None, not the address of before: MLflow would prefer that to the environment from then on
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if self.before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = self.before


def test_the_callers_own_tracking_stays_as_it_is(world: World, grid: StudyRecord, tmp_path: Path) -> None:
    with mlflow_at(f"sqlite:///{tmp_path / 'own.db'}"):
        before = dict(os.environ), mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        made = register(world.client, grid.run_id, world.pair, alias="mine")
        world.load(made.uri).predict(world.pair.target.X)
        assert (dict(os.environ), mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before
        with pytest.raises(MissingDataError):
            tgsr.load_model(made.uri)  # it is not in the caller's store
        assert not (tmp_path / "own.db").exists()
    with mlflow_at(world.uri):
        assert len(tgsr.load_model(made.uri).predict(world.pair.target.X)) == 12


def test_autologging_leaves_no_runs_of_inner_fits(world: World, tmp_path: Path) -> None:
    with mlflow_at(f"sqlite:///{tmp_path / 'own.db'}"):
        mlflow.sklearn.autolog(silent=True)
        try:
            X, y = world.pair.source.X[:, :50], world.pair.source.labels
            for name in ("SVM", "STM", "TCA"):
                get_method(name).make().fit(X, y, X_target=X)
            record = world.study("sklearn.svm:SVC", run={"jobs": 2}, axes={"C": [0.5, 1.0, 2.0]})
            register(world.client, record.run_id, world.pair)
            assert mlflow.search_runs(search_all_experiments=True).empty
        finally:
            mlflow.sklearn.autolog(disable=True)


def test_the_command_says_it_and_how_to_go_on(world: World, svm: StudyRecord, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    arguments = ["--study", svm.run_id, "--home", str(world.home), "--alias", "other", "--allow-oracle", "false"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "is the other: models:/tgsr-V-N-SVM@other\nit is SVM for V-N; chosen by" in done.output
    assert f"use it: tgsr predict --model models:/tgsr-V-N-SVM@other --home {world.home} CLIP" in done.output
    assert f"serve it: MLFLOW_TRACKING_URI={world.uri} mlflow models serve" in done.output
    again = CliRunner().invoke(command, arguments)
    assert "it replaces version" in again.output


@pytest.mark.parametrize("named", [["--experiment", "5"], ["--source", "V", "--target", "SMIC_NIR"], ["FILES"]])
def test_the_pair_is_named_as_for_a_study(world: World, svm: StudyRecord, named: list[str]) -> None:
    files = [f"{world.data}/SMIC_{name}.tgsr.npz" for name in ("VIS", "NIR")]
    named = ["--source", files[0], "--target", files[1]] if named == ["FILES"] else named
    done = CliRunner().invoke(command, [*named, "--method", "svm", "--home", str(world.home), "--alias", "named"])
    assert done.exit_code == 0, done.output
    assert "models:/tgsr-V-N-SVM@named" in done.output


def test_an_oracle_replaces_a_label_free_champion_only_when_asked(world: World, grid: StudyRecord) -> None:
    honest = register(world.client, grid.run_id, world.pair)
    aside = register(world.client, grid.run_id, world.pair, by="oracle")
    assert aside.uri == "models:/tgsr-V-N@oracle"
    assert "chosen by the target's labels (oracle)" in aside.described
    with pytest.raises(TrackingError, match="leave out --alias, or replace the other with --allow-oracle"):
        register(world.client, grid.run_id, world.pair, by="oracle", alias="champion")
    assert str(world.client.get_model_version_by_alias("tgsr-V-N", "champion").version) == honest.version
    asked = register(world.client, grid.run_id, world.pair, by="oracle", alias="champion", allow_oracle=True)
    assert "chosen by circular" in asked.replaced
    register(world.client, grid.run_id, world.pair, by="oracle", alias="champion")  # an oracle may follow an oracle
    assert "oracle" in register(world.client, grid.run_id, world.pair).replaced


def test_a_search_that_saw_target_labels_is_an_oracle_whatever_rule_chooses(world: World) -> None:
    record = world.study(sampler="random", objective="oracle", run={"n_trials": 2})
    made = register(world.client, record.run_id, world.pair, by="circular")
    assert made.alias == "oracle"
    assert world.tags(made)[Tag.CHOOSE] == "oracle"


def test_of_several_studies_it_takes_the_newest_and_says_so(
    world: World, svm: StudyRecord, caplog: pytest.LogCaptureFixture
) -> None:
    newest = world.study("SVM", sampler="fixed")
    with caplog.at_level(logging.INFO, logger="tgsr"):
        made = register(world.client, experiment="V-N", method="svm", data=world.data)
    assert "studies match; taking the newest" in caplog.text
    assert world.tags(made)["tgsr.study_run"] == newest.run_id


def test_the_study_remembers_where_its_data_are(world: World, svm: StudyRecord, tmp_path: Path) -> None:
    assert register(world.client, study=svm.run_id).name == "tgsr-V-N-SVM"
    try:
        world.client.set_tag(svm.run_id, Tag.DATA_FOLDER, str(tmp_path / "gone"))
        with pytest.raises(MissingDataError, match=r"no longer in .*gone.*--data"):
            register(world.client, study=svm.run_id)
        assert register(world.client, study=svm.run_id, data=world.data).name == "tgsr-V-N-SVM"
        world.client.delete_tag(svm.run_id, Tag.DATA_FOLDER)
        with pytest.raises(MissingDataError, match="--data"):
            register(world.client, study=svm.run_id)
    finally:
        world.client.set_tag(svm.run_id, Tag.DATA_FOLDER, world.data)


def test_study_trial_pair_and_data_must_belong_together(world: World, grid: StudyRecord, svm: StudyRecord) -> None:
    with pytest.raises(ParameterError, match="no study of tca"):
        register(world.client, study=svm.run_id, method="tca")
    with pytest.raises(ParameterError, match="no study of C-V"):
        register(world.client, study=grid.run_id, experiment="C-V")
    with pytest.raises(TrackingError, match="no trial of"):
        register(world.client, grid.run_id, world.pair, trial=svm.run_id)
    with pytest.raises(TrackingError, match="no study"):
        register(world.client, svm.table["run_id"][0], world.pair)
    with pytest.raises(ParameterError, match="no trial has a value of the rule 'iw-cv'"):
        register(world.client, grid.run_id, world.pair, by="iw-cv")
    with pytest.raises(MissingDataError, match="0123"):
        register(world.client, study="0123")
    with pytest.raises(MissingDataError, match="C-V"):
        register(world.client, experiment="C-V")
    other = DatabasePair(replace(world.pair.source, features=world.pair.source.features[::-1]), world.pair.target)
    with pytest.raises(TrackingError, match=r"SMIC_VIS: not the content .*--data"):
        register(world.client, grid.run_id, other)


class Drifting:
    """A method whose fits differ from one another, or from an earlier one."""

    fits = 0
    every = False

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def set_params(self, **_: Any) -> Drifting:
        return self

    def fit(self, X: Any, y: Any) -> Drifting:
        Drifting.fits += 1
        self.shift_ = Drifting.fits if Drifting.every else min(Drifting.fits, 3)
        return self

    def predict(self, X: Any) -> Any:
        return (np.arange(len(X)) + self.shift_) % 3


@pytest.mark.parametrize("every", [True, False])
def test_a_trial_that_is_not_reached_again_says_why(world: World, every: bool) -> None:
    Drifting.every, Drifting.fits = every, 0
    reason = "code or libraries have changed.*run the study again.*needs a random_state"
    record = world.study(f"{__name__}:Drifting", run={"restore": True})
    with pytest.raises(TrackingError, match=reason):
        register(world.client, record.run_id, world.pair)
    world.client.delete_run(record.run_id)


def test_registering_never_reopens_a_run(world: World, svm: StudyRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in the middle of it must not leave the study's best trial unfinished."""
    states = []
    trial = svm.table["run_id"][0]

    def save_and_look(*_: Any, **given: Any) -> None:
        states.append((world.client.get_run(trial).info.status, mlflow.active_run()))
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.pyfunc, "save_model", save_and_look)
    with pytest.raises(KeyboardInterrupt):
        register(world.client, svm.run_id, world.pair)
    assert states == [("FINISHED", None)]


def test_a_model_that_cannot_be_loaded_again_is_not_left_in_the_registry(
    world: World, svm: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = register(world.client, svm.run_id, world.pair).version

    def refuse(*_: Any, **given: Any) -> None:
        raise TrackingError("refused")

    monkeypatch.setattr("tgsr.models.registry.load_model", refuse)
    with pytest.raises(TrackingError, match="refused"):
        register(world.client, svm.run_id, world.pair)
    assert str(world.client.get_model_version_by_alias("tgsr-V-N-SVM", "champion").version) == before
    versions = world.client.search_model_versions("name = 'tgsr-V-N-SVM'")
    assert max(int(version.version) for version in versions) == int(before)


SAFE = {
    "sklearn.neural_network:MLPClassifier": {"max_iter": [20], "random_state": [0]},
    "sklearn.gaussian_process:GaussianProcessClassifier": {},
    "sklearn.svm:SVC": {"kernel": ["rbf"]},
    "sklearn.linear_model:LogisticRegression": {},
    "sklearn.naive_bayes:GaussianNB": {},
    "sklearn.discriminant_analysis:LinearDiscriminantAnalysis": {},
}
UNSAFE = {
    "sklearn.tree:DecisionTreeClassifier": {"random_state": [0]},
    "sklearn.ensemble:RandomForestClassifier": {"random_state": [0], "n_estimators": [3]},
    "sklearn.ensemble:HistGradientBoostingClassifier": {"random_state": [0], "max_iter": [2]},
    "sklearn.neighbors:KNeighborsClassifier": {},
}


@pytest.fixture(scope="module")
def small(world: World) -> DatabasePair:
    """A pair of few features, on which scikit-learn's methods are quick."""
    rng = np.random.default_rng(0)
    y = np.arange(18) % 3
    X = rng.random((18, 6)) + y[:, None]
    facts = {"groups": np.arange(6), "parameters": {"origin": "imported"}}
    pair = DatabasePair(*(FeatureDataset(name, X, y, ("a", "b", "c"), **facts) for name in ("mine", "yours")))
    for database in (pair.source, pair.target):
        save_features(database, Path(world.data) / f"{database.name}.tgsr.npz")
    return pair


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", SAFE)
def test_scikit_learns_plain_types_are_registered_and_loaded(world: World, small: DatabasePair, method: str) -> None:
    record = world.study(method, small, axes=SAFE[method])
    made = register(world.client, record.run_id, small)
    assert made.trusted == ()
    table = world.load(made.uri).predict(small.target.X)
    assert table["label"].tolist() == names_of(small, decode_predictions(record.table["predictions"][0]))


@pytest.mark.parametrize("method", UNSAFE)
def test_types_that_an_altered_file_could_misuse_need_trust_before_they_are_registered(
    world: World, small: DatabasePair, method: str
) -> None:
    record = world.study(method, small, axes=UNSAFE[method])
    name = f"tgsr-mine-yours-{method.rpartition(':')[2]}"
    with pytest.raises(TrackingError, match="add --trust") as refused:
        register(world.client, record.run_id, small)
    assert "\n" not in str(refused.value)
    assert not world.client.search_model_versions(f"name = '{name}'")
    options = re.findall(r"--trust (\S+)", str(refused.value))
    trust = [part for one in options for part in ("--trust", one)]
    arguments = ["--study", record.run_id, "--method", method, "--home", str(world.home), *trust]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert f"--trust {options[0]}" in done.output
    assert "TGSR_TRUST=" in done.output
    with pytest.raises(TrackingError, match="not trusted"):
        world.load(f"models:/{name}@champion")
    model = world.load(f"models:/{name}@champion", trusted=options)
    assert model.predict(small.target.X)["label"].tolist() == names_of(
        small, decode_predictions(record.table["predictions"][0])
    )


def test_groups_that_are_no_regions_are_not_called_so(world: World) -> None:
    record = world.study(grouping="released", axes={"kappa": [13], "xi": [0.1]})
    model = world.load(register(world.client, record.run_id, world.pair, alias="released").uri)
    table = model.predict(world.pair.target.X)
    assert len(table["groups"][0]) == 13
    assert "regions" not in table
    assert model.kept[0] == "groups"
    assert model.has_regions  # they can be drawn, as histograms by plane


def test_features_of_ones_own_and_a_target_without_labels(world: World) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 5)
    labels = np.arange(12) % 2
    X = rng.random((12, 20)) + labels[:, None]
    imported = {"origin": "imported"}
    source = FeatureDataset("his", X, labels, ("calm", "tense"), groups=groups, parameters=imported)
    pair = DatabasePair(source, FeatureDataset("hers", X + 0.1, None, ("calm", "tense"), groups=groups))
    record = world.study(pair=pair, axes={"kappa": [1, 2, 3, 4], "xi": [0.01, 0.1, 1.0, 10.0, 100.0]})
    made = register(world.client, record.run_id, pair)
    assert (made.name, "target without labels" in made.described) == ("tgsr-his-hers", True)
    model = world.load(made.uri)
    assert list(model.predict(X)) == ["label", "score_calm", "score_tense", "groups", "frequency"]
    with pytest.raises(DataError, match="give feature rows"):
        model.predict(np.full((20, 60, 60), 9.0))
    assert not model.has_regions


def test_any_class_names_are_stored_and_a_model_keeps_the_features_names(world: World) -> None:
    names, classes = np.array([f"f{n}" for n in range(20)]), ("a+b", "joy (posed)", "positive & surprise")
    labels = np.arange(12) % 3
    X = np.random.default_rng(0).random((12, 20)) + labels[:, None]
    known = {"class_names": classes, "groups": np.repeat(np.arange(4), 5), "feature_names": names}
    known |= {"parameters": {"origin": "imported"}}
    target = FeatureDataset("theirs", X + 0.1, labels, **known)
    pair = DatabasePair(FeatureDataset("ours", X, labels, **known), target)
    record = world.study(pair=pair, axes={"kappa": [2], "xi": [0.1]})
    made = register(world.client, record.run_id, pair)
    runs = world.client.search_runs([world.client.get_run(record.run_id).info.experiment_id])
    assert {f"recall_{store_name(name)}" for name in classes} <= {name for run in runs for name in run.data.metrics}
    model = world.load(made.uri)
    assert (model.header.class_names, model.header.feature_names) == (classes, tuple(names))
    permuted = pd.DataFrame(X[:, ::-1], columns=names[::-1])
    pd.testing.assert_frame_equal(model.predict(permuted), model.predict(X))


def test_weights_altered_in_the_registry_are_refused(world: World, svm: StudyRecord, tmp_path: Path) -> None:
    made = register(world.client, svm.run_id, world.pair)
    source = world.client.get_model_version(made.name, made.version).source
    folder = Path(source.removeprefix("file://")) / "data/model"
    shutil.copytree(folder, tmp_path / "kept")
    header = save_files(load_files(folder).estimator, replace(load_files(folder).header, facts={"a": "b"}), folder)
    assert load_files(folder).header == header  # whole in itself, but not what was registered
    with pytest.raises(TrackingError, match="not as it was registered"):
        world.load(made.uri)
    shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)
    (folder / ESTIMATOR).write_bytes(b"")
    for address in (f"models:/{made.name}/{made.version}", f"models:/{made.name}/latest"):
        with pytest.raises(TrackingError, match="its digest has changed"):
            world.load(address)
    shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)
    assert len(world.load(f"models:/{source.split('/')[-2]}").predict(world.pair.target.X)) == 12
    world.client.delete_model_version_tag(made.name, made.version, "tgsr.model_sha256")
    with pytest.raises(TrackingError, match="was not registered by"):
        world.load(made.uri)
    assert (folder / HEADER).is_file()
    register(world.client, svm.run_id, world.pair)


@pytest.mark.faults
def test_a_tracking_server_keeps_models_as_a_database_does(
    world: World, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(world.pair, axes={"kappa": [3, 10, 20, 40], "xi": [0.01, 1.0, 30.0, 200.0, 300.0]})
    config = resolve_config(tmp_path, tracking_uri=server)
    done = run_study(spec, world.pair, RunOptions(config, world.data, jobs=1, progress=False, page=False))
    made = register(open_client(server), done.record.run_id, world.pair)
    assert made.run_id == done.record.run_id
    labels = load_model(made.uri, tracking_uri=server).predict(world.pair.target.X)["label"].tolist()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert tgsr.load_model(made.uri).predict(world.pair.target.X)["label"].tolist() == labels


def test_a_model_that_is_not_there_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="tgsr-C-V"):
        world.load("models:/tgsr-C-V@champion")
    with pytest.raises(MissingDataError, match="no such model folder"):
        tgsr.load_model(tmp_path / "none")
    with pytest.raises(MissingDataError, match="is not there"):
        load_model("models:/tgsr-C-V@champion", tracking_uri=f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
