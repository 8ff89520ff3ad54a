"""Reports from MLflow and back to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.errors import MissingDataError
from tgsr.reports._records import record_from_run
from tgsr.reports.building import ReportRequest, _stored_records, add_study_page, log_paper_report, report_runs
from tgsr.tracking.config import TrackingConfig, ensure_experiment, open_client, resolve_config
from tgsr.tracking.names import CONFUSION, STUDY_JSON, TRIALS_PARQUET, Tag
from tgsr.tracking.reading import find_runs, read_artifact

Trials = Callable[..., pd.DataFrame]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return resolve_config(tmp_path_factory.mktemp("home"))


def _store(
    config: TrackingConfig, table: pd.DataFrame, tmp_path: Path, status: str = "FINISHED", **changes: Any
) -> str:
    """A study as the tracking store has it: its run, specification and table; the best trial's own run."""
    spec = {
        "pair": "V-N",
        "method": "TGSR",
        "sampler": "grid",
        "selection": "oracle",
        "seed": 0,
        "source_digest": "d1",
        "target_digest": "d2",
        "fixed": {"groups": "region"},
        "grid": [{"kappa": [1, 30], "xi": [0.1, 1.0]}],
        "shape": {"n_source": 71, "n_target": 71, "n_groups": 85},
        **changes,
    }
    client = open_client(config.tracking_uri)
    experiment = ensure_experiment(client, f"tgsr/{spec['pair']}", config.artifact_root)
    tags = {Tag.KIND: "study", Tag.METHOD: spec["method"], Tag.EXPERIMENT: spec["pair"], Tag.SAMPLER: spec["sampler"]}
    tags |= {Tag.SELECTION: spec["selection"], Tag.CODE_VERSION: "v1"}
    run_id = str(client.create_run(experiment, tags=tags, run_name="a study").info.run_id)
    trial = str(client.create_run(experiment, tags={Tag.PARENT: run_id, Tag.KIND: "trial"}).info.run_id)
    client.log_dict(trial, {"group_norms": [1.0] * 30 + [0.0] * 55}, "regions.json")
    client.set_terminated(trial)
    client.log_text(run_id, json.dumps(spec), STUDY_JSON)
    table.assign(run_id=trial).to_parquet(tmp_path / TRIALS_PARQUET, index=False)
    client.log_artifact(run_id, str(tmp_path / TRIALS_PARQUET))
    client.log_dict(run_id, {"classes": ["a", "b"], "confusion": [[3, 1], [0, 2]], "run_id": trial}, CONFUSION)
    client.set_terminated(run_id, status)
    return run_id


