"""A registered trial answers as it did in its study, says what it is, and gives way to no oracle by accident."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner

import tgsr
from tests.tracking.fake_study import write_study
from tgsr.cli.register import command
from tgsr.datasets import DatabasePair, FeatureDataset, save_features
from tgsr.errors import DataError, MissingDataError, ParameterError, TrackingError
from tgsr.estimators.methods import METHODS, get_method
from tgsr.tracking.client import open_client
from tgsr.models.registered import ESTIMATOR, HEADER, Header, load_files, save_files
from tgsr.tracking.names import Tag
from tgsr.models.registry import register, register_study

TGSR = ({"kappa": 5, "xi": 0.1}, {"kappa": 40, "xi": 10.0})


@dataclass
class World:
    home: Path
    pair: DatabasePair
    client: Any
    tgsr: str
    oracle: str
    svm: str
    released: str

    @property
    def data(self) -> str:
        return str(self.home / "features")


@pytest.fixture(scope="module")
def world(pair_factory: Callable[..., DatabasePair], tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("registry")
    pair = pair_factory(n_source=15, n_target=12)
    parameters = {"origin": "generated", "size": 96, "n_frames": 24}
    labels = np.random.default_rng(3).permutation(pair.target.labels)  # scores that are not all 1
    pair = DatabasePair(replace(pair.source, parameters=parameters), replace(pair.target, labels=labels))
    for database in (pair.source, pair.target):
        save_features(database, home / "features" / f"{database.name}.tgsr.npz")
    client = open_client(f"sqlite:///{home / 'mlflow.db'}")
    data = str(home / "features")
    return World(
        home,
        pair,
        client,
        tgsr=write_study(client, pair, TGSR, data=data),
        oracle=write_study(client, pair, TGSR, data=data, selection="oracle"),
        svm=write_study(client, pair, [{"C": 1.0}], method="SVM", data=data),
        released=write_study(client, pair, [{"kappa": 13, "xi": 0.1}], fixed={"groups": "released"}),
    )


def test_a_registered_trial_predicts_as_it_did(world: World) -> None:
    registered = register(world.client, world.tgsr, world.pair)
    trial = world.client.get_run(registered.run_id)
    kappa, xi = int(trial.data.params["kappa"]), float(trial.data.params["xi"])
    fitted = METHODS["TGSR"].make(kappa=kappa, xi=xi, groups="region")
    fitted.fit(world.pair.source.X, world.pair.source.labels, X_target=world.pair.target.X)
    table = tgsr.load_model(registered.uri).predict(world.pair.target.X)
    names = np.array(world.pair.class_names)
    assert table["label"].tolist() == names[fitted.predict(world.pair.target.X)].tolist()
    scores = table[[f"score_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(scores, fitted.predict_proba(world.pair.target.X), atol=1e-9)
    assert sorted(table["regions"][0]) == fitted.selected_regions_.tolist()
    assert fitted.region_norms_[table["regions"][0]].tolist() == sorted(fitted.region_norms_[table["regions"][0]])[::-1]
    assert trial.info.status == "FINISHED"
    version = world.client.get_model_version("tgsr-V-N", registered.version)
    assert version.source.rpartition("/")[2] in [output.model_id for output in trial.outputs.model_outputs]


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


def test_a_consensus_says_how_often_its_models_keep_each_region(pair_factory: Any, tmp_path: Path) -> None:
    pair = pair_factory(n_source=15, n_target=12)
    estimator = get_method("TGSR-average").make(kappas=[3, 10], xis=[0.1, 1.0], groups="region")
    estimator.fit(pair.source.X, pair.source.labels, X_target=pair.target.X)
    norms = tuple(estimator.region_norms_.tolist())
    save_files(estimator, Header(pair.class_names, pair.source.X.shape[1], "region", norms), tmp_path)
    first = load_files(tmp_path).predict(pair.target.X).iloc[0]
    assert first["frequency"] == estimator.inclusion_frequency_[first["regions"]].tolist()
    assert set(first["frequency"]) <= {0.25, 0.5, 0.75, 1.0}
    assert max(first["frequency"]) == 1.0


def test_what_is_registered_and_replaced_is_said_and_tagged(world: World) -> None:
    first = register(world.client, world.svm, world.pair)
    assert (first.name, first.alias, first.replaced) == ("tgsr-V-N-SVM", "champion", "")
    second = register(world.client, world.svm, world.pair)
    for part in ("SVM for V-N", "C 1", "chosen by source-cv", "macro-F1", "accuracy"):
        assert part in second.described
    assert second.replaced.startswith(f"version {first.version} (SVM for V-N")
    version = world.client.get_model_version_by_alias("tgsr-V-N-SVM", "champion")
    assert str(version.version) == second.version
    expected = {
        Tag.METHOD: "SVM",
        Tag.SELECTION: "source-cv",
        Tag.SETTINGS: "C 1",
        Tag.SOURCE_DIGEST: world.pair.source.digest,
        Tag.GENERATED: "true",
        "tgsr.study_run": world.svm,
        "tgsr.trial_run": second.run_id,
        "tgsr.replaces": f"version {first.version}",
    }
    assert {key: version.tags[key] for key in expected} == expected
    assert "Generated data" in version.description
    table = tgsr.load_model(second.uri).predict(world.pair.target.X)
    assert list(table) == ["label", "score_negative", "score_positive", "score_surprise"]


def test_the_command_says_it_and_takes_its_options_as_values(world: World) -> None:
    arguments = ["--study", world.svm, "--home", str(world.home), "--alias", "other", "--allow-oracle", "false"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "is the other: models:/tgsr-V-N-SVM@other\nit is SVM for V-N; C 1; chosen by source-cv" in done.output
    again = CliRunner().invoke(command, arguments)
    assert "it replaces version" in again.output


def test_an_oracle_replaces_a_label_free_champion_only_when_asked(world: World) -> None:
    honest = register(world.client, world.tgsr, world.pair)
    with pytest.raises(TrackingError, match="--alias oracle, or replace the other with --allow-oracle"):
        register(world.client, world.oracle, world.pair)
    assert str(world.client.get_model_version_by_alias("tgsr-V-N", "champion").version) == honest.version
    aside = register(world.client, world.oracle, world.pair, alias="oracle")
    assert aside.uri == "models:/tgsr-V-N@oracle"
    assert "chosen by the target's labels (oracle)" in aside.described
    assert str(world.client.get_model_version_by_alias("tgsr-V-N", "champion").version) == honest.version
    asked = register(world.client, world.oracle, world.pair, allow_oracle=True)
    assert "chosen by source-cv" in asked.replaced
    register(world.client, world.oracle, world.pair)  # an oracle may follow an oracle
    assert "oracle" in register(world.client, world.tgsr, world.pair).replaced


def test_of_several_studies_it_says_which_it_takes_and_why(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tgsr"):
        taken = register_study(world.client, experiment="V-N", data=world.data)
    assert "3 studies match" in caplog.text
    assert "those without target labels" in caplog.text
    newest = world.client.get_model_version("tgsr-V-N", taken.version).tags["tgsr.study_run"]
    assert newest == world.released
    oracle = register_study(world.client, method="tgsr", alias="oracle")
    assert world.client.get_model_version("tgsr-V-N", oracle.version).tags["tgsr.study_run"] == world.oracle


def test_the_study_remembers_where_its_data_are(world: World, tmp_path: Path) -> None:
    assert register_study(world.client, study=world.svm).name == "tgsr-V-N-SVM"
    with pytest.raises(ParameterError, match="--data"):
        register_study(world.client, study=world.released)
    study = world.client.get_run(world.svm).data.tags[Tag.DATA_FOLDER]
    try:
        world.client.set_tag(world.svm, Tag.DATA_FOLDER, str(tmp_path / "gone"))
        with pytest.raises(MissingDataError, match=r"no longer in .*gone.*--data"):
            register_study(world.client, study=world.svm)
        assert register_study(world.client, study=world.svm, data=world.data).name == "tgsr-V-N-SVM"
    finally:
        world.client.set_tag(world.svm, Tag.DATA_FOLDER, study)


def test_study_trial_pair_and_data_must_belong_together(world: World) -> None:
    with pytest.raises(ParameterError, match="no study of C-V"):
        register_study(world.client, study=world.tgsr, experiment="C-V")
    with pytest.raises(TrackingError, match="no trial of"):
        register(world.client, world.tgsr, world.pair, trial_run_id=world.svm)
    with pytest.raises(TrackingError, match="no study"):
        register(world.client, register(world.client, world.svm, world.pair).run_id, world.pair)
    with pytest.raises(MissingDataError, match="0123"):
        register_study(world.client, study="0123")
    with pytest.raises(MissingDataError, match="C-V"):
        register_study(world.client, experiment="C-V")
    other = DatabasePair(replace(world.pair.source, features=world.pair.source.features[::-1]), world.pair.target)
    with pytest.raises(TrackingError, match=r"SMIC_VIS: not the content .*--data"):
        register(world.client, world.tgsr, other)


def test_a_trial_that_is_not_reached_again_is_not_registered(world: World) -> None:
    study = write_study(world.client, world.pair, [{"C": 1.0}], method="SVM", data=world.data)
    trial = world.client.get_run(study).data.tags[Tag.BEST_RUN]
    recorded = world.client.get_run(trial).data.tags[Tag.PREDICTIONS]
    world.client.set_tag(trial, Tag.PREDICTIONS, ("1" if recorded[0] == "0" else "0") + recorded[1:])
    with pytest.raises(TrackingError, match="run the study again"):
        register(world.client, study, world.pair)
    world.client.delete_run(study)


def test_registering_never_reopens_the_trial(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in the middle of it must not leave the study's best trial unfinished."""
    states = []
    trial = world.client.get_run(world.tgsr).data.tags[Tag.BEST_RUN]

    def log_and_look(**given: Any) -> None:
        states.append((world.client.get_run(trial).info.status, mlflow.active_run()))
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.pyfunc, "log_model", log_and_look)
    with pytest.raises(KeyboardInterrupt):
        register(world.client, world.tgsr, world.pair)
    assert states == [("FINISHED", None)]


