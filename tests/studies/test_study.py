"""A study runs every cell once, goes on where it stopped, and MLflow ends up with all of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from studies.owners import OWNER, Owner
from studies.session import Session
from studies.space import Space
from studies.spec import StudySpec
from studies.status import study_status
from studies.storage import open_storage
from studies.study import StudyOptions, complete_mirror, open_study, open_study_run, run_study
from studies.worker import WorkerOptions, run_worker
from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.estimators.tgsr import TGSRClassifier
from tgsr.evaluation import evaluate, mask_target, score
from tgsr.evaluation.selection import source_folds
from tgsr.tracking.place import open_client
from tgsr.tracking.reading import list_studies, read_artifact, read_coefficients, read_surface, read_trials
from tgsr.tracking.views import VIEW_KEY
from tgsr.tracking.writers import ClientWriter

Make = Callable[..., Any]


def _cells(table: Any) -> list[tuple[int, float]]:
    return sorted(zip(table["kappa"].tolist(), table["xi"].tolist(), strict=True))


def test_every_cell_of_the_grid_is_one_run_with_the_estimators_scores(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    spec, options = make_spec(), make_options()
    result = run_study(spec, small_pair, options)
    assert _cells(result.table) == sorted(spec.space.cells())
    client = open_client(options.place.tracking_uri)
    for row in result.table.iloc[[0, 5, 11]].to_dict("records"):
        fitted = evaluate(TGSRClassifier(row["kappa"], row["xi"]), small_pair)
        assert row["macro_f1"] == fitted.scores.macro_f1
        assert row["accuracy"] == fitted.scores.accuracy
        assert row["iterations"] == fitted.estimator.n_iter_
        run = client.get_run(row["run_id"])
        assert run.data.params["grouping"] == "region"
        assert run.data.params["mu"] == "0.001"
        assert len(run.data.metrics) <= 30
        assert "oracle" in run.info.run_name
        assert run.data.tags["tgsr.selection"] == "oracle"
        np.testing.assert_allclose(read_coefficients(client, row["run_id"]), fitted.estimator.coef_.T, atol=1e-9)


def test_parent_carries_best_surface_table_datasets_and_confusion(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    options = make_options()
    result = run_study(make_spec(), small_pair, options)
    client = open_client(options.place.tracking_uri)
    (study,) = list_studies(client, "V-N")
    assert (study.run_id, study.status, study.selection) == (result.run_id, "FINISHED", "oracle")
    assert study.best_run_id == result.best["run_id"]
    assert study.metrics["macro_f1"] == result.table["macro_f1"].max() == result.best["macro_f1"]
    surface = read_surface(client, study.run_id)
    assert surface.scores["macro_f1"].shape == (3, 4)
    assert np.nanmax(surface.scores["macro_f1"]) == result.best["macro_f1"]
    assert read_trials(client, study.run_id).equals(result.table)
    assert read_trials(client, study.run_id, stored_table=False).equals(result.table)
    inputs = client.get_run(study.run_id).inputs.dataset_inputs
    assert [entry.dataset.name for entry in inputs] == ["SMIC_VIS (generated)", "SMIC_NIR (generated)"]
    assert json.loads(inputs[0].dataset.profile)["digest"] == small_pair.source.digest
    confusion = np.array(json.loads(read_artifact(client, study.run_id, "confusion.json"))["confusion"])
    assert np.trace(confusion) / confusion.sum() == result.best["accuracy"]
    curve = client.get_metric_history(study.run_id, f"macro_f1_over_kappa_at_xi_{result.best['xi']:g}")
    assert sorted(point.step for point in curve) == [3, 20, 85]
    parent = client.get_run(study.run_id)
    assert "Oracle" in parent.data.tags["mlflow.note.content"]
    assert f"mlflow.sharedViewState.{VIEW_KEY}" in client.get_experiment(parent.info.experiment_id).tags


def test_of_equal_trials_the_first_in_the_records_order_is_best(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    result = run_study(make_spec(), small_pair, make_options())
    top = result.table[result.table["selection_value"] == result.table["selection_value"].max()]
    first = min(zip(top["kappa"], top["xi"], strict=True))
    assert (result.best["kappa"], result.best["xi"]) == first


def test_run_again_a_finished_study_adds_nothing(make_spec: Make, make_options: Make, small_pair: DatabasePair) -> None:
    options = make_options()
    first = run_study(make_spec(), small_pair, options)
    second = run_study(make_spec(), small_pair, options)
    assert second.run_id == first.run_id
    assert second.table.equals(first.table)


def test_an_interrupted_study_releases_its_cells_and_goes_on(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, options = make_spec(), make_options()
    fit = Session._run
    calls = []

    def interrupted(self: Session, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        fit(self, *arguments)

    monkeypatch.setattr(Session, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(spec, small_pair, options)
    status = study_status(spec.name, open_storage(options.storage_url))
    assert (status.complete, status.running, status.failed) == (6, 0, 3)
    client = open_client(options.place.tracking_uri)
    assert list_studies(client)[0].status == "KILLED"
    assert complete_mirror(spec, small_pair, make_options(n_trials=2, matrices="none")) == 0
    assert list_studies(client)[0].status == "KILLED"  # looking after it ends no study, and changes no terms
    assert study_status(spec.name, open_storage(options.storage_url)).total == 12
    result = run_study(spec, small_pair, options)
    assert _cells(result.table) == sorted(spec.space.cells())
    assert list_studies(client)[0].status == "FINISHED"


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_what_was_finished_but_not_mirrored_is_mirrored(
    make_spec: Make,
    make_options: Make,
    small_pair: DatabasePair,
    monkeypatch: pytest.MonkeyPatch,
    writer: str,
) -> None:
    spec, options = make_spec(), make_options(writer=writer)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_write", lambda self, trials: None)
        patch.setattr(Session, "mirror", lambda self: 0)
        with pytest.raises(TrackingError, match="no finished trial"):
            run_study(spec, small_pair, options)
    if writer == "bulk":
        assert complete_mirror(spec, small_pair, options) == 12
    result = run_study(spec, small_pair, options)
    assert _cells(result.table) == sorted(spec.space.cells())


def test_a_run_cut_off_while_the_client_wrote_it_is_replaced(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, options = make_spec(), make_options(writer="client")
    with monkeypatch.context() as patch:

        def cut(self: ClientWriter, study: Any, record: Any) -> str:
            self._client.create_run(study.experiment_id, tags=study.trial_tags(record))
            raise KeyboardInterrupt

        patch.setattr(ClientWriter, "_write_one", cut)
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, small_pair, options)
    result = run_study(spec, small_pair, options)
    assert _cells(result.table) == sorted(spec.space.cells())
    client = open_client(options.place.tracking_uri)
    experiment = client.get_run(result.run_id).info.experiment_id
    assert len(client.search_runs([experiment])) == 13


def test_a_dead_processs_trials_are_failed_and_their_cells_run(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    spec, options = make_spec(), make_options()
    study = optuna.create_study(study_name=spec.name, storage=open_storage(options.storage_url), direction="maximize")
    this = Owner.this_process()
    dead = Owner(this.machine, 2**22 + 1, "1", "feedfacecafe")
    for kappa, xi in spec.space.cells()[:4]:
        params = {"kappa": kappa, "xi": xi}
        study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=spec.space.distributions,
                user_attrs={OWNER: dead.to_text()},
            )
        )
    result = run_study(spec, small_pair, options)
    assert _cells(result.table) == sorted(spec.space.cells())
    assert study_status(spec.name, open_storage(options.storage_url)).failed == 4


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampled_study_goes_on_with_new_cells(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, sampler: str
) -> None:
    spec = make_spec(sampler=sampler, seed=3)
    first = run_study(spec, small_pair, make_options(n_trials=4))
    result = run_study(spec, small_pair, make_options(n_trials=9))
    assert len(first.table) == 4
    assert len(result.table) == 9
    assert len(set(_cells(result.table))) == 9
    assert result.table["kappa"].between(3, 85).all()
    assert result.table["xi"].between(0.01, 200.0).all()
    again = run_study(spec, small_pair, make_options(home="other", n_trials=4))
    assert _cells(again.table) == _cells(first.table)


def test_the_best_matrix_does_not_depend_on_the_batches(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    contents = []
    for home, batch in (("one", 1), ("all", 12)):
        options = make_options(home=home, batch=batch)
        result = run_study(make_spec(), small_pair, options)
        client = open_client(options.place.tracking_uri)
        contents.append(read_artifact(client, str(result.best["run_id"]), "coefficients.npz"))
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("matrices", "expected"), [("none", 1), ("best:1", 4), ("all", 12)])
def test_matrices_are_thinned_as_asked(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, matrices: str, expected: int
) -> None:
    options = make_options(matrices=matrices)
    run_study(make_spec(), small_pair, options)
    assert len(list(options.place.home.rglob("coefficients.npz"))) == expected
    assert len(list(options.place.home.rglob("regions.png"))) == 12


def _with_labels(pair: DatabasePair, seed: int) -> DatabasePair:
    """The pair with target labels drawn anew, and a third of the source's wrong."""
    rng = np.random.default_rng(seed)
    wrong = np.where(np.arange(len(pair.source)) % 3 == 0, (pair.source.labels + 1) % 3, pair.source.labels)
    target = replace(pair.target, labels=rng.permutation(pair.target.labels))
    return DatabasePair(replace(pair.source, labels=wrong), target)


