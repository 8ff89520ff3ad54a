"""A study in MLflow: every cell one whole run, going on where it stopped, one coordinator at a time."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import evaluate
from tgsr.evaluation.rules import ALWAYS
from tgsr.study.running import run_studies, run_study
from tgsr.study.status import status_lines
from tgsr.tracking.client import open_client
from tgsr.tracking.lock import LockedError
from tgsr.tracking.records import list_studies, read_artifact, read_study
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.fitter import Fitter
from tgsr.trials.trial import decode_predictions

TIMING = ["metrics.fit_seconds", "run_id", "cell"]


def _same(table, other):
    left, right = (part.drop(columns=[name for name in TIMING if name in part]) for part in (table, other))
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def _client(options):
    return open_client(options.config.tracking_uri)


def _stop_after(monkeypatch, n_writes):
    """Interrupt a study after so many writes, each of one task."""
    monkeypatch.setattr("tgsr.study.running._BATCH", 1)
    write, calls = StudyStore.write, []

    def stopping(self, trials):
        write(self, trials)
        calls.append(len(trials))
        if len(calls) == n_writes:
            raise KeyboardInterrupt

    monkeypatch.setattr(StudyStore, "write", stopping)


@pytest.fixture
def by_client(monkeypatch):
    """Let trials be written by MLflow's public client, as on a tracking server."""

    def use():
        def refuse(*_):
            raise TrackingError("not here")

        monkeypatch.setattr("tgsr.tracking.study_store.BulkWriter", refuse)

    return use


def test_every_cell_of_the_grid_is_one_run_with_the_estimators_scores_and_the_values_of_rules(
    make_spec, make_options, small_pair
):
    options = make_options()
    study = run_study(make_spec(), small_pair, options)
    assert study.table["number"].tolist() == list(range(12))
    client = _client(options)
    for row in study.table.iloc[[0, 5, 11]].to_dict("records"):
        fitted = evaluate(TGSRClassifier(**json.loads(row["settings"])), small_pair)
        assert row["metrics.macro_f1"] == fitted.scores.macro_f1
        assert row["metrics.iterations"] == fitted.estimator.n_iter_
        assert decode_predictions(row["predictions"]).tolist() == fitted.predictions.tolist()
        run = client.get_run(row["run_id"])
        assert run.data.params["grouping"] == "region"
        assert run.data.params["kappa"] == str(row["params.kappa"])
        assert run.data.tags["tgsr.method"] == "TGSR"
        assert {f"rules.{name}" for name in ALWAYS} <= set(run.data.metrics)
        assert run.data.metrics["rules.circular"] == row["rules.circular"]
        assert len(run.data.metrics) <= 30
        np.testing.assert_allclose(study.record.coefficients(row["run_id"]), fitted.estimator.coef_.T, atol=1e-9)
    assert np.isfinite(study.table[[f"rules.{name}" for name in ALWAYS]]).all().all()


def test_the_studys_run_carries_what_each_rule_chooses_the_table_and_the_inputs(make_spec, make_options, small_pair):
    options = make_options()
    study = run_study(make_spec(), small_pair, options)
    (record,) = list_studies(_client(options))
    run = _client(options).get_run(record.run_id)
    assert (record.run_id, record.status, record.default_choice) == (study.record.run_id, "FINISHED", "circular")
    _same(record.table, study.table)
    assert record.rules == sorted(ALWAYS)
    choices = pd.read_csv(record_file(options, record, "choices.csv")).set_index("choice")
    assert set(choices.index) == {"oracle", *ALWAYS}
    for by in choices.index:
        choice = study.choose(by)
        assert choices["number"][by] == choice.row["number"]
        assert choices["ties"][by] == choice.n_ties
        assert choices["macro_f1"][by] == pytest.approx(choice.metrics["macro_f1"])
        assert run.data.metrics[f"macro_f1.{by}"] == pytest.approx(choice.metrics["macro_f1"])
        assert by in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["macro_f1"] == study.choose().metrics["macro_f1"]
    assert run.data.metrics["macro_f1.oracle"] == study.table["metrics.macro_f1"].max()
    assert run.data.metrics["macro_f1.median"] == study.table["metrics.macro_f1"].median()
    inputs = run.inputs.dataset_inputs
    assert [entry.dataset.name for entry in inputs] == ["SMIC_VIS (generated)", "SMIC_NIR (generated)"]
    names, labels = record.classes
    assert names == small_pair.class_names
    assert labels.tolist() == small_pair.target.labels.tolist()


