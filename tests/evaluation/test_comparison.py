"""The comparison table: its columns, resumption, published numbers, and the command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tgsr.cli import cli
from tgsr.datasets import save_features
from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators import METHODS
from tgsr.evaluation import comparison
from tgsr.evaluation.comparison import (
    COLUMNS,
    ComparisonOptions,
    available_pairs,
    comparison_table,
    run_comparison,
    run_method,
    write_comparison,
)
from tgsr.evaluation.metrics import score
from tgsr.evaluation.paper import published_result, published_results
from tgsr.protocols import EXPECTED_COUNTS, EXPERIMENTS, get_experiment

V_N = get_experiment("V-N")
FAST = ["SVM", "GFK", "DRLS"]
QUICK = ["SVM", "GFK", "SA"]


@pytest.fixture(scope="module")
def pair(pair_factory):
    return pair_factory(n_source=18, n_target=15)


def test_published_tables_are_complete():
    assert len(published_results()) == 120
    assert {method for _, method in published_results()} == set(METHODS)
    assert published_result(V_N, "TGSR").macro_f1 == 0.6984


def test_exactly_three_published_accuracies_are_impossible():
    impossible = set()
    for experiment in EXPERIMENTS:
        n_target = sum(EXPECTED_COUNTS[experiment.target])
        attainable = {round(100 * hits / n_target, 2) for hits in range(n_target + 1)}
        for method in METHODS:
            cell = published_result(experiment, method)
            if round(100 * cell.accuracy, 2) not in attainable:
                impossible.add((experiment.name, method))
                assert round(100 * cell.possible_accuracy, 2) in attainable
            assert cell.impossible == ((experiment.name, method) in impossible)
    assert impossible == {("V-C", "GFK"), ("C-N", "DRLS"), ("N-C", "DRLS")}


def test_equality_is_to_the_printed_digit():
    cell = published_result(V_N, "SVM")
    assert cell.equals(0.61855, 45 / 71)
    assert not cell.equals(0.6187, 45 / 71)
    assert not cell.equals(0.6186, 44 / 71)


def test_table_has_the_promised_columns_and_scales(pair):
    table = comparison_table(run_comparison({V_N: pair}, FAST))
    assert tuple(table.columns) == COLUMNS
    assert table["method"].tolist() == ["SVM", "SVM", "GFK", "GFK", "DRLS", "DRLS"]
    assert table["selection"].tolist() == ["oracle", "default"] * 3
    assert table["accuracy"].between(0, 1).all()
    assert table["paper_accuracy"].tolist()[:2] == [0.6338, 0.6338]
    assert json.loads(table["params"][3]) == {"n_components": 20}


def test_oracle_is_the_first_best_of_the_grid(pair):
    result = run_method(V_N, pair, "GFK", "oracle")
    scores = []
    for params in METHODS["GFK"].grid(18, 15):
        fitted = METHODS["GFK"].make(**params).fit(pair.source.X, pair.source.labels, X_target=pair.target.X)
        scores.append(score(pair.target.labels, fitted.predict(pair.target.X), 3).macro_f1)
    assert len(scores) == result.n_candidates == 14
    assert result.params == {"n_components": 1 + int(np.argmax(scores))}
    assert result.scores.macro_f1 == max(scores)


def test_default_never_looks_at_target_labels(pair_factory):
    from dataclasses import replace

    pair = pair_factory(n_source=18, n_target=15)
    shuffled = replace(pair, target=replace(pair.target, labels=np.roll(pair.target.labels, 1)))
    for method in FAST:
        first, second = (run_method(V_N, given, method, "default") for given in (pair, shuffled))
        np.testing.assert_array_equal(first.predictions, second.predictions)
        assert first.params == second.params == METHODS[method].defaults


def test_tgsr_oracle_covers_the_whole_grid(pair, monkeypatch):
    plans = []

    def surface(pair, plan, **options):
        plans.append(plan)
        options["on_xi"](pd.DataFrame({"kappa": range(85)}))
        return pd.DataFrame({"kappa": [3, 4, 5], "xi": [0.1, 0.1, 0.2], "macro_f1": [0.2, 0.5, 0.5]})

    monkeypatch.setattr(comparison, "score_grid", surface)
    steps = []
    result = run_method(V_N, pair, "TGSR", "oracle", progress=lambda *call: steps.append(call))
    assert result.params == {"kappa": 4, "xi": 0.1}
    assert result.n_candidates == len(plans[0].kappas) * len(plans[0].xis) == 85 * 271
    assert plans[0].grouping == "released"
    assert steps == [("V-N TGSR oracle", 85, 85 * 271)]


def test_thin_grid_of_tsrg(pair):
    thin = comparison._candidates(METHODS["TSRG"], pair, ComparisonOptions(thin_tsrg=True))
    assert len(METHODS["TSRG"].grid(18, 15)) == 259
    assert len(thin) == 63
    assert {params["mu"] for params in thin} == {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0}


def test_interrupted_comparison_continues_with_the_same_file(pair, tmp_path, monkeypatch):
    whole = tmp_path / "whole.csv"
    write_comparison({V_N: pair}, whole, QUICK)
    computed = []
    original = comparison.run_method

    def counted(experiment, pair, method, selection, *rest):
        if len(computed) == 3:
            raise KeyboardInterrupt
        computed.append((method.name, selection))
        return original(experiment, pair, method, selection, *rest)

    monkeypatch.setattr(comparison, "run_method", counted)
    with pytest.raises(KeyboardInterrupt):
        write_comparison({V_N: pair}, tmp_path / "cut.csv", QUICK)
    assert not (tmp_path / "cut.csv").exists()
    assert len(list((tmp_path / "cut.csv.parts").iterdir())) == 3
    del computed[:]
    monkeypatch.setattr(comparison, "run_method", lambda *given: computed.append(given[2].name) or original(*given))
    write_comparison({V_N: pair}, tmp_path / "cut.csv", QUICK)
    assert computed == ["GFK", "SA", "SA"]
    assert (tmp_path / "cut.csv").read_bytes() == whole.read_bytes()
    assert not (tmp_path / "cut.csv.parts").exists()


def test_results_of_other_data_are_not_read_back(pair, pair_factory, tmp_path):
    run_comparison({V_N: pair}, ["SVM"], ["default"], parts=tmp_path)
    run_comparison({V_N: pair_factory(n_source=18, n_target=15, seed=5)}, ["SVM"], ["default"], parts=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("method", "selection"), [("PCA", "oracle"), ("SVM", "best")])
def test_unknown_names_are_refused(pair, method, selection):
    with pytest.raises(ParameterError, match="use one of"):
        run_method(V_N, pair, method, selection)


@pytest.fixture(scope="module")
def folder(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    save_features(pair.source, folder / "vis.npz")
    save_features(pair.target, folder / "nir.npz")
    return folder


def test_available_pairs_names_what_is_missing(folder, tmp_path):
    pairs, missing = available_pairs(folder)
    assert [experiment.name for experiment in pairs] == ["V-N", "N-V"]
    assert len(missing) == 10
    assert missing[get_experiment("C-H")] == ["CASME2", "SMIC_HS"]
    with pytest.raises(MissingDataError, match="no experiment"):
        available_pairs(tmp_path)


def test_command_writes_the_table(folder, tmp_path):
    out = tmp_path / "table.csv"
    options = ["--data", str(folder), "--methods", "svm,tkl", "--out", str(out)]
    result = CliRunner().invoke(cli, ["compare", "--source", "V", "--target", "N", *options])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    assert tuple(table.columns) == COLUMNS
    assert table["method"].tolist() == ["SVM", "SVM", "TKL", "TKL"]
    result = CliRunner().invoke(cli, ["compare", "--experiment", "all", "--selection", "default", *options])
    assert result.exit_code == 0, result.output
    assert "left out: H-V (no SMIC_HS in" in result.output
    assert pd.read_csv(out)["experiment"].tolist() == ["V-N", "V-N", "N-V", "N-V"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "V", "--target", "C"], "CASME2 is not there"),
        (["--source", "V"], "--target"),
        (["--experiment", "V-N", "--methods", "svm,xyz"], "unknown method 'xyz'"),
    ],
)
def test_command_tells_what_is_wrong(folder, tmp_path, arguments, message):
    out = tmp_path / "table.csv"
    result = CliRunner().invoke(cli, ["compare", "--data", str(folder), "--out", str(out), *arguments])
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists()
