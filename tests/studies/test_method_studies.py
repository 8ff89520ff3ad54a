"""Studies of the nine other methods: grids and samples through Optuna, every trial in MLflow, stopped and gone on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click import ClickException

from studies.method_spec import MethodSpec, read_spec
from studies.session import Session
from studies.status import study_status
from studies.storage import open_storage
from studies.study import StudyOptions, complete_mirror, run_study
from studies.worker import WorkerOptions, run_worker
from tgsr.cli import cli
from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.estimators.spaces import METHODS, get_method
from tgsr.evaluation import evaluate, mask_target, score
from tgsr.evaluation.selection import source_folds
from tgsr.reports.building import ReportRequest, report_runs
from tgsr.reports.records import record_from_run
from tgsr.tracking.place import open_client
from tgsr.tracking.reading import list_studies, read_settings, read_trials

Make = Callable[..., Any]
NINE = [name for name in METHODS if name != "TGSR"]
TIMING = ["fit_seconds", "trial", "run_id"]


def _spec(pair: DatabasePair, method: str, selection: str = "oracle", **settings: Any) -> MethodSpec:
    return MethodSpec.of("V-N", pair, method, selection=selection, **settings)


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_every_set_of_the_grid_is_one_run_with_the_estimators_scores(
    make_options: Make, small_pair: DatabasePair, writer: str
) -> None:
    spec, options = _spec(small_pair, "TCA"), make_options(batch=None, writer=writer)
    result = run_study(spec, small_pair, options)
    assert result.table["n_components"].tolist() == list(range(1, 27))
    assert result.table["trial"].tolist() == list(range(26))
    client = open_client(options.place.tracking_uri)
    for row in result.table.iloc[[0, 7, 25]].to_dict("records"):
        fitted = evaluate(get_method("TCA").make(n_components=row["n_components"]), small_pair)
        assert row["macro_f1"] == row["selection_value"] == fitted.scores.macro_f1
        run = client.get_run(row["run_id"])
        assert read_settings(run) == {"n_components": row["n_components"]}
        wanted = {"kind": "trial", "experiment": "V-N", "selection": "oracle", "method": "TCA"}
        assert {key: run.data.tags[f"tgsr.{key}"] for key in wanted} == wanted
        assert {"fit_seconds", "recall_negative", "precision_surprise"} <= set(run.data.metrics)
    (study,) = list_studies(client, "V-N")
    assert (study.name, study.method, study.status) == ("V-N TCA grid oracle", "TCA", "FINISHED")
    assert client.get_run(study.run_id).info.experiment_id == client.get_experiment_by_name("tgsr/V-N").experiment_id
    top = result.table[result.table["selection_value"] == result.table["selection_value"].max()]
    assert study.best_run_id == top["run_id"].iloc[0] == result.best["run_id"]
    assert result.settings == {"n_components": top["n_components"].iloc[0]}
    assert study.metrics["macro_f1"] == result.best["macro_f1"]
    assert read_trials(client, study.run_id, stored_table=False).equals(result.table)


@pytest.mark.parametrize("method", NINE)
def test_grids_and_spaces_become_distributions_that_hold_them(
    small_pair: DatabasePair, make_options: Make, method: str
) -> None:
    spec = _spec(small_pair, method)
    grid = get_method(method).grid(15, 12)
    assert [dict(cell) for cell in spec.space.cells()] == grid
    assert read_spec(spec.to_json()) == spec
    distributions = spec.space.distributions
    for settings in grid:
        for name, value in settings.items():
            assert distributions[name].to_external_repr(distributions[name].to_internal_repr(value)) == value
    if method == "SVM":
        with pytest.raises(ParameterError, match="--sampler grid"):
            _spec(small_pair, method, sampler="tpe")
        return
    sampled = _spec(small_pair, method, sampler="random", seed=3)
    assert set(sampled.space.distributions) == set(get_method(method).space(15, 12))
    n_trials = 1 if method == "TSRG" else 4
    result = run_study(sampled, small_pair, make_options(n_trials=n_trials))
    assert len(result.table) == n_trials


def test_conditional_settings_and_the_method_without_any(make_options: Make, small_pair: DatabasePair) -> None:
    options = make_options(batch=None)
    result = run_study(_spec(small_pair, "IW-SVM"), small_pair, options)
    client = open_client(options.place.tracking_uri)
    tried = [read_settings(client.get_run(run_id)) for run_id in result.table["run_id"]]
    assert tried == get_method("IW-SVM").grid(15, 12)
    assert tried[0]["width"] is None
    assert result.table["bound"].isna().tolist() == ["bound" not in settings for settings in tried]
    assert len(run_study(_spec(small_pair, "SVM"), small_pair, options).table) == 1


def test_source_cv_is_the_estimators_cross_validation(make_options: Make, pair_factory: Make) -> None:
    pair = pair_factory(n_source=36, n_target=12)
    result = run_study(_spec(pair, "SA", "source-cv", seed=2), pair, make_options(n_trials=3))
    decided = np.zeros(len(pair.source), dtype=np.int64)
    for row in result.table.to_dict("records"):
        for fold in source_folds(mask_target(pair), 2):
            estimator = get_method("SA").make(n_components=row["n_components"])
            rest = np.delete(pair.source.X, fold, axis=0), np.delete(pair.source.labels, fold)
            decided[fold] = estimator.fit(*rest, X_target=pair.target.X).predict(pair.source.X[fold])
        assert row["selection_value"] == score(pair.source.labels, decided, 3).macro_f1


def test_an_interrupted_study_goes_on_without_loss_or_repetition(
    make_options: Make, small_pair: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, options = _spec(small_pair, "GFK"), make_options()
    fit, calls = Session._run, []

    def interrupted(self: Session, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        fit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, small_pair, options)
    result = run_study(spec, small_pair, options)
    assert sorted(result.table["n_components"]) == list(range(1, 12))
    status = study_status(spec.name, open_storage(options.storage_url))
    assert (status.complete, status.running, status.failed, status.total) == (11, 0, 3, 11)


def test_killed_by_the_system_the_same_command_ends_like_undisturbed(
    make_options: Make, small_pair: DatabasePair, run_tgsr: Callable[..., subprocess.Popen[str]], data_folder: Path
) -> None:
    expected = run_study(_spec(small_pair, "STM"), small_pair, make_options(home="undisturbed", batch=2))
    options: StudyOptions = make_options(home="killed")
    home = ["--home", str(options.place.home)]
    command = ["study", "--method", "stm", "--experiment", "V-N", "--data", str(data_folder), "--selection", "oracle"]
    command += ["--batch", "2", "--jobs", "1", "--quiet", *home]
    journal = options.place.home / "optuna.journal"
    process = run_tgsr(*command)
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b'"op_code":6') > 8):
        time.sleep(0.002)
    process.kill()
    process.communicate()
    for arguments in (command, ["study", "--status", *home], ["trials", "--top", "2", *home]):
        process = run_tgsr(*arguments)
        output = process.communicate()[0]
        assert process.returncode == 0, output
    assert "kernel" in output
    assert "lam" in output
    client = open_client(options.place.tracking_uri)
    (study,) = list_studies(client)
    tables = [
        table.drop(columns=TIMING).sort_values(["kernel", "width", "lam"], ignore_index=True)
        for table in (read_trials(client, study.run_id, stored_table=False), expected.table)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_a_worker_joins_and_what_mlflow_lacks_is_added(
    make_options: Make, small_pair: DatabasePair, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, options = _spec(small_pair, "SA"), make_options()
    run_study(spec, small_pair, replace(options, n_trials=3))
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_write", lambda self, trials: None)
        run_worker(spec.name, WorkerOptions(replace(options, n_trials=11), str(data_folder)))
    assert complete_mirror(spec, small_pair, options) == 8
    (study,) = list_studies(open_client(options.place.tracking_uri))
    table = read_trials(open_client(options.place.tracking_uri), study.run_id, stored_table=False)
    assert sorted(table["n_components"]) == list(range(1, 12))


def test_reports_pass_over_them(make_options: Make, small_pair: DatabasePair, tmp_path: Path) -> None:
    options = make_options(n_trials=2)
    result = run_study(_spec(small_pair, "SA"), small_pair, options)
    with pytest.raises(MissingDataError, match="no study yet"):
        report_runs(ReportRequest(tmp_path / "report"), [], options.place.home)
    with pytest.raises(MissingDataError, match="trials of SA"):
        record_from_run(open_client(options.place.tracking_uri), result.run_id)


def test_what_makes_no_sense_is_refused(small_pair: DatabasePair, data_folder: Path, make_options: Make) -> None:
    with pytest.raises(ParameterError, match="StudySpec"):
        _spec(small_pair, "TGSR")
    with pytest.raises(ParameterError, match="bayes"):
        _spec(small_pair, "TCA", sampler="bayes")
    with pytest.raises(TrackingError, match="cannot be read"):
        read_spec('{"method": "TCA"}')
    for option, value in (("--kappas", "3"), ("--grouping", "released"), ("--max-iter", "5"), ("--matrices", "none")):
        command = ["study", "--method", "tca", "--experiment", "V-N", "--data", str(data_folder), option, value]
        with pytest.raises(ClickException, match=f"{option} is an option of TGSR"):
            cli.main([*command, "--home", str(make_options().place.home)], standalone_mode=False)