def test_source_cv_is_the_cross_validation_by_subject_and_sees_no_target_labels(
    make_spec: Make, make_options: Make, pair_factory: Make
) -> None:
    tables = []
    for seed in (1, 2):
        pair = _with_labels(pair_factory(n_source=36, n_target=12), seed)
        spec = make_spec(selection="source-cv", space=Space((3, 20), (1.0,))).with_data(pair)
        tables.append(run_study(spec, pair, make_options(home=str(seed))).table)
    assert tables[0]["selection_value"].tolist() == tables[1]["selection_value"].tolist()
    assert tables[0]["accuracy"].tolist() != tables[1]["accuracy"].tolist()
    folds = source_folds(mask_target(pair), 0)
    decided = np.zeros(len(pair.source), dtype=np.int64)
    for fold in folds:
        assert pair.source.subjects is not None
        assert not set(pair.source.subjects[fold]) & set(np.delete(pair.source.subjects, fold))
        method = TGSRClassifier(20, 1.0).fit(
            np.delete(pair.source.X, fold, axis=0), np.delete(pair.source.labels, fold), X_target=pair.target.X
        )
        decided[fold] = method.predict(pair.source.X[fold])
    expected = score(pair.source.labels, decided, 3).macro_f1
    row = tables[0][tables[0]["kappa"] == 20].iloc[0]
    assert row["selection_value"] == pytest.approx(expected)


