"""Methods side by side are a table over their studies; all pairs in one go, interrupted or not."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from studies.paper import run_paper
from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.errors import MissingDataError, ParameterError
from tgsr.study import ComparePlan, compare_methods
from tgsr.study.pairs import choose_pairs
from tgsr.study.status import result_lines
from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies, read_artifact
from tgsr.trials.fitter import Fitter

AXES = {"kappa": [3, 20, 60, 85], "xi": [0.1, 1.0, 10.0, 40.0, 200.0]}
OURS = "TGSR (region)"
METHODS, CHOICES = ("SVM", "SA", OURS), ("oracle", "circular", "class-balance", "fixed")
PLAN = ComparePlan(methods=("SVM", "SA", "TGSR"), choices=CHOICES, grouping="region", axes=AXES, limits={"SA": 4})


@pytest.fixture
def fitted(monkeypatch):
    """Numbers of the trials that are fitted, by method."""
    found, fit = [], Fitter.fit

    def counting(self, task, keep_matrices=True):
        found.extend(number for number, _ in task)
        return fit(self, task, keep_matrices)

    monkeypatch.setattr(Fitter, "fit", counting)
    return found


def studies_of(options):
    return list_studies(open_client(options.config.tracking_uri))


def commands_of(options, kind):
    """The runs of a command."""
    client = open_client(options.config.tracking_uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(ids, f"tags.`tgsr.kind` = '{kind}'")


def test_a_row_for_each_method_and_choice_and_each_grid_is_fitted_once(make_options, small_pair, fitted):
    options = make_options()
    table = compare_methods([small_pair], PLAN, options)
    assert list(zip(table["method"], table["choice"], strict=True)) == [
        (method, choice) for method in METHODS for choice in CHOICES
    ]
    # each grid; for each the one trial of fixed settings; the trial of the consensus, whose matrix is not kept
    n_grids = {"SVM": 1, "SA": 4, OURS: 20}
    assert len(fitted) == sum(n_grids.values()) + 3 + 1
    rows = table.set_index(["method", "choice"])
    for method in METHODS:
        assert rows["trials"][method, "oracle"] == n_grids[method]
        assert rows["trials"][method, "fixed"] == 1
        assert rows["macro_f1"][method, "oracle"] >= rows["macro_f1"][method, "circular"]
    assert rows["partial"][OURS, "class-balance"] == "20 of 23,035 cells"
    assert rows["partial"]["SA", "oracle"].startswith("4 of ")
    assert (rows["partial"][[("SVM", "fixed"), (OURS, "fixed")]] == "").all()
    assert rows["generated"].all()
    fitted.clear()
    again = compare_methods([small_pair], PLAN, options)
    pd.testing.assert_frame_equal(again, table)
    assert fitted == []


def test_a_row_is_what_the_study_chooses(make_options, small_pair):
    options = make_options()
    rows = compare_methods([small_pair], PLAN, options).set_index(["method", "choice"])
    (study,) = (one for one in studies_of(options) if (one.method, one.spec.sampler) == ("TGSR", "grid"))
    for by in ("oracle", "circular", "class-balance"):
        choice = study.choose(by)
        assert json.loads(rows["params"][OURS, by]) == choice.settings
        assert rows["macro_f1"][OURS, by] == choice.metrics["macro_f1"]
        assert rows["accuracy"][OURS, by] == choice.metrics["accuracy"]


def test_another_choice_of_the_same_studies_fits_only_what_its_rule_needs(make_options, small_pair, fitted):
    options = make_options()
    compare_methods([small_pair], ComparePlan(("TGSR",), ("oracle",), grouping="region", axes=AXES), options)
    fitted.clear()
    plan = ComparePlan(("TGSR",), ("oracle", "discrepancy", "entropy"), grouping="region", axes=AXES)
    rows = compare_methods([small_pair], plan, options).set_index("choice")
    assert len(fitted) == 1, "the trial of the consensus, which is made anew with the summary"
    (study,) = studies_of(options)
    assert study.table["rules.entropy"].notna().all()
    assert json.loads(rows["params"]["entropy"]) == study.choose("entropy").settings


def test_the_consensus_is_a_row_of_the_methods_that_have_one(make_options, small_pair):
    options = make_options()
    plan = ComparePlan(("SVM", "TGSR"), ("circular", "consensus"), grouping="region", axes=AXES)
    table = compare_methods([small_pair], plan, options)
    assert list(zip(table["method"], table["choice"], strict=True)) == [
        ("SVM", "circular"),
        (OURS, "circular"),
        (OURS, "consensus"),
    ]
    (study,) = (one for one in studies_of(options) if one.method == "TGSR")
    row = table.iloc[2]
    assert row["macro_f1"] == study.metrics["macro_f1.consensus"]
    assert json.loads(row["params"]) == {"by": "circular", "trials": 1}


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside mlflow run"])
def test_the_studies_are_children_of_the_comparisons_run(make_options, small_pair, monkeypatch, inside):
    options = make_options()
    client = open_client(options.config.tracking_uri)
    started = client.create_run("0").info.run_id
    if inside:
        monkeypatch.setenv("MLFLOW_RUN_ID", started)
    table = compare_methods([small_pair], PLAN, options)
    (run,) = commands_of(options, "compare")
    assert (run.info.run_id == started) is inside
    assert run.info.status == ("RUNNING" if inside else "FINISHED"), "the end of a project's run is MLflow's business"
    assert {study.tags["mlflow.parentRunId"] for study in studies_of(options)} == {run.info.run_id}
    assert len(studies_of(options)) == 6
    stored = pd.read_csv(io.BytesIO(read_artifact(client, run.info.run_id, "compare.csv")), keep_default_na=False)
    assert stored["macro_f1"].tolist() == pytest.approx(table["macro_f1"].tolist())
    assert run.data.params["choices"] == ",".join(CHOICES)


def test_an_interrupted_comparison_goes_on_in_the_same_run(make_options, small_pair, monkeypatch, fitted):
    whole = compare_methods([small_pair], PLAN, make_options("whole"))
    n_whole = len(fitted)
    fitted.clear()
    options = make_options()

    def stop():
        if len(fitted) > 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tgsr.study.running.raise_if_stopped", stop)
        with pytest.raises(KeyboardInterrupt):
            compare_methods([small_pair], PLAN, options)
    (run,) = commands_of(options, "compare")
    assert run.info.status == "KILLED"
    n_first = len(fitted)
    pd.testing.assert_frame_equal(compare_methods([small_pair], PLAN, options), whole)
    assert n_first < n_whole
    (again,) = commands_of(options, "compare")
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")


def test_the_papers_numbers_stand_beside_the_released_groups_of_recorded_data_only(make_options, small_pair):
    from dataclasses import replace

    recorded = DatabasePair(*(replace(data, parameters={}) for data in (small_pair.source, small_pair.target)))
    cases = ((recorded, "released", 0.6984), (recorded, "region", np.nan), (small_pair, "released", np.nan))
    for pair, grouping, published in cases:
        plan = ComparePlan(("TGSR",), ("oracle",), grouping=grouping, axes={"kappa": [20], "xi": [1.0]})
        options = make_options(f"{grouping}-{pair.is_generated}")
        (row,) = compare_methods([pair], plan, options).to_dict("records")
        np.testing.assert_equal(row["paper_macro_f1"], published)


@pytest.mark.parametrize(
    "wrong", [{"methods": ("NOPE",)}, {"choices": ("nope",)}, {"methods": ()}, {"choices": ()}, {"limits": {"X": 1}}]
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(wrong):
    with pytest.raises(ParameterError):
        ComparePlan(**wrong)


def test_a_target_without_labels_cannot_be_compared_on(make_options, small_pair):
    from dataclasses import replace

    pair = DatabasePair(small_pair.source, replace(small_pair.target, labels=None))
    with pytest.raises(MissingDataError, match="no labels"):
        compare_methods([pair], PLAN, make_options())


def test_all_pairs_of_a_folder_in_one_go_and_run_again_nothing_is_added(make_options, data_folder, fitted, no_figures):
    pairs = choose_pairs(data_folder, None, None, None, "paper")
    assert [pair.name for pair in pairs] == ["V-N", "N-V"]
    options = make_options()
    compare = ComparePlan(methods=("SVM",), choices=("oracle", "fixed"))
    run_id, studies = run_paper(pairs, options, compare, axes=AXES)
    client = open_client(options.config.tracking_uri)
    assert [study.pair for study in studies] == ["V-N", "N-V"]
    assert [study.method for study in studies] == ["TGSR", "TGSR"]
    page = read_artifact(client, run_id, "report.html")
    assert b"V-N" in page
    compared = pd.read_csv(io.BytesIO(read_artifact(client, run_id, "compare.csv")))
    assert len(compared) == 4
    assert {study.tags["mlflow.parentRunId"] for study in studies_of(options)} == {run_id}
    versions = {model.name for model in client.search_registered_models()}
    assert versions == {"tgsr-V-N", "tgsr-N-V"}
    fitted.clear()
    again_id, again = run_paper(pairs, options, compare, axes=AXES)
    assert again_id == run_id
    assert fitted == []
    assert [study.run_id for study in again] == [study.run_id for study in studies]
    assert {len(client.search_model_versions(f"name='{name}'")) for name in versions} == {1}


def test_by_the_oracle_the_models_have_its_alias(make_options, data_folder, no_figures):
    pairs = choose_pairs(data_folder, "V-N", None, None)
    options = make_options(choose="oracle")
    for _ in range(2):  # a single trial's model is not registered again
        _, (study,) = run_paper(pairs, options, None, axes={"kappa": [3, 20], "xi": [0.1, 10.0]})
        assert study.default_choice == "oracle"
        (model,) = open_client(options.config.tracking_uri).search_registered_models()
        assert {alias: int(version) for alias, version in model.aliases.items()} == {"oracle": 1}


def test_every_ordered_pair_can_be_asked_for_and_an_empty_folder_says_what_it_lacks(data_folder, tmp_path):
    assert {pair.name for pair in choose_pairs(data_folder, None, None, None, "all")} == {"V-N", "N-V"}
    with pytest.raises(MissingDataError, match="holds no feature file"):
        choose_pairs(tmp_path, None, None, None, "paper")


def test_what_must_be_said_of_a_choice_is_in_the_table_and_in_the_terminal(make_options, monkeypatch):
    """Of as many samples as features, one class for all, and an SVM that was stopped."""
    monkeypatch.setattr("tgsr.estimators._kernel_svm._MAX_ITER", 1)
    rng = np.random.default_rng(0)
    known = {"labels": np.arange(30) % 3, "subjects": np.array([f"s{i % 5}" for i in range(30)])}
    source, target = (
        FeatureDataset(name=name, features=rng.random((30, 6)), groups=np.arange(6) // 2, **known)
        for name in ("mine", "theirs")
    )
    options = make_options()
    table = compare_methods([DatabasePair(source, target)], ComparePlan(("SVM", "TGSR"), ("fixed",)), options)
    svm, ours = table["remark"]
    assert svm.split("; ")[-1] == "1 of 1 trials did not converge"
    assert ours.split("; ")[-1].startswith("All 3 groups are kept, and 30 samples determine 6 features")
    notes = {study.method: result_lines(study, "oracle")[3:] for study in studies_of(options)}
    assert [line.partition(":")[0] for line in notes["SVM"]].count("note") == len(svm.split("; "))
    assert "note: 1 of 1 trials did not converge: scale the features" in " ".join(notes["SVM"])
    assert "note: All 3 groups are kept" in " ".join(notes["TGSR"])