@pytest.fixture(scope="module")
def stored(config: TrackingConfig, trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Studies of two methods, one of them twice."""
    folder, table = tmp_path_factory.mktemp("tables"), trials(kappa=(1, 30), xi=(0.1, 1.0))
    tca = {"method": "TCA", "fixed": {}, "grid": [{"n_components": [1, 2]}], "selection": "source-cv"}
    tca_table = trials(n_components=(1, 2)).assign(selection_value=[0.2, 0.1])
    return {
        "older": _store(config, table, folder),
        "TGSR": _store(config, table, folder),
        "TCA": _store(config, tca_table, folder, **tca),
    }


def test_a_study_of_any_method_reads_back_with_what_its_report_needs(
    config: TrackingConfig, stored: dict[str, str]
) -> None:
    client = open_client(config.tracking_uri)
    record = record_from_run(client, stored["TGSR"])
    assert (record.title, record.row, record.coverage) == (
        "V-N TGSR grid oracle region",
        "TGSR (regions)",
        "4 of 23,035 cells",
    )
    assert record.group_norms is not None
    assert np.count_nonzero(record.group_norms) == 30
    assert record.confusion is not None
    assert record.facts["code version"] == "v1"
    assert "digest d1" in record.facts["source"]
    other = record_from_run(client, stored["TCA"])
    assert (other.row, other.grouping, other.coverage) == ("TCA", "", "2 of 141 cells")
    assert other.best is not None
    assert other.best.settings == {"n_components": 1}
    client.log_dict(stored["older"], {"confusion": [[1]], "run_id": "another trial"}, CONFUSION)
    assert record_from_run(client, stored["older"]).confusion is None
    assert [one.run_id for one in _stored_records(client)] == [stored["TCA"], stored["TGSR"], stored["older"]]
    assert _stored_records(client, "C-N") == []


def test_reports_go_onto_their_runs_and_have_every_study(
    config: TrackingConfig, stored: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tgsr"):
        page, run_id = report_runs(ReportRequest(tmp_path), (), config)
    assert caplog.text.count("report.html") == 2  # of the two studies of one kind the newer
    client = open_client(config.tracking_uri)
    assert "Study V-N TCA grid source-cv" in read_artifact(client, stored["TCA"], "report.html").decode()
    assert read_artifact(client, stored["TGSR"], "figures/fig-2-regions.pdf")[:4] == b"%PDF"
    (run,) = find_runs(client, "report")
    assert run.info.run_id == run_id
    tables = pd.read_csv(page.parent / "tables" / "tables.csv")
    assert set(tables["selection"]) == {"oracle", "source-cv"}
    assert set(tables["method"]) == {"TCA", "TGSR (regions)"}
    assert "Table I" in read_artifact(client, run_id, "report.html").decode()


def test_a_page_that_cannot_be_made_stops_no_study(
    config: TrackingConfig, stored: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    client = open_client(config.tracking_uri)
    add_study_page(client, "no such run")
    assert "tgsr report --run no such run" in caplog.text
    log_paper_report(client, stored["older"], [stored["TCA"]])
    assert "source-cv" in read_artifact(client, stored["older"], "tables/tables.csv").decode()


def test_a_study_without_a_finished_trial_gives_a_page(config: TrackingConfig, trials: Trials, tmp_path: Path) -> None:
    run_id = _store(config, trials(kappa=(1,), xi=(1.0,)).head(0), tmp_path, status="KILLED", pair="C-V")
    record = record_from_run(open_client(config.tracking_uri), run_id)
    assert record.best is None
    page, _ = report_runs(ReportRequest(tmp_path / "out"), (run_id,), config, log=False)
    assert page.is_file()


def test_what_cannot_be_written_is_named_without_a_traceback(
    config: TrackingConfig, stored: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "taken").write_text("a file where the folder should be")
    arguments = ["report", "--home", str(config.home), "--run", stored["TCA"]]
    result = CliRunner().invoke(cli, [*arguments, "--no-log", "--out", str(tmp_path / "taken")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output

    def refuse(*_: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "--no-log" in result.output


def test_trials_are_told_by_method_selection_and_study(
    config: TrackingConfig, stored: dict[str, str], tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["trials", "--home", str(config.home), *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    listed = run("--list", "--method", "tca")
    assert stored["TCA"] in listed
    assert stored["TGSR"] not in listed
    shown = run("--selection", "source-cv", "--top", "1")
    assert "n_components" in shown
    assert f"(run {stored['TCA']})" in shown
    run("--study", stored["older"], "--out", str(tmp_path / "all.csv"))
    assert len(pd.read_csv(tmp_path / "all.csv")) == 4
    missing = CliRunner().invoke(cli, ["trials", "--home", str(config.home), "--study", "nothing"])
    assert "no such study" in missing.output


def test_an_empty_home_and_a_run_that_is_no_study_are_clear_errors(tmp_path: Path) -> None:
    config = resolve_config(tmp_path)
    client = open_client(config.tracking_uri)
    result = CliRunner().invoke(cli, ["report", "--home", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "no study yet" in result.output
    with pytest.raises(MissingDataError, match="is no study"):
        record_from_run(client, client.create_run("0").info.run_id)
