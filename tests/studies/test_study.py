"""A study in MLflow: every cell one whole run, going on where it stopped, one coordinator at a time."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pandas as pd
import pytest

from tgsr.tracking.study_store import MlflowSink
from tgsr.study.status import status_lines
from tgsr.study.running import StudyRequest, run_studies, run_study
from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import evaluate, mask_target, score
from tgsr.evaluation.choice import best_trial
from tgsr.evaluation.selection import source_folds
from tgsr.tracking._lock import LockedError
from tgsr.trials.trial import decode_predictions
from tgsr.tracking.client import open_client
from tgsr.tracking.reading import (
    list_studies,
    read_artifact,
    read_coefficients,
    read_surface,
    read_trials,
)

TIMING = ["fit_seconds", "run_id", "cell"]


def _same(table, other):
    left, right = (part.drop(columns=[name for name in TIMING if name in part]) for part in (table, other))
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def _client(options):
    return open_client(options.config.tracking_uri)


def _stop_after(monkeypatch, n_writes):
    """Interrupt a study after so many writes, each of one task."""
    write, calls = MlflowSink.write, []

    def stopping(self, trials):
        write(self, trials)
        calls.append(len(trials))
        if len(calls) == n_writes:
            raise KeyboardInterrupt

    monkeypatch.setattr(MlflowSink, "write", stopping)


def test_every_cell_of_the_grid_is_one_run_with_the_estimators_scores(make_spec, make_options, small_pair):
    spec, options = make_spec(), make_options()
    result = run_study(spec, small_pair, options)
    assert result.table["trial"].tolist() == list(range(12))
    client = _client(options)
    for row in result.table.iloc[[0, 5, 11]].to_dict("records"):
        fitted = evaluate(TGSRClassifier(kappa=row["kappa"], xi=row["xi"]), small_pair)
        assert row["macro_f1"] == fitted.scores.macro_f1
        assert row["iterations"] == fitted.estimator.n_iter_
        assert decode_predictions(row["predictions"]).tolist() == fitted.predictions.tolist()
        run = client.get_run(row["run_id"])
        assert run.data.params["grouping"] == "region"
        assert run.data.tags["tgsr.method"] == "TGSR"
        assert len(run.data.metrics) <= 30
        np.testing.assert_allclose(read_coefficients(client, row["run_id"]), fitted.estimator.coef_.T, atol=1e-9)


def test_the_studys_run_carries_best_surface_table_inputs_and_confusion(make_spec, make_options, small_pair):
    options = make_options(page=True)
    result = run_study(make_spec(), small_pair, options)
    client = _client(options)
    (study,) = list_studies(client)
    assert (study.run_id, study.status, study.selection) == (result.run_id, "FINISHED", "oracle")
    assert study.best_run_id == result.best.row["run_id"]
    assert study.metrics["macro_f1"] == result.table["macro_f1"].max() == result.best.value
    assert np.nanmax(read_surface(client, study.run_id)["macro_f1"]) == result.best.value
    _same(read_trials(client, study.run_id), result.table)
    inputs = client.get_run(study.run_id).inputs.dataset_inputs
    assert [entry.dataset.name for entry in inputs] == ["SMIC_VIS (generated)", "SMIC_NIR (generated)"]
    confusion = np.array(json.loads(read_artifact(client, study.run_id, "confusion.json"))["confusion"])
    assert np.trace(confusion) / confusion.sum() == result.best.row["accuracy"]
    assert b"oracle" in read_artifact(client, study.run_id, "report.html")


def test_of_equal_trials_the_first_of_the_grid_is_best(make_spec, make_options, small_pair):
    result = run_study(make_spec(), small_pair, make_options())
    top = result.table[result.table["selection_value"] == result.table["selection_value"].max()]
    assert tuple(result.best.settings.values()) == min(zip(top["kappa"], top["xi"], strict=True))
    assert result.best.n_ties == len(top)


def test_run_again_a_finished_study_adds_nothing(make_spec, make_options, small_pair, monkeypatch):
    options = make_options()
    first = run_study(make_spec(), small_pair, options)
    monkeypatch.setattr(MlflowSink, "write", None)
    second = run_study(make_spec(), small_pair, options)
    assert second.run_id == first.run_id
    _same(second.table, first.table)


@pytest.mark.parametrize(
    ("changes", "n_trials", "writer"),
    [
        ({}, None, "bulk"),
        ({}, None, "client"),
        ({"sampler": "tpe"}, 20, "bulk"),
        ({"method": "IW-SVM"}, 40, "client"),
    ],
)
def test_an_interrupted_study_ends_like_an_undisturbed_one(
    make_spec, make_options, small_pair, monkeypatch, changes, n_trials, writer
):
    spec = make_spec(**changes)
    whole = run_study(spec, small_pair, make_options("whole", n_trials=n_trials))
    options = make_options("stopped", n_trials=n_trials, writer=writer, batch=1)
    with monkeypatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, small_pair, options)
    client = _client(options)
    assert [study.status for study in list_studies(client)] == ["KILLED"]
    result = run_study(spec, small_pair, options)
    _same(result.table, whole.table)
    assert [study.status for study in list_studies(client)] == ["FINISHED"]
    if "kappa" in result.best.settings:
        matrices = [
            read_artifact(_client(make_options(home)), done.best.row["run_id"], "coefficients.npz")
            for home, done in (("whole", whole), ("stopped", result))
        ]
        assert matrices[0] == matrices[1]


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_deleted_runs_stay_deleted_until_they_are_asked_for(make_spec, make_options, small_pair, writer):
    options = make_options(writer=writer)
    result = run_study(make_spec(), small_pair, options)
    client = _client(options)
    client.delete_run(result.table["run_id"][3])
    again = run_study(make_spec(), small_pair, options)
    assert again.table["trial"].tolist() == [number for number in range(12) if number != 3]
    restored = run_study(make_spec(), small_pair, make_options(writer=writer, restore=True))
    _same(restored.table, result.table)


def test_a_trial_that_has_lost_its_matrix_is_run_again(make_spec, make_options, small_pair, tmp_path):
    options = make_options()
    result = run_study(make_spec(), small_pair, options)
    path = next(tmp_path.glob(f"home/mlruns/**/{result.table['run_id'][5]}/artifacts/coefficients.npz"))
    content = path.read_bytes()
    path.unlink()
    again = run_study(make_spec(), small_pair, options)
    _same(again.table, result.table)
    found = list(tmp_path.glob(f"home/mlruns/**/{again.table['run_id'][5]}/artifacts/coefficients.npz"))
    assert [entry.read_bytes() for entry in found] == [content]


def test_a_second_coordinator_is_refused_and_told_who_works(make_spec, make_options, small_pair):
    options = make_options()
    first = MlflowSink(make_spec(), small_pair, options)
    try:
        with pytest.raises(LockedError, match="process"):
            MlflowSink(make_spec(), small_pair, options)
        assert any("at work" in line for line in status_lines(options.config))
    finally:
        first.abort(KeyboardInterrupt())
    run_study(make_spec(), small_pair, options)
    assert any("finished, 12 trials" in line for line in status_lines(options.config))


def test_source_cv_values_are_scores_on_held_out_samples(make_spec, make_options, small_pair):
    spec = make_spec(selection="source-cv", axes={"kappa": [20], "xi": [1.0]})
    result = run_study(spec, small_pair, make_options())
    task = mask_target(small_pair)
    folds = source_folds(task, seed=0)
    decided = []
    for fold in folds:
        fitted = TGSRClassifier(kappa=20, xi=1.0).fit(
            np.delete(task.X, fold, axis=0), np.delete(task.y, fold), X_target=task.X_target
        )
        decided.append(fitted.predict(task.X[fold]))
    held_out = np.concatenate(folds)
    expected = score(task.y[held_out], np.concatenate(decided), 3).macro_f1
    assert result.table["selection_value"][0] == pytest.approx(expected)


def test_a_rule_over_all_trials_chooses_at_the_end(make_spec, make_options, small_pair):
    options = make_options()
    result = run_study(make_spec(selection="ensemble"), small_pair, options)
    assert np.isfinite(result.table["selection_value"]).all()
    assert result.best.value == result.table["selection_value"].max()
    again = run_study(make_spec(selection="ensemble"), small_pair, options)
    assert again.best.row["run_id"] == result.best.row["run_id"]


def test_matrices_can_be_thinned_and_the_best_trials_is_always_kept(make_spec, make_options, small_pair, tmp_path):
    whole = run_study(make_spec(), small_pair, make_options("whole"))
    counts = {}
    for matrices in ("none", "best:1"):
        options = make_options(matrices.replace(":", ""), matrices=matrices)
        result = run_study(make_spec(), small_pair, options)
        counts[matrices] = len(list(options.config.home.glob("mlruns/**/coefficients.npz")))
        client, plain = _client(options), _client(make_options("whole"))
        kept = read_artifact(client, result.best.row["run_id"], "coefficients.npz")
        assert kept == read_artifact(plain, whole.best.row["run_id"], "coefficients.npz")
    assert counts == {"none": 1, "best:1": 4}


def test_an_optuna_storage_is_filled_besides(make_spec, make_options, small_pair, tmp_path):
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    spec = make_spec()
    result = run_study(spec, small_pair, make_options(storage=url, n_trials=5))
    result = run_study(spec, small_pair, make_options(storage=url))
    study = optuna.load_study(study_name=spec.name, storage=url)
    assert len(study.trials) == 12
    assert study.best_value == result.best.value
    assert {(t.params["kappa"], t.params["xi"]) for t in study.trials} == set(
        zip(result.table["kappa"], result.table["xi"], strict=True)
    )


def test_an_optuna_storage_from_a_backup_is_brought_up_to_date(make_spec, make_options, small_pair, tmp_path):
    journal, spec = tmp_path / "optuna.journal", make_spec()
    run_study(spec, small_pair, make_options(storage=str(journal), n_trials=5))
    backup = journal.read_bytes()
    whole = run_study(spec, small_pair, make_options(storage=str(journal)))
    journal.write_bytes(backup)
    again = run_study(spec, small_pair, make_options(storage=str(journal)))
    assert again.table["run_id"].tolist() == whole.table["run_id"].tolist()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    study = optuna.load_study(study_name=spec.name, storage=storage)
    assert len(study.trials) == 12
    assert study.best_value == whole.best.value


def test_threads_do_not_change_a_byte_of_any_matrix(make_spec, make_options, small_pair):
    matrices = []
    for jobs in (1, 2):
        options = make_options(f"jobs-{jobs}", jobs=jobs)
        result = run_study(make_spec(), small_pair, options)
        client, runs = _client(options), result.table.sort_values("cell")["run_id"]
        matrices.append([read_artifact(client, run_id, "coefficients.npz") for run_id in runs])
    assert len(matrices[0]) == 12
    assert matrices[0] == matrices[1]


def test_a_target_without_labels_is_studied_by_label_free_rules_only(make_spec, make_options, small_pair):
    from dataclasses import replace

    pair = DatabasePair(small_pair.source, replace(small_pair.target, labels=None))
    result = run_study(make_spec(pair, selection="source-cv"), pair, make_options())
    assert "macro_f1" not in result.table
    assert "no labels" in "\n".join(result.lines(make_options().config))
    with pytest.raises(ParameterError, match="no"):
        run_study(make_spec(pair), pair, make_options())


def test_other_data_than_the_studys_are_refused(make_spec, make_options, small_pair, pair_factory):
    other = pair_factory(n_source=15, n_target=12, seed=9)
    with pytest.raises(TrackingError, match="not the content that"):
        run_study(make_spec(), other, make_options())


def test_several_studies_run_on_one_executor(make_spec, make_options, small_pair):
    specs = [make_spec(), make_spec(method="TCA"), make_spec(method="SVM", selection="fixed")]
    options = make_options(jobs=2)
    results = run_studies([StudyRequest(spec, small_pair, options) for spec in specs])
    assert [result.spec.method for result in results] == ["TGSR", "TCA", "SVM"]
    assert [len(result.table) for result in results] == [12, 26, 1]
    assert best_trial(results[1].table).settings.keys() == {"n_components"}


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
    best = run_study(spec, pair, make_options()).best
    assert (best.settings["kappa"], best.settings["xi"]) == cell
    assert round(best.row["macro_f1"], 4) == macro_f1
    assert round(100 * best.row["accuracy"], 2) == accuracy