def record_file(options, record, name):
    path = options.config.home / name
    path.write_bytes(read_artifact(_client(options), record.run_id, name))
    return path


def test_of_equal_trials_the_first_of_the_grid_is_best(make_spec, make_options, small_pair):
    study = run_study(make_spec(), small_pair, make_options())
    for by in ("oracle", "circular"):
        choice = study.choose(by)
        column = study.table["metrics.macro_f1" if by == "oracle" else "rules.circular"]
        top = study.table[column == column.max()]
        assert tuple(choice.settings.values()) == min(zip(top["params.kappa"], top["params.xi"], strict=True))
        assert choice.n_ties == len(top)


def test_run_again_a_finished_study_adds_and_fits_nothing(make_spec, make_options, small_pair, monkeypatch):
    options = make_options()
    first = run_study(make_spec(), small_pair, options)
    before = _client(options).get_run(first.record.run_id).to_dictionary()
    for name in ("write", "add_values", "finish"):
        monkeypatch.setattr(StudyStore, name, None if name == "write" else lambda *_, **__: pytest.fail("written"))
    monkeypatch.setattr(Fitter, "__init__", lambda *_: pytest.fail("prepared"))
    second = run_study(make_spec(), small_pair, options)
    assert _client(options).get_run(second.record.run_id).to_dictionary() == before
    _same(second.table, first.table)


@pytest.mark.parametrize(
    ("changes", "n_trials", "writer"),
    [
        ({}, None, "bulk"),
        ({}, None, "client"),
        ({"sampler": "tpe"}, 20, "bulk"),
        pytest.param({"sampler": "random", "objective": "source-cv"}, 12, "bulk", marks=pytest.mark.faults),
        pytest.param({"method": "IW-SVM"}, 40, "client", marks=pytest.mark.faults),
    ],
)
def test_an_interrupted_study_ends_like_an_undisturbed_one(
    make_spec, make_options, small_pair, monkeypatch, by_client, changes, n_trials, writer
):
    spec = make_spec(**changes)
    whole = run_study(spec, small_pair, make_options("whole", n_trials=n_trials))
    options = make_options("stopped", n_trials=n_trials)
    if writer == "client":
        by_client()
    with monkeypatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, small_pair, options)
    client = _client(options)
    assert [record.status for record in list_studies(client)] == ["KILLED"]
    study = run_study(spec, small_pair, options)
    _same(study.table, whole.table)
    assert [record.status for record in list_studies(client)] == ["FINISHED"]
    if "kappa" in study.choose().settings:
        matrices = [
            read_artifact(_client(make_options(home)), done.choose().row["run_id"], "coefficients.npy")
            for home, done in (("whole", whole), ("stopped", study))
        ]
        assert matrices[0] == matrices[1]


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_deleted_runs_stay_deleted_until_they_are_asked_for(make_spec, make_options, small_pair, by_client, writer):
    if writer == "client":
        by_client()
    options = make_options()
    study = run_study(make_spec(), small_pair, options)
    client = _client(options)
    best = study.choose("oracle").row
    client.delete_run(best["run_id"])
    # the page that was stored still names it; whoever reads the study does not
    stored = read_study(client, study.record.run_id)
    assert best["number"] not in stored.table["number"].tolist()
    assert stored.choose("oracle").row["number"] != best["number"]
    again = run_study(make_spec(), small_pair, options)
    assert again.table["number"].tolist() == [number for number in range(12) if number != best["number"]]
    assert again.choose("oracle").row["run_id"] != best["run_id"]
    restored = run_study(make_spec(), small_pair, make_options(restore=True))
    _same(restored.table, study.table)
    assert restored.choose("oracle").row["run_id"] == best["run_id"]


