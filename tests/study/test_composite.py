"""The composite protocol on three generated databases, and features of one's own with groups of unequal size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score, recall_score

from tests.conftest import generated_database
from tgsr.cli import cli
from tgsr.datasets import load_pair, save_features
from tgsr.errors import DataError, MissingDataError
from tgsr.study.comparing import ComparePlan, comparison_table
from tgsr.study.composite import run_composite
from tgsr.study.pairs import choose_pairs
from tgsr.study.running import run_study


@pytest.fixture(scope="module")
def databases():
    return [generated_database(name, 12, seed) for seed, name in enumerate(("SMIC_HS", "CASME2", "SAMM"))]


def test_uf1_and_uar_are_scikit_learns_over_the_pooled_predictions(databases):
    table, predictions = run_composite(databases, ["TGSR", "SVM"], progress=False, jobs=2)
    assert len(predictions) == 36
    assert predictions["subject"].nunique() == 6
    rows = table.set_index(["method", "part"])
    for method in ("TGSR", "SVM"):
        for part in ("all", "SMIC_HS", "CASME2", "SAMM"):
            inside = predictions if part == "all" else predictions[predictions["database"] == part]
            true, predicted = inside["true"], inside[method]
            assert rows["uf1"][method, part] == pytest.approx(f1_score(true, predicted, average="macro"))
            assert rows["uar"][method, part] == pytest.approx(recall_score(true, predicted, average="macro"))


def test_no_subject_is_in_its_own_training_set(databases):
    from tgsr.datasets import pool
    from tgsr.study.composite import composite_folds

    data = pool(databases)
    folds = list(composite_folds(data))
    assert sorted(np.concatenate([left_out for left_out, _ in folds]).tolist()) == list(range(36))
    for _, pair in folds:
        assert not set(pair.source.subjects) & set(pair.target.subjects)


def test_without_subjects_nobody_can_be_left_out(databases):
    with pytest.raises(DataError, match="subjects are not known"):
        run_composite([replace(databases[0], subjects=None)], ["SVM"], progress=False)


def test_the_command_writes_scores_and_predictions(databases, tmp_path):
    for data in databases:
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    out = tmp_path / "scores.csv"
    command = ["protocol", "--data", str(tmp_path), "--methods", "SVM", "--out", str(out), "--quiet"]
    result = CliRunner().invoke(cli, [*command, "--predictions", str(tmp_path / "p.csv")])
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out)["part"].tolist() == ["all", "SMIC_HS", "CASME2", "SAMM"]
    assert len(pd.read_csv(tmp_path / "p.csv")) == 36


def test_each_database_is_left_out_of_the_union_of_the_others(databases, tmp_path):
    for data in databases:
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    pairs = choose_pairs(tmp_path, None, None, None, "leave-one-out")
    assert [(len(pair.source), pair.target.name) for pair in pairs] == [(24, "CASME2"), (24, "SAMM"), (24, "SMIC_HS")]
    (tmp_path / "SAMM.tgsr.npz").unlink()
    with pytest.raises(MissingDataError, match="three are needed"):
        choose_pairs(tmp_path, None, None, None, "leave-one-out")


def test_imported_features_with_forty_unequal_groups_are_studied_and_compared(make_spec, make_options, tmp_path):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    signal = rng.standard_normal((3, len(groups))) * (groups < 5)
    for name, n, shift in (("mine", 30, 0.0), ("theirs", 24, 0.3)):
        labels = np.arange(n) % 3
        X = signal[labels] + 0.5 * rng.standard_normal((n, len(groups))) + shift
        names = np.array(["negative", "positive", "surprise"])[labels]
        np.savez(
            tmp_path / f"{name}.npz",
            features=X,
            labels=names,
            groups=groups,
            subjects=[f"s{i % 5}" for i in range(n)],
        )
        out = tmp_path / f"{name}.tgsr.npz"
        command = ["features", "--database", name, "--import", str(tmp_path / f"{name}.npz"), "--out", str(out)]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        (tmp_path / f"{name}.npz").unlink()
    pair = load_pair("mine", "theirs", tmp_path)
    assert (pair.name, pair.n_groups) == ("mine-theirs", 40)
    spec = make_spec(pair, axes={"xi": [0.1, 1.0]})
    assert len(spec.cells()) == 80
    result = run_study(spec, pair, make_options())
    kept = result.table[result.table["kappa"] == 5]["regions_kept"]
    assert (kept <= 5).all()
    plan = ComparePlan(methods=("TGSR", "SVM", "sklearn.neighbors:NearestCentroid"), axes={"kappa": [5], "xi": [0.1]})
    table = comparison_table([pair], plan, make_options())
    assert set(table["method"].str.split(" ").str[0]) == {"TGSR", "SVM", "sklearn.neighbors:NearestCentroid"}
    best = table[table["selection"] == "oracle"].set_index("method")["macro_f1"]
    assert best.min() > 0.8
    fixed = table[(table["selection"] == "fixed") & table["method"].str.startswith("TGSR")]
    assert json.loads(fixed["params"].iloc[0])["kappa"] == 40
