"""Every experiment whose databases are there, in one go; interrupted, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import studies.paper as paper_module
from studies.paper import PaperPlan, run_paper
from studies.space import Space
from studies.study import StudyOptions, run_study
from tgsr.errors import MissingDataError, ParameterError
from tgsr.evaluation.comparison import available_pairs
from tgsr.tracking.place import open_client
from tgsr.tracking.reading import list_studies, read_artifact

PLAN = PaperPlan(selection="oracle", space=Space((3, 20), (0.1, 10.0)), methods=("SVM", "SA"))


class Interrupt(BaseException):
    pass


def test_it_goes_on_after_an_interruption_and_ends_with_studies_models_comparison_and_report(
    make_options: Callable[..., StudyOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    options = make_options(say=said.append)
    original = paper_module.run_study
    started: list[str] = []

    def interrupted(spec: Any, *arguments: Any) -> Any:
        started.append(spec.experiment)
        if len(started) == 2:
            raise Interrupt
        return original(spec, *arguments)

    monkeypatch.setattr(paper_module, "run_study", interrupted)
    with pytest.raises(Interrupt):
        run_paper(PLAN, options)
    client = open_client(options.place.tracking_uri)
    (first,) = list_studies(client)

    result = run_paper(PLAN, options)
    assert started == ["V-N", "N-V", "V-N", "N-V"]
    assert set(result.studies) == {"V-N", "N-V"}
    assert len(result.missing) == 10
    assert result.studies["V-N"].run_id == first.run_id  # the finished study was found, not run again
    assert {study.run_id for study in list_studies(client)} == {study.run_id for study in result.studies.values()}
    assert client.get_run(result.run_id).info.status == "FINISHED"
    assert client.get_run(result.run_id).data.tags["tgsr.generated"] == "true"
    for name, study in result.studies.items():
        parent = client.get_run(study.run_id).data.tags
        assert parent["mlflow.parentRunId"] == result.run_id
        version = client.get_model_version_by_alias(f"tgsr-{name}", "champion")
        assert version.run_id == study.best["run_id"]
        assert version.tags["tgsr.selection"] == "oracle"
    assert result.comparison is not None
    rows = set(result.comparison[["experiment", "method", "selection"]].itertuples(index=False, name=None))
    assert rows == {(e, m, s) for e in ("V-N", "N-V") for m in ("SVM", "SA") for s in ("oracle", "default")}
    page = read_artifact(client, result.run_id, "report.html")
    text = page.decode() if isinstance(page, bytes) else str(page)
    assert "TGSR (regions)" in text  # facial regions do not stand in the row of the paper's released groups
    assert any("left out: H-V" in line for line in said)
    stored = {entry.path for entry in client.list_artifacts(result.run_id, "tables")}
    assert stored == {f"tables/tables.{kind}" for kind in ("csv", "md", "html", "tex")}
    for experiment in ("tgsr/paper", "tgsr/compare"):
        assert "tgsr" in client.get_experiment_by_name(experiment).tags["mlflow.note.content"]


def test_a_study_that_is_there_is_linked_to_the_newest_paper(make_options: Callable[..., StudyOptions]) -> None:
    options = make_options()
    pairs, _ = available_pairs(options.data_folder)
    experiment, pair = next(iter(pairs.items()))
    alone = run_study(PLAN.spec(experiment, pair), pair, options)
    for plan in (replace(PLAN, methods=()), replace(PLAN, methods=("SVM",))):
        result = run_paper(plan, options)
        client = open_client(options.place.tracking_uri)
        study = result.studies[experiment.name]
        assert study.run_id == alone.run_id
        assert client.get_run(study.run_id).data.tags["mlflow.parentRunId"] == result.run_id


def test_a_misspelt_method_is_refused_before_anything_runs(make_options: Callable[..., StudyOptions]) -> None:
    options = make_options()
    with pytest.raises(ParameterError, match="unknown method 'SWM'"):
        run_paper(replace(PLAN, methods=("SVM", "SWM")), options)
    assert not list_studies(open_client(options.place.tracking_uri))
    assert not (options.place.home / "optuna.journal").exists()


def test_without_a_complete_experiment_it_says_what_is_missing(
    make_options: Callable[..., StudyOptions], tmp_path: Any
) -> None:
    (tmp_path / "empty").mkdir()
    options = make_options()
    with pytest.raises(MissingDataError, match="empty"):
        run_paper(PLAN, StudyOptions(options.place, str(tmp_path / "empty"), progress=False))
