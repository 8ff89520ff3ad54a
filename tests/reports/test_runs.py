"""Reports from MLflow and back to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from studies.space import Space
from tgsr.tracking.place import Place, ensure_experiment, open_client, resolve_place
from tgsr.tracking.report_run import find_runs, log_confusion

from studies.spec import StudySpec
from studies.study import StudyOptions, StudyResult, run_study
from tgsr.cli import cli
from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError
from tgsr.reports.building import ReportRequest, newest_comparison, newest_records, report_runs
from tgsr.reports.pages import render_study
from tgsr.reports.records import record_from_grid, record_from_run
from tgsr.tracking.names import GENERATED_NOTE, Tag
from tgsr.tracking.reading import find_run, read_artifact
from tgsr.tracking.views import VIEW_KEY, prepare_experiment


@pytest.fixture(scope="module")
def stored(
    pair_factory: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Place, dict[str, StudyResult]]:
    """A home folder with a grid study of six trials and a sampled one of five."""
    home = tmp_path_factory.mktemp("home")
    pair = pair_factory()
    space = Space((2, 20, 40), (0.01, 10.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        place = resolve_place(home)
    results = {}
    for sampler, selection, n_trials in (("grid", "oracle", None), ("tpe", "source-cv", 5)):
        spec = StudySpec("V-N", pair.source.digest, pair.target.digest, space, sampler, selection)
        options = StudyOptions(place, "generated", jobs=1, progress=False, n_trials=n_trials)
        results[selection] = run_study(spec, pair, options)
    return place, results


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


def test_a_stored_study_reads_back_with_what_its_report_needs(
    stored: tuple[Place, dict[str, StudyResult]], pair_factory: Callable[..., Any]
) -> None:
    place, results = stored
    record = record_from_run(open_client(place.tracking_uri), results["oracle"].run_id)
    pair = pair_factory()
    assert (record.title, record.oracle, record.sampler) == ("V-N grid oracle region", True, "grid")
    assert len(record.table) == 6
    assert record.best is not None
    assert record.best["trial"] == results["oracle"].best["trial"]
    assert record.group_norms is not None
    assert pair.source.digest in record.facts["source"]
    assert "18 samples" in record.facts["target"]
    assert record.facts["seed"] == "0"
    assert (record.n_cells, record.shortfall) == (6, "")
    assert record.confusion is not None


def test_generated_data_are_called_generated_in_mlflow(
    stored: tuple[Place, dict[str, StudyResult]], pair_factory: Callable[..., Any], tmp_path: Path
) -> None:
    from tgsr.tracking.registry import register_trial

    place, results = stored
    client = open_client(place.tracking_uri)
    run = find_run(client, results["source-cv"].run_id)
    assert run.data.tags[Tag.GENERATED] == "true"
    assert run.data.tags[Tag.NOTE].startswith(GENERATED_NOTE)
    assert {given.dataset.name for given in run.inputs.dataset_inputs} == {
        "SMIC_VIS (generated)",
        "SMIC_NIR (generated)",
    }
    record = record_from_run(client, run.info.run_id)
    assert record.generated
    assert record.title == "V-N tpe source-cv region"
    model = register_trial(client, run.info.run_id)
    assert client.get_model_version(model.name, model.version).description.startswith(GENERATED_NOTE)
    assert client.get_registered_model(model.name).description.startswith(GENERATED_NOTE)

    pair = pair_factory()
    recorded = DatabasePair(replace(pair.source, parameters={}), replace(pair.target, parameters={}))
    spec = StudySpec("V-N", pair.source.digest, pair.target.digest, Space((5,), (1.0,)), "grid", "oracle")
    other = resolve_place(tmp_path)
    result = run_study(spec, recorded, StudyOptions(other, "somewhere", jobs=1, progress=False))
    run = find_run(open_client(other.tracking_uri), result.run_id)
    assert Tag.GENERATED not in run.data.tags
    assert {given.dataset.name for given in run.inputs.dataset_inputs} == {"SMIC_VIS", "SMIC_NIR"}


def test_the_newest_studies_are_found_and_filtered(stored: tuple[Place, dict[str, StudyResult]]) -> None:
    client = open_client(stored[0].tracking_uri)
    found = newest_records(client)
    assert {(record.experiment, record.selection) for record in found} == {("V-N", "oracle"), ("V-N", "source-cv")}
    assert newest_records(client, "C-N") == []
    assert newest_comparison(client) is None


def test_reports_go_onto_their_runs_and_the_experiment_gets_its_view(
    stored: tuple[Place, dict[str, StudyResult]], tmp_path: Path
) -> None:
    place, results = stored
    said: list[str] = []
    page = report_runs(ReportRequest(tmp_path, say=said.append), (results["oracle"].run_id,), place.home)
    client = open_client(place.tracking_uri)
    assert page.is_file()
    assert len(said) == 3
    assert "oracle</span>" in read_artifact(client, results["oracle"].run_id, "report.html").decode()
    assert read_artifact(client, results["oracle"].run_id, "figures/fig-2-regions.pdf")[:4] == b"%PDF"
    (run,) = find_runs(client, "report")
    assert "Table I" in read_artifact(client, run.info.run_id, "report.html").decode()
    parent = find_run(client, results["oracle"].run_id)
    tags = client.get_experiment(parent.info.experiment_id).tags
    assert f"mlflow.sharedViewState.{VIEW_KEY}" in tags
    assert "SMIC_VIS" in tags[Tag.NOTE]
    client.set_experiment_tag(parent.info.experiment_id, Tag.NOTE, "mine")
    prepare_experiment(client, parent.info.experiment_id)
    assert client.get_experiment(parent.info.experiment_id).tags[Tag.NOTE] == "mine"


def test_a_study_whose_trials_all_failed_gives_a_page(tmp_path: Path) -> None:
    place = resolve_place(tmp_path)
    client = open_client(place.tracking_uri)
    experiment = ensure_experiment(client, "tgsr/V-N", place.artifact_root)
    tags = {Tag.KIND: "study", Tag.EXPERIMENT: "V-N", Tag.SELECTION: "oracle", Tag.GROUPING: "region"}
    parent = client.create_run(experiment, tags=tags, run_name="V-N grid oracle region").info.run_id
    for status in ("FAILED", "KILLED"):
        child = client.create_run(experiment, tags={Tag.KIND: "trial", Tag.PARENT: parent})
        client.set_terminated(child.info.run_id, status)
    record = record_from_run(client, parent)
    assert record.best is None
    page = report_runs(ReportRequest(tmp_path / "out"), (parent,), tmp_path, log=False)
    assert page.is_file()


def test_what_cannot_be_written_is_named_without_a_traceback(
    stored: tuple[Place, dict[str, StudyResult]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    place, _ = stored
    (tmp_path / "taken").write_text("a file where the folder should be")
    arguments = ["report", "--home", str(place.home), "--experiment", "V-N"]
    result = CliRunner().invoke(cli, [*arguments, "--no-log", "--out", str(tmp_path / "taken")])
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "cannot be written" in result.output

    def refuse(*_: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "--no-log" in result.output


def test_a_study_has_its_page_at_its_end_and_fails_not_by_it(
    stored: tuple[Place, dict[str, StudyResult]],
    pair_factory: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tgsr.datasets import save_features

    pair = pair_factory()
    for data in (pair.source, pair.target):
        save_features(data, tmp_path / "features" / f"{data.name}.tgsr.npz")
    arguments = ["study", "--experiment", "V-N", "--data", str(tmp_path / "features"), "--home", str(tmp_path)]
    arguments += ["--kappas", "5", "--xis", "0.1,10", "--selection", "oracle", "--jobs", "1", "--quiet"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    client = open_client(resolve_place(tmp_path).tracking_uri)
    (run,) = find_runs(client, "study")
    assert "Study V-N grid oracle region" in read_artifact(client, run.info.run_id, "report.html").decode()

    def broken(*_: Any) -> str:
        raise RuntimeError("no font")

    monkeypatch.setattr("tgsr.reports.building.render_study", broken)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "no report page was made: no font" in result.stderr


def test_the_choice_is_that_of_the_trials_that_are_there_now(
    stored: tuple[Place, dict[str, StudyResult]], tmp_path: Path
) -> None:
    place, results = stored
    client = open_client(place.tracking_uri)
    result = results["oracle"]
    best = record_from_run(client, result.run_id).best
    assert best is not None
    others = result.table[result.table["trial"] != best["trial"]]
    older, shown = others.iloc[0], result.run_id
    client.set_tag(shown, Tag.BEST_RUN, older["run_id"])  # as a summary before the best trial's had it
    client.set_tag(shown, Tag.BEST_TRIAL, str(older["trial"]))
    try:
        record = record_from_run(client, shown)
        assert record.best is not None
        assert record.best["run_id"] == best["run_id"]
        kept = json.loads(read_artifact(client, best["run_id"], "regions.json"))["group_norms"]
        np.testing.assert_array_equal(record.group_norms, kept)
        assert record.confusion is None  # what is stored belongs to the other trial
        log_confusion(client, shown, np.eye(3, dtype=np.int64), best["run_id"])
        confusion = record_from_run(client, shown).confusion
        np.testing.assert_array_equal(confusion, np.eye(3))
    finally:
        client.set_tag(shown, Tag.BEST_RUN, best["run_id"])
        client.set_tag(shown, Tag.BEST_TRIAL, str(best["trial"]))


def test_a_killed_study_shows_its_regions_and_how_much_there_is(
    pair_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, place = pair_factory(), resolve_place(tmp_path)
    spec = StudySpec("V-N", pair.source.digest, pair.target.digest, Space((2, 20, 40), (0.01, 10.0)), "grid", "oracle")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("studies.study._sum_up", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(spec, pair, StudyOptions(place, "generated", jobs=1, progress=False, n_trials=4))
    client = open_client(place.tracking_uri)
    (record,) = newest_records(client)
    assert (record.status, record.shortfall) == ("KILLED", "4 of 6 cells")
    page = render_study(record)
    assert "regions are not stored" not in page
    assert "Fig. 2, what the chosen trial keeps" in page
    assert "4 of 6 cells" in page


def test_logged_grids_and_comparisons_are_found(
    tmp_path: Path, pair_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tgsr.evaluation.grid import GridPlan, write_grid
    from tgsr.tracking.grid_run import log_grid

    monkeypatch.setenv("TGSR_HOME", str(tmp_path))
    pair, plan = pair_factory(), GridPlan([5, 40], [0.1, 10.0], "released")
    table = write_grid(pair, tmp_path / "grid.csv", plan, jobs=1)
    place = resolve_place(tmp_path)
    log_grid(place, table, pair, plan, "V-N", [tmp_path / "grid.csv"])
    client = open_client(place.tracking_uri)
    (record,) = newest_records(client)
    assert (record.grouping, len(record.table), record.selection) == ("released", 4, "oracle")
    assert record.generated
    assert record_from_grid(tmp_path / "grid.csv").generated
    experiment = ensure_experiment(client, "tgsr/comparisons", place.artifact_root)
    columns = ["experiment", "method", "selection", "macro_f1", "accuracy"]
    for score in (0.1, 0.2):
        run = client.create_run(experiment, tags={Tag.KIND: "compare"}, start_time=int(1000 * score))
        rows = pd.DataFrame([("V-N", "SVM", "oracle", score, score)], columns=columns)
        client.log_text(run.info.run_id, rows.to_csv(index=False), "comparison.csv")
    comparison = newest_comparison(client)
    assert comparison is not None
    assert comparison["macro_f1"].tolist() == [0.2]
    (_, first) = find_runs(client, "compare")
    rows = pd.DataFrame([("V-N", "SVM", "oracle", 0.3, 0.3)], columns=columns).assign(logged_ms=[900])
    client.log_text(first.info.run_id, rows.to_csv(index=False), "comparison.csv")
    added = newest_comparison(client)  # of two rows the one that was logged later, in whichever run it stands
    assert added is not None
    assert added["macro_f1"].tolist() == [0.3]


def test_an_empty_home_is_a_clear_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "--home", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "no study yet" in result.output
    client = open_client(resolve_place(tmp_path).tracking_uri)
    run = client.create_run("0")
    with pytest.raises(MissingDataError, match="no study"):
        record_from_run(client, run.info.run_id)