def test_a_trial_that_has_lost_its_matrix_is_run_again(make_spec, make_options, small_pair, tmp_path):
    options = make_options()
    study = run_study(make_spec(), small_pair, options)
    path = next(tmp_path.glob(f"home/mlruns/**/{study.table['run_id'][5]}/artifacts/coefficients.npy"))
    content = path.read_bytes()
    path.unlink()
    again = run_study(make_spec(), small_pair, options)
    _same(again.table, study.table)
    found = list(tmp_path.glob(f"home/mlruns/**/{again.table['run_id'][5]}/artifacts/coefficients.npy"))
    assert [entry.read_bytes() for entry in found] == [content]


def test_a_second_coordinator_is_refused_and_told_who_works(make_spec, make_options, small_pair):
    options = make_options()
    first = StudyStore(make_spec(), small_pair, options.config, data_folder="")
    try:
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            run_study(make_spec(), small_pair, options)
        assert any("at work" in line for line in status_lines(options.config))
        assert len(run_study(make_spec(method="SVM"), small_pair, options).table) == 1, "another study is free"
    finally:
        first.abort(KeyboardInterrupt())
    run_study(make_spec(), small_pair, options)
    assert any("finished, 12 trials" in line for line in status_lines(options.config))


def test_matrices_can_be_left_out(make_spec, make_options, small_pair):
    options = make_options(matrices="none")
    study = run_study(make_spec(), small_pair, options)
    assert list(options.config.home.glob("mlruns/**/coefficients.npy")) == []
    assert len(list(options.config.home.glob("mlruns/**/regions.json"))) == 12
    assert study.record.coefficients(study.choose().row["run_id"]) is None


def test_threads_do_not_change_a_byte_of_any_matrix_or_a_value(make_spec, make_options, small_pair):
    matrices, tables = [], []
    for jobs in (1, 2):
        options = make_options(f"jobs-{jobs}", jobs=jobs)
        study = run_study(make_spec(), small_pair, options)
        client, runs = _client(options), study.table["run_id"]
        matrices.append([read_artifact(client, run_id, "coefficients.npy") for run_id in runs])
        tables.append(study.table)
    assert len(matrices[0]) == 12
    assert matrices[0] == matrices[1]
    _same(*tables)


def test_a_target_without_labels_is_chosen_on_by_rules_only(make_spec, make_options, small_pair):
    pair = DatabasePair(small_pair.source, replace(small_pair.target, labels=None))
    options = make_options()
    study = run_study(make_spec(pair), pair, options)
    assert not study.record.is_scored
    assert study.best_value == study.table["rules.circular"].max()
    assert study.record.classes[1] is None
    for change in ({"choose": "oracle"}, {"choose": "Oracle"}):
        with pytest.raises(ParameterError, match="labels"):
            run_study(make_spec(pair), pair, make_options(**change))
    with pytest.raises(ParameterError, match="labels"):
        run_study(make_spec(pair, sampler="tpe", objective="oracle"), pair, make_options("sampled", n_trials=8))


def test_other_data_than_the_studys_are_refused_and_nothing_is_locked(
    make_spec, make_options, small_pair, pair_factory
):
    other = pair_factory(n_source=15, n_target=12, seed=9)
    options = make_options()
    with pytest.raises(TrackingError, match="not the content that"):
        run_study(make_spec(), other, options)
    assert len(run_study(make_spec(), small_pair, options).table) == 12


def test_several_studies_run_on_one_executor(make_spec, make_options, small_pair):
    specs = [make_spec(), make_spec(method="TCA"), make_spec(method="SVM", sampler="fixed")]
    options = make_options(jobs=2)
    records = run_studies([(spec, small_pair, options) for spec in specs])
    assert [record.method for record in records] == ["TGSR", "TCA", "SVM"]
    assert [len(record.table) for record in records] == [12, 26, 1]
    assert records[1].choose().settings.keys() == {"n_components"}
    assert run_studies([]) == []


