"""Reports from MLflow and back to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.reports import FIGURES, render_study, report_studies
from tgsr.reports.building import log_report, log_study_page, write_report
from tgsr.study.options import RunOptions
from tgsr.study.running import run_study
from tgsr.tracking.client import open_client, search_runs
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.names import PAGE, Tag
from tgsr.tracking.records import StudyRecord, list_studies, read_artifact
from tgsr.trials.spec import make_spec


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingConfig]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield resolve_config(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def studies(config: TrackingConfig, pair_factory: Callable[..., DatabasePair]) -> dict[str, StudyRecord]:
    """Studies of two methods, one of them with a consensus."""
    pair = pair_factory()
    specs = {
        "TGSR": make_spec(pair, axes={"kappa": [5, 10, 20, 40], "xi": [0.1, 1.0, 10.0, 30.0, 100.0]}),
        "TCA": make_spec(pair, "TCA", axes={"n_components": [1, 2]}),
    }
    return {
        name: run_study(spec, pair, RunOptions(config, "x", jobs=1, progress=False, page=name == "TGSR")).record
        for name, spec in specs.items()
    }


def test_a_finished_study_has_its_page_with_the_consensus(
    config: TrackingConfig, studies: dict[str, StudyRecord]
) -> None:
    page = read_artifact(open_client(config.tracking_uri), studies["TGSR"].run_id, PAGE).decode()
    assert "Study V-N TGSR grid region" in page
    assert "consensus: the best 1 by circular, averaged" in page
    assert "Consensus, how often each group is kept" in page
    assert "20 trials of the 20 cells of its grid" in page
    assert "20 of 23,035 cells" in page
    assert "24 samples" not in page  # databases are described by their classes
    assert "SMIC_VIS (generated), 8 negative, 8 positive, 8 surprise, digest" in page


def test_reports_go_onto_their_runs_and_have_every_study(
    config: TrackingConfig,
    studies: dict[str, StudyRecord],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tgsr.reports._figures.FIGURES", FIGURES[1:2])
    with caplog.at_level(logging.INFO, "tgsr"):
        page = report_studies(config, tmp_path)
    assert caplog.text.count(PAGE) == 2
    client = open_client(config.tracking_uri)
    assert "Study V-N TCA grid" in read_artifact(client, studies["TCA"].run_id, PAGE).decode()
    assert read_artifact(client, studies["TGSR"].run_id, "figures/consensus-regions.pdf")[:4] == b"%PDF"
    tables = pd.read_csv(page.parent / "tables" / "tables.csv")
    report_studies(config, tmp_path, runs=[studies["TCA"].run_id])
    experiment = client.get_experiment_by_name("tgsr/report")
    (run,) = search_runs(client, [experiment.experiment_id], f"tags.`{Tag.KIND}` = 'report'")  # the same one again
    assert "Table I" in read_artifact(client, run.info.run_id, PAGE).decode()
    assert set(tables["choice"]) == {"oracle", "circular", "consensus"}
    assert set(tables["method"]) == {"TCA", "TGSR (region)"}


def test_runs_a_pair_and_a_choice_can_be_asked_for(
    config: TrackingConfig, studies: dict[str, StudyRecord], tmp_path: Path
) -> None:
    page = report_studies(config, tmp_path, runs=[studies["TCA"].run_id], by="vote", log=False)
    (folder,) = [path for path in tmp_path.iterdir() if (path / PAGE).is_file()]
    assert "label-free: vote</span>" in (folder / PAGE).read_text()
    assert "TCA" in page.read_text()
    assert "TGSR (region)" not in page.read_text()
    with pytest.raises(MissingDataError, match="no study of C-V yet"):
        report_studies(config, tmp_path, pair="C-V")
    with pytest.raises(ParameterError, match="'iw-cv'"):
        report_studies(config, tmp_path, by="iw-cv")


def test_a_study_without_values_of_the_rule_that_is_asked_for_keeps_its_own(
    record_factory: Callable[..., StudyRecord],
    trials: Callable[..., pd.DataFrame],
    tmp_path: Path,
    no_figures: None,
) -> None:
    table = trials(n_components=(1, 2))
    known: dict[str, Any] = {"method": "TCA", "fixed": {}, "choose": "circular"}
    able = record_factory(table.assign(**{"rules.source-cv": [0.1, 0.2]}), pair="V-N", **known)
    write_report([able, record_factory(table, pair="N-V", **known)], tmp_path, by="source-cv")
    shown = {path.parent.name[:3]: path.read_text() for path in tmp_path.glob(f"*/{PAGE}")}
    assert "label-free: source-cv</span>" in shown["V-N"]
    assert "label-free: circular</span>" in shown["N-V"]


def test_a_page_that_cannot_be_made_stops_no_study(
    studies: dict[str, StudyRecord], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise RuntimeError("nothing to draw with")

    monkeypatch.setattr("tgsr.reports.building.render_study", fail)
    log_study_page(studies["TCA"])
    assert "nothing to draw with" in caplog.text
    assert f"tgsr report --run {studies['TCA'].run_id}" in caplog.text


def test_a_command_puts_the_whole_onto_its_run(config: TrackingConfig, studies: dict[str, StudyRecord]) -> None:
    client = open_client(config.tracking_uri)
    run = client.create_run("0")
    log_report(client, run.info.run_id, [studies["TCA"]])
    assert "circular" in read_artifact(client, run.info.run_id, "tables/tables.csv").decode()
    assert "1 of 12 have results here" in read_artifact(client, run.info.run_id, PAGE).decode()
    client.delete_run(run.info.run_id)


def test_a_study_without_a_finished_trial_and_one_of_an_older_format_do_not_stop_a_report(
    config: TrackingConfig,
    studies: dict[str, StudyRecord],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    no_figures: None,
) -> None:
    client = open_client(config.tracking_uri)
    experiment, tags = studies["TCA"].experiment_id, {Tag.KIND: "study", Tag.EXPERIMENT: "V-N", Tag.METHOD: "TCA"}
    empty, old = (client.create_run(experiment, tags=tags, run_name=name).info.run_id for name in ("empty", "old"))
    for name in ("study.json", "classes.json"):
        client.log_text(empty, read_artifact(client, studies["TCA"].run_id, name).decode(), name)
    client.log_text(old, "{}", "study.json")
    try:
        record = next(one for one in list_studies(client) if one.run_id == empty)
        assert "There is no finished trial yet" in render_study(record)
        with caplog.at_level(logging.WARNING, "tgsr"):
            page = report_studies(config, tmp_path, log=False)
        assert "old" in caplog.text
        assert "TGSR (region)" in page.read_text()
    finally:
        client.delete_run(empty)
        client.delete_run(old)


def test_what_cannot_be_written_or_stored_is_named(
    config: TrackingConfig, studies: dict[str, StudyRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(ParameterError, match="cannot be written"):
        write_report([studies["TCA"]], tmp_path / "taken")

    def refuse(*_: Any) -> None:
        raise RuntimeError("the store is away")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    with pytest.raises(TrackingError, match="--no-log"):
        report_studies(config, tmp_path / "out", runs=[studies["TCA"].run_id])
    assert (tmp_path / "out" / PAGE).is_file()


def test_a_run_that_is_no_study_is_a_clear_error(config: TrackingConfig, tmp_path: Path) -> None:
    client = open_client(config.tracking_uri)
    run = client.create_run("0")
    with pytest.raises(TrackingError, match="is no study"):
        report_studies(config, tmp_path, runs=[run.info.run_id])
    client.delete_run(run.info.run_id)