def test_other_data_or_settings_are_another_study(
    make_spec: Make, make_options: Make, pair_factory: Make, small_pair: DatabasePair
) -> None:
    spec: StudySpec = make_spec()
    assert StudySpec.from_json(spec.to_json()) == spec
    other = pair_factory(n_source=15, n_target=12, seed=9)
    names = {spec.name, spec.with_data(other).name, make_spec(grouping="released").name, make_spec(seed=1).name}
    assert len(names) == 4
    with pytest.raises(TrackingError, match="SMIC_VIS"):
        run_study(spec, other, make_options())


def test_wrong_settings_are_named(make_spec: Make, make_options: Make, small_pair: DatabasePair) -> None:
    with pytest.raises(ParameterError, match="bayes"):
        make_spec(sampler="bayes")
    with pytest.raises(ParameterError, match="magic"):
        make_spec(selection="magic")
    options: StudyOptions = make_options(matrices="some")
    with pytest.raises(ParameterError, match="best:3"):
        run_study(make_spec(), small_pair, options)
    with pytest.raises(ParameterError, match="at least 1"):
        run_study(make_spec(), small_pair, make_options(n_trials=-2))


def test_only_a_study_that_is_there_is_mirrored(make_spec: Make, make_options: Make, small_pair: DatabasePair) -> None:
    options = make_options()
    run_study(make_spec(space=Space((3,), (1.0,))), small_pair, options)
    with pytest.raises(MissingDataError, match=r"no such study: 'V-N grid oracle released .*there are: 'V-N grid"):
        complete_mirror(make_spec(grouping="released"), small_pair, options)
    assert len(list_studies(open_client(options.place.tracking_uri))) == 1
    assert len(open_storage(options.storage_url).get_all_studies()) == 1