def test_groups_that_are_no_regions_are_not_called_so(world: World) -> None:
    model = tgsr.load_model(register(world.client, world.released, world.pair, alias="released").uri)
    table = model.predict(world.pair.target.X)
    assert len(table["groups"][0]) == 13
    assert "regions" not in table
    assert model.header.kept[0] == "groups"
    assert model.header.regions_known  # they can be drawn, as histograms by plane


def test_features_of_ones_own_and_a_target_without_labels(world: World) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 5)
    labels = np.arange(12) % 2
    X = rng.random((12, 20)) + labels[:, None]
    imported = {"origin": "imported"}
    source = FeatureDataset("mine", X, labels, ("calm", "tense"), groups=groups, parameters=imported)
    pair = DatabasePair(source, FeatureDataset("yours", X + 0.1, None, ("calm", "tense"), groups=groups))
    study = write_study(world.client, pair, [{"kappa": 2, "xi": 0.1}], fixed={"groups": "own"})
    registered = register(world.client, study, pair)
    assert (registered.name, "target without labels" in registered.described) == ("tgsr-mine-yours", True)
    model = tgsr.load_model(registered.uri)
    assert list(model.predict(X)) == ["label", "score_calm", "score_tense", "groups"]
    with pytest.raises(DataError, match="give feature rows"):
        model.predict(np.full((20, 60, 60), 9.0))
    assert not model.header.regions_known


