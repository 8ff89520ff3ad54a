"""The composite protocol on three generated databases, and features of one's own with groups of unequal size."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, f1_score, recall_score

from tests.conftest import generated_database
from tgsr.cli import cli
from tgsr.datasets import load_pair, pool, save_features
from tgsr.errors import DataError, MissingDataError
from tgsr.estimators import get_method
from tgsr.study import ComparePlan, compare_methods, run_composite, run_study
from tgsr.study.pairs import choose_pairs
from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies, read_artifact
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.folds import FoldFitter

OURS = "TGSR (region)"
NAMES = ("SMIC_HS", "CASME2", "SAMM")


@pytest.fixture(scope="module")
def databases():
    return [generated_database(name, 12, seed) for seed, name in enumerate(NAMES)]


@pytest.fixture
def fitted(monkeypatch):
    """Numbers of the trials that are fitted."""
    found, fit = [], FoldFitter.fit

    def counting(self, task, keep_matrices=False):
        found.extend(number for number, _ in task)
        return fit(self, task, keep_matrices)

    monkeypatch.setattr(FoldFitter, "fit", counting)
    return found


def test_uf1_and_uar_are_scikit_learns_over_the_pooled_predictions(databases, make_options):
    table, predictions = run_composite(databases, ["TGSR", "SVM"], make_options(jobs=2))
    assert len(predictions) == 36
    assert predictions["subject"].nunique() == 6
    rows = table.set_index(["method", "part"])
    for method in (OURS, "SVM"):
        for part in ("all", *NAMES):
            inside = predictions if part == "all" else predictions[predictions["database"] == part]
            true, predicted = inside["true"], inside[method]
            assert rows["uf1"][method, part] == pytest.approx(f1_score(true, predicted, average="macro"))
            assert rows["uar"][method, part] == pytest.approx(recall_score(true, predicted, average="macro"))
            assert rows["accuracy"][method, part] == pytest.approx(accuracy_score(true, predicted))
            assert rows["samples"][method, part] == len(inside)


@pytest.mark.parametrize("method", ["SVM", "TGSR"])
def test_each_subject_is_predicted_by_a_model_of_all_others(databases, make_options, method):
    _, predictions = run_composite(databases, [method], make_options())
    data = pool(databases)
    subjects = np.asarray(data.subjects)
    for subject in np.unique(subjects):
        left_out = subjects == subject
        model = get_method(method).make(**get_method(method).defaults)
        model.fit(data.X[~left_out], data.labels[~left_out], X_target=data.X[left_out])
        expected = [data.class_names[code] for code in model.predict(data.X[left_out])]
        assert predictions[OURS if method == "TGSR" else method][left_out].tolist() == expected


def test_it_is_tracked_as_a_run_with_a_study_for_each_method_whose_trials_are_the_subjects(databases, make_options):
    options = make_options()
    table, predictions = run_composite(databases, ["TGSR", "SVM"], options)
    client = open_client(options.config.tracking_uri)
    (experiment,) = (one for one in client.search_experiments() if one.name == "tgsr/protocol")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    studies = list_studies(client)
    assert {study.method for study in studies} == {"TGSR", "SVM"}
    for study in studies:
        assert study.tags["mlflow.parentRunId"] == run.info.run_id
        assert study.status == "FINISHED"
        assert {json.loads(text)["subject"] for text in study.table["settings"]} == set(predictions["subject"])
        row = table[(table["method"] == study.spec.variant) & (table["part"] == "all")].iloc[0]
        assert run.data.metrics[f"uf1.{study.method}"] == row["uf1"]
        assert run.data.metrics[f"uar.{study.method}"] == row["uar"]
    for name, shown, column in (("composite.csv", table, "uf1"), ("predictions.csv", predictions, OURS)):
        stored = pd.read_csv(io.BytesIO(read_artifact(client, run.info.run_id, name)))
        assert stored[column].tolist() == shown[column].tolist()


def test_interrupted_it_goes_on_and_run_again_it_fits_nothing(databases, make_options, monkeypatch, fitted):
    whole = run_composite(databases, ["TGSR", "SVM"], make_options("whole"))
    options, write = make_options(), StudyStore.write

    def stopping(self, trials):
        write(self, trials)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tgsr.study.running._BATCH", 1)
        patch.setattr(StudyStore, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            run_composite(databases, ["TGSR", "SVM"], options)
    there = sum(len(study.table) for study in list_studies(open_client(options.config.tracking_uri)))
    assert 0 < there < 12
    for lacking in (12 - there, 0):
        fitted.clear()
        found = run_composite(databases, ["TGSR", "SVM"], options)
        assert len(fitted) == lacking
        for one, other in zip(found, whole, strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_settings_in_place_of_the_defaults_go_to_the_methods_that_have_them(databases, make_options):
    table, _ = run_composite(databases, ["TGSR", "SVM"], make_options(), fixed={"kappa": 5, "xi": 0.5})
    params = table[table["part"] == "all"].set_index("method")["params"].map(json.loads)
    assert (params[OURS]["kappa"], params[OURS]["xi"]) == (5, 0.5)
    assert "kappa" not in params["SVM"]


def test_fits_that_did_not_converge_are_counted(databases, make_options, monkeypatch):
    monkeypatch.setattr("tgsr.estimators._kernel_svm._MAX_ITER", 1)
    table, _ = run_composite(databases, ["SVM"], make_options())
    remarks = table.set_index("part")["remark"]
    assert remarks["all"].endswith("6 of 6 trials did not converge")
    assert not remarks[list(NAMES)].str.contains("converge").any()


def test_without_subjects_nobody_can_be_left_out(databases, make_options):
    with pytest.raises(DataError, match="subjects are not known"):
        run_composite([replace(databases[0], subjects=None)], ["SVM"], make_options())


def test_the_command_writes_scores_and_predictions(databases, tmp_path, make_options):
    for data in databases:
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    out = tmp_path / "scores.csv"
    command = ["protocol", "--data", str(tmp_path), "--methods", "SVM", "--out", str(out), "--quiet"]
    home = ["--home", str(make_options().config.home), "--jobs", "1"]
    result = CliRunner().invoke(cli, [*command, *home, "--predictions", str(tmp_path / "p.csv")])
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(out)["part"]) == {"all", *NAMES}
    assert len(pd.read_csv(tmp_path / "p.csv")) == 36


def test_each_database_is_left_out_of_the_union_of_the_others(databases, tmp_path):
    for data in databases:
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    pairs = choose_pairs(tmp_path, None, None, None, "leave-one-out")
    assert [(len(pair.source), pair.target.name) for pair in pairs] == [(24, "CASME2"), (24, "SAMM"), (24, "SMIC_HS")]
    (tmp_path / "SAMM.tgsr.npz").unlink()
    with pytest.raises(MissingDataError, match="three are needed"):
        choose_pairs(tmp_path, None, None, None, "leave-one-out")


def test_imported_features_with_forty_unequal_groups_are_studied_and_compared(make_spec, make_options, tmp_path):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    signal = rng.standard_normal((3, len(groups))) * (groups < 5)
    for name, n, shift in (("mine", 30, 0.0), ("theirs", 24, 0.3)):
        labels = np.arange(n) % 3
        X = signal[labels] + 0.5 * rng.standard_normal((n, len(groups))) + shift
        names = np.array(["negative", "positive", "surprise"])[labels]
        np.savez(
            tmp_path / f"{name}.npz",
            features=X,
            labels=names,
            groups=groups,
            subjects=[f"s{i % 5}" for i in range(n)],
        )
        out = tmp_path / f"{name}.tgsr.npz"
        command = ["features", "--database", name, "--import", str(tmp_path / f"{name}.npz"), "--out", str(out)]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        (tmp_path / f"{name}.npz").unlink()
    pair = load_pair("mine", "theirs", tmp_path)
    assert (pair.name, pair.n_groups) == ("mine-theirs", 40)
    spec = make_spec(pair, axes={"xi": [0.1, 1.0]})
    assert len(spec.cells()) == 80
    table = run_study(spec, pair, make_options()).table
    assert (table["metrics.regions_kept"] <= table["params.kappa"]).all()
    plan = ComparePlan(
        methods=("TGSR", "SVM", "sklearn.neighbors:NearestCentroid"),
        grouping="region",
        axes={"kappa": [5], "xi": [0.1]},
    )
    rows = compare_methods([pair], plan, make_options())
    assert set(rows["method"].str.split(" ").str[0]) == {"TGSR", "SVM", "sklearn.neighbors:NearestCentroid"}
    assert rows[rows["choice"] == "oracle"]["macro_f1"].min() > 0.8
    fixed = rows[(rows["choice"] == "fixed") & rows["method"].str.startswith("TGSR")]
    assert json.loads(fixed["params"].iloc[0])["kappa"] == 40