def test_a_thinned_grid_is_a_part_that_later_grows(make_spec, make_options, small_pair):
    spec = make_spec()
    five = run_study(spec, small_pair, make_options(n_trials=5))
    assert five.table["number"].tolist() == [number for number, _ in spec.cells(5)]
    assert five.record.coverage == "5 of 23,035 cells"
    whole = run_study(spec, small_pair, make_options())
    assert whole.record.run_id == five.record.run_id
    assert set(five.table["run_id"]) < set(whole.table["run_id"])
    undisturbed = run_study(spec, small_pair, make_options("undisturbed"))
    _same(whole.table, undisturbed.table)  # the vote, too, is of all trials now


def test_the_callers_mlflow_and_environment_stay_as_they_are(make_spec, make_options, small_pair, tmp_path):
    import mlflow

    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    mlflow.set_tracking_uri(elsewhere)
    try:
        environment, folder = dict(os.environ), Path.cwd()
        run_study(make_spec(method="SVM"), small_pair, make_options())
        assert mlflow.get_tracking_uri() == elsewhere
        assert mlflow.active_run() is None
        assert (dict(os.environ), Path.cwd()) == (environment, folder)
    finally:
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_run_id_left_in_the_environment_is_told_and_left_aside(
    make_spec, make_options, small_pair, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    options = make_options()
    study = run_study(make_spec(method="SVM"), small_pair, options)
    assert "MLFLOW_RUN_ID=00000000000000000000000000000000 is no run of this tracking store" in caplog.text
    assert study.record.status == "FINISHED"
    # a study's own run, which an earlier command left there, is not taken for that of `mlflow run` either
    monkeypatch.setenv("MLFLOW_RUN_ID", study.record.run_id)
    other = run_study(make_spec(method="GFK"), small_pair, options)
    assert other.record.run_id != study.record.run_id
    assert "mlflow.parentRunId" not in other.record.tags


def test_studies_that_mlflow_run_starts_are_children_of_its_run(make_spec, make_options, small_pair, monkeypatch):
    options = make_options()
    client = _client(options)
    run = client.create_run("0")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    study = run_study(make_spec(method="SVM"), small_pair, options)
    assert study.record.tags["mlflow.parentRunId"] == run.info.run_id
    assert client.get_run(run.info.run_id).info.status == "RUNNING", "its end is MLflow's business"


def test_other_code_than_the_trials_is_named_and_they_are_kept(
    make_spec, make_options, small_pair, monkeypatch, caplog
):
    options = make_options()
    first = run_study(make_spec(method="SVM"), small_pair, options)
    monkeypatch.setattr("tgsr.tracking.study_store.code_digest", lambda *_: "f" * 64)
    again = run_study(make_spec(method="SVM"), small_pair, options)
    assert "computed by other code" in caplog.text
    assert first.record.run_id in caplog.text
    _same(again.table, first.table)


@pytest.mark.released
@pytest.mark.parametrize(
    ("names", "kappas", "xis", "cell", "macro_f1", "accuracy"),
    [
        (("V", "N"), [11, 12, 13], [42.0, 44.0, 46.0], (12, 44.0), 0.6984, 70.42),
        (("N", "V"), [11, 12, 13], [260.0, 280.0, 300.0], (12, 280.0), 0.8403, 84.51),
    ],
)
def test_the_oracle_ends_at_the_papers_cell(
    released, make_spec, make_options, names, kappas, xis, cell, macro_f1, accuracy
):
    from tgsr.datasets import load_pair

    pair = load_pair(*names, released)
    spec = make_spec(pair, grouping="released", axes={"kappa": kappas, "xi": xis})
    best = run_study(spec, pair, make_options()).choose("oracle")
    assert (best.settings["kappa"], best.settings["xi"]) == cell
    assert round(best.metrics["macro_f1"], 4) == macro_f1
    assert round(100 * best.metrics["accuracy"], 2) == accuracy