def test_a_study_that_cannot_begin_is_failed_and_begins_later_in_the_same_run(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, options = make_spec(space=Space((3,), (1.0,))), make_options()
    for name in ("log_inputs", "choose_writer"):
        with monkeypatch.context() as patch:

            def refuse(*_: Any) -> None:
                raise TrackingError("full disk")

            patch.setattr(f"studies.study.{name}", refuse)
            with pytest.raises(TrackingError, match="full disk"):
                run_study(spec, small_pair, options)
        (study,) = list_studies(open_client(options.place.tracking_uri))
        assert study.status == "FAILED"
    result = run_study(spec, small_pair, options)
    assert result.run_id == study.run_id
    inputs = open_client(options.place.tracking_uri).get_run(result.run_id).inputs.dataset_inputs
    assert len(inputs) == 2


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_what_was_deleted_comes_back(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, writer: str
) -> None:
    spec, options = make_spec(), make_options(writer=writer)
    first = run_study(spec, small_pair, options)
    client = open_client(options.place.tracking_uri)
    client.delete_run(first.best["run_id"])
    lost = next(str(run_id) for run_id in first.table["run_id"] if run_id != first.best["run_id"])
    folder = next(options.place.home.rglob(lost))
    shutil.rmtree(folder)
    client.delete_run(first.run_id)
    again = run_study(spec, small_pair, options)
    assert again.run_id == first.run_id
    assert again.best["trial"] == first.best["trial"]
    assert _cells(again.table) == _cells(first.table)
    (study,) = list_studies(client)
    assert study.metrics["trials"] == 12
    for run_id in again.table["run_id"]:
        assert read_coefficients(client, run_id).shape == (15045, 3)


def test_while_a_study_goes_on_nothing_of_its_last_end_is_taken_for_its_result(
    make_spec: Make, make_options: Make, small_pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    first = run_study(spec, small_pair, make_options(n_trials=4))
    client = open_client(make_options().place.tracking_uri)
    seen: list[tuple[str, str | None, int]] = []
    fit = Session._run

    def watched(self: Session, *arguments: Any) -> None:
        fit(self, *arguments)
        self._wait_for_writing()
        (study,) = list_studies(client)
        seen.append((study.status, study.best_run_id, len(read_trials(client, study.run_id))))

    monkeypatch.setattr(Session, "_run", watched)
    second = run_study(spec, small_pair, make_options())
    assert seen == [("RUNNING", None, 7), ("RUNNING", None, 10), ("RUNNING", None, 12)]
    assert set(_cells(first.table)) < set(_cells(second.table))
    (study,) = list_studies(client)
    assert study.best_run_id == second.best["run_id"]
    assert read_trials(client, study.run_id).equals(second.table)
    for best in (first.best, second.best):
        name = f"macro_f1_over_xi_at_kappa_{best['kappa']}"
        if name not in study.metrics:
            continue  # of a cut through a single trial
        cut = second.table[second.table["kappa"] == best["kappa"]]
        known = dict(zip(cut["xi"], cut["macro_f1"], strict=True))
        for point in client.get_metric_history(study.run_id, name):
            assert point.value == known[spec.space.xis[point.step]]


def test_workers_take_over_what_the_study_was_started_with(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    spec = make_spec()
    options: StudyOptions = make_options(n_trials=5, matrices="none", writer="client", share=True)
    study = open_study(spec, open_storage(options.storage_url))
    client = open_client(options.place.tracking_uri)
    with pytest.raises(TrackingError, match="not set up yet"):
        run_worker(spec.name, WorkerOptions(make_options()))
    open_study_run(spec, small_pair, study, client, options)
    assert run_worker(spec.name, WorkerOptions(make_options())) == 5
    assert not list(options.place.home.rglob("coefficients.npz"))
    assert "  5 of 5 finished" in study_status(spec.name, open_storage(options.storage_url)).lines()[1]
    run_study(spec, small_pair, options)
    # a worker that makes a finished study longer takes its end back
    assert run_worker(spec.name, WorkerOptions(make_options(n_trials=7))) == 2
    (stored,) = list_studies(client)
    assert (stored.status, stored.best_run_id) == ("KILLED", None)
    assert len(read_trials(client, stored.run_id)) == 7


def test_a_study_that_is_there_can_share_its_data_later(
    make_spec: Make, make_options: Make, small_pair: DatabasePair
) -> None:
    spec = make_spec(space=Space((3,), (1.0,)))
    result = run_study(spec, small_pair, make_options())
    client = open_client(make_options().place.tracking_uri)
    assert not client.list_artifacts(result.run_id, "data")
    for _ in range(2):
        run_study(spec, small_pair, make_options(share=True))
        assert len(client.list_artifacts(result.run_id, "data")) == 2


def test_sampled_studies_of_commands_that_start_together_do_not_draw_the_same(
    make_spec: Make, make_options: Make
) -> None:
    spec, storage = make_spec(sampler="random"), open_storage(make_options().storage_url)
    drawn = [open_study(spec, storage).ask(spec.space.distributions).params for _ in range(3)]
    assert len({tuple(params.values()) for params in drawn}) == 3


def test_status_tells_the_living_from_the_dead_and_touches_nothing(
    make_spec: Make, make_options: Make, run_tgsr: Callable[..., subprocess.Popen[str]]
) -> None:
    spec, options = make_spec(), make_options()
    study = open_study(spec, open_storage(options.storage_url))
    this = Owner.this_process()
    for owner in (Owner(this.machine, 2**22 + 1, "1", "feedfacecafe"), this):
        attrs = {OWNER: owner.to_text()}
        study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attrs))
    journal = options.place.home / "optuna.journal"
    before = journal.stat().st_mtime_ns
    process = run_tgsr("study", "--status", "--home", str(options.place.home))
    output, _ = process.communicate()
    assert "1 running, 1 left by processes that have ended, 0 failed" in output
    assert f"process {os.getpid()}: 1 running" in output
    assert str(2**22 + 1) not in output
    assert journal.stat().st_mtime_ns == before