def test_weights_altered_in_the_registry_are_refused(world: World, tmp_path: Path) -> None:
    registered = register(world.client, world.svm, world.pair)
    [folder] = [path.parent for path in (world.home / "mlruns").rglob(HEADER) if _is_version(path, world, registered)]
    shutil.copytree(folder, tmp_path / "kept")
    header = save_files(load_files(folder).estimator, replace(load_files(folder).header, facts={"a": "b"}), folder)
    assert load_files(folder).header == header  # whole in itself, but not what was registered
    with pytest.raises(TrackingError, match="not as it was registered"):
        tgsr.load_model(registered.uri)
    shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)
    (folder / ESTIMATOR).write_bytes(b"")
    with pytest.raises(TrackingError, match="its digest has changed"):
        tgsr.load_model(f"models:/{registered.name}/{registered.version}")
    shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)
    world.client.delete_model_version_tag(registered.name, registered.version, "tgsr.model_sha256")
    with pytest.raises(TrackingError, match="was not registered by"):
        tgsr.load_model(registered.uri)
    register(world.client, world.svm, world.pair)


def _is_version(path: Path, world: World, registered: Any) -> bool:
    version = world.client.get_model_version(registered.name, registered.version)
    return str(version.source).rpartition("/")[2] in str(path)


def test_a_model_that_is_not_there_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="tgsr-C-V"):
        tgsr.load_model("models:/tgsr-C-V@champion")
    with pytest.raises(MissingDataError, match="no such model folder"):
        tgsr.load_model(tmp_path / "none")
