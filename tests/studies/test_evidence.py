"""The evidence for rules: every choice in the tables, no label in any but the oracle's, nothing computed twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.io
from click.testing import CliRunner

import studies.evidence
from studies.evidence import main, make_pairs, read_folder, run_case, thin_grid
from studies.evidence_summary import database_weights, summarise
from tgsr.datasets import DatabasePair, FeatureDataset, save_features
from tgsr.errors import MissingDataError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation.rules import ALWAYS
from tgsr.trials.fitter import Fitter
from tgsr.trials.spec import make_spec
from tgsr.trials.trial import decode_predictions, encode_predictions

GRID = {"kappa": [1, 2, 4], "xi": [0.01, 1.0]}


def database(name, n_samples=18, seed=0, n_subjects=4):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_samples) % 2
    X = rng.random((n_samples, 12)) + 0.5 * labels[:, None] * (np.arange(12) < 6)
    subjects = np.array([f"{name[0]}{index * n_subjects // n_samples}" for index in range(n_samples)])
    return FeatureDataset(name, X, labels, ("no", "yes"), subjects, groups=np.repeat(np.arange(4), 3))


@pytest.fixture
def pair():
    return DatabasePair(database("left", 24), database("right", seed=1))


@pytest.fixture
def folder(tmp_path, pair):
    for data in (pair.source, pair.target):
        save_features(data, tmp_path / f"{data.name}.tgsr.npz")
    return tmp_path


def run(folder, *arguments):
    options = ("--data", str(folder), "--out", str(folder / "out"), "--draws", "20", "--cells", "12")
    finished = CliRunner().invoke(main, [*options, *arguments], catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.output


def test_tables_hold_every_choice_and_an_interrupted_run_goes_on(folder, monkeypatch):
    arguments = ("--pair", "left-*", "--rules", "all")
    text = run(folder, *arguments)
    choices, summary = (pd.read_csv(folder / "out" / f"{name}.csv") for name in ("choices", "summary"))
    rules = list(studies.evidence.RULES)
    expected = {"oracle", "median", "fixed", "all cells together", *rules}
    assert set(choices["choice"]) == set(summary["choice"]) == expected | {f"{rule}, best 5%" for rule in rules}
    f1 = choices.set_index("choice")["macro_f1"]
    assert f1["oracle"] == pd.read_csv(folder / "out" / "cells.csv")["metrics.macro_f1"].max() >= f1[rules].max()
    assert all(f" {choice} " in text for choice in expected)

    monkeypatch.setattr(studies.evidence, "Fitter", None)
    run(folder, *arguments)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "out" / "choices.csv"), choices)


def test_only_the_oracle_and_the_scores_depend_on_the_targets_labels(pair):
    turned = DatabasePair(pair.source, replace(pair.target, labels=1 - pair.target.known_labels))
    found = [run_case(make_spec(one, axes=GRID), one, list(studies.evidence.RULES))[0] for one in (pair, turned)]
    blind = [table[~table["choice"].isin(["oracle", "median"])] for table in found]
    columns = ["choice", "settings", "predictions"]
    pd.testing.assert_frame_equal(blind[0][columns], blind[1][columns])
    assert not np.allclose(blind[0]["macro_f1"], blind[1]["macro_f1"])


def test_fixed_is_the_one_trial_of_a_study_without_a_search(pair):
    choices, _ = run_case(make_spec(pair, axes=GRID), pair, [])
    spec = make_spec(pair, sampler="fixed")
    (trial,) = Fitter(spec, pair).fit(tuple(spec.cells()))
    fixed = choices.set_index("choice").loc["fixed"]
    assert fixed["macro_f1"] == trial.metrics["macro_f1"]
    assert fixed["predictions"] == encode_predictions(trial.predictions)


def test_linear_models_are_averaged_and_others_vote(pair):
    task = pair.source, pair.target
    models = [
        TGSRClassifier(kappa, xi, groups=task[0].groups).fit(task[0].X, task[0].labels, X_target=task[1].X)
        for kappa in GRID["kappa"]
        for xi in GRID["xi"]
    ]
    mean = np.mean([model.coef_ for model in models], axis=0)
    choices, _ = run_case(make_spec(pair, axes=GRID), pair, [])
    together = choices.set_index("choice").loc["all cells together", "predictions"]
    np.testing.assert_array_equal(decode_predictions(together), (task[1].X @ mean.T).argmax(axis=1))

    choices, table = run_case(make_spec(pair, "SA", axes={"n_components": [1, 2, 3]}), pair, ["circular"])
    votes = np.array([decode_predictions(text) for text in table["predictions"]])
    together = choices.set_index("choice").loc["all cells together", "predictions"]
    np.testing.assert_array_equal(decode_predictions(together), votes.mean(axis=0) > 0.5)


def test_rules_that_do_not_suit_are_left_out_with_the_reason(pair, capsys):
    alone = DatabasePair(replace(pair.source, subjects=np.repeat("one", len(pair.source))), pair.target)
    choices, _ = run_case(make_spec(alone, axes=GRID), alone, [*ALWAYS, "source-cv"])
    assert "source-cv" not in set(choices["choice"])
    assert set(ALWAYS) < set(choices["choice"])
    assert "subjects" in capsys.readouterr().err


def test_a_thinned_grid_keeps_the_ends_of_its_axes():
    (block,) = thin_grid([{"kappa": list(range(1, 86)), "xi": list(range(271))}], 400)
    assert len(block["kappa"]) * len(block["xi"]) <= 400
    assert (block["kappa"][0], block["kappa"][-1], block["xi"][0], block["xi"][-1]) == (1, 85, 0, 270)
    assert thin_grid([{"C": [1.0]}, {"lam": [1, 2]}], 4) == [{"C": [1.0]}, {"lam": [1, 2]}]


def test_variants_of_a_methods_own_settings_stand_side_by_side(folder):
    variants = ["init=ones", "init=zeros,rho=1.2"]
    run(folder, "--pair", "left-right", "--rules", "none", *(part for text in variants for part in ("--variant", text)))
    table = pd.read_csv(folder / "out" / "summary.csv").set_index(["choice", "study"])
    assert table.loc["oracle"].index.tolist() == [f"TGSR · own · {text}" for text in variants]
    assert (table.loc["oracle", "macro_f1"] >= table.loc["median", "macro_f1"]).all()
    assert table["metrics.iterations"].nunique() == 2


# --- folders of other programs' files ---------------------------------------------------------------------------------


def write_npz(data, path):
    np.savez(path, features=data.X, labels=np.array(data.class_names)[data.labels], subjects=data.subjects)


def write_csv(data, path):
    table = pd.DataFrame(data.X, columns=[f"f{column}" for column in range(12)])
    table.assign(label=np.array(data.class_names)[data.labels], subject=data.subjects).to_csv(path, index=False)


def write_mat(data, path):
    counts = np.round(100 * data.X).astype(np.uint8)
    scipy.io.savemat(path, {"fts": counts, "labels": data.labels[:, None].astype(np.uint8) + 1})


@pytest.mark.parametrize(("write", "suffix"), [(write_npz, "npz"), (write_csv, "csv"), (write_mat, "mat")])
def test_foreign_files_are_imported_beside_the_results(tmp_path, write, suffix):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for seed, name in enumerate(("here", "there")):
        write(database(name, seed=seed), data / f"{name}.{suffix}")
    (data / "README.md").write_text("no features")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    arguments = ["--data", str(data), "--out", str(out), "--cells", "6", "--draws", "10"]
    finished = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    assert set(pd.read_csv(out / "choices.csv")["pair"]) == {"here-there", "there-here"}
    assert list(read_folder(out / "imported", tmp_path / "again")) == ["here", "there"]
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_counts_of_a_mat_file_are_shares_and_its_classes_keep_their_numbers(tmp_path):
    write_mat(database("here"), tmp_path / "here.mat")
    (data,) = read_folder(tmp_path, tmp_path / "imported").values()
    np.testing.assert_allclose(data.X.sum(axis=1), 1)
    assert data.class_names == ("1", "2")
    np.testing.assert_array_equal(data.labels, database("here").labels)


@pytest.mark.parametrize("name", ["broken.mat", "broken.npz", "broken.csv"])
def test_a_file_that_cannot_be_read_is_named_and_passed_over(folder, capsys, name):
    (folder / name).write_bytes(b"\x00 no features \xff" * 20)
    assert list(read_folder(folder, folder / "imported")) == ["left", "right"]
    assert name in capsys.readouterr().err


def test_databases_of_other_features_or_without_labels_make_no_pair():
    one, wide = database("one"), database("wide")
    wide = replace(wide, features=np.hstack([wide.X, wide.X]), groups=np.arange(24) // 3)
    blind = replace(database("blind"), labels=None)
    databases = {data.name: data for data in (one, wide, blind, database("two"))}
    assert list(make_pairs(databases)) == ["one-two", "two-one"]
    assert list(make_pairs(databases, ["two-*"])) == ["two-one"]
    with pytest.raises(MissingDataError, match="no such pair: the folder holds one, wide, blind, two"):
        make_pairs(databases, ["three-*"])


# --- intervals --------------------------------------------------------------------------------------------------------


def made_choices(pairs, wrong):
    """Choices of so many samples each that are predicted wrong, in every pair."""
    rows = []
    for name, pair in pairs.items():
        truth = pair.target.known_labels
        for choice, count in wrong.items():
            codes = np.where(np.arange(len(truth)) < count, 1 - truth, truth)
            f1 = float(np.mean(codes == truth))
            rows.append({"choice": choice, "pair": name, "macro_f1": f1, "predictions": encode_predictions(codes)})
    return pd.DataFrame(rows).assign(study="made", accuracy=np.nan, rho=np.nan)


def many_pairs(*names):
    return make_pairs({name: database(name, seed=seed) for seed, name in enumerate(names)})


def test_pairs_of_a_database_are_drawn_with_it_and_the_same_people_are_one_database():
    names = ("ann", "bob", "cy", "dan")
    pairs = many_pairs(*names)
    weights = dict(zip(pairs, database_weights(list(pairs.values()), 500).T, strict=True))
    for there in pairs:
        back = "-".join(reversed(there.split("-")))
        np.testing.assert_array_equal(weights[there], weights[back])
    drawn = np.array(list(weights.values()))
    assert drawn.any(axis=0).all()
    absent = weights["ann-bob"] + weights["ann-cy"] + weights["ann-dan"] == 0
    assert 0.2 < absent.mean() < 0.45, "a database of four is absent in (3/4)^4 of the draws"
    # another camera on the same people: subjects are called by a database's first letter
    same = many_pairs("ann", "anna", "bob", "cy", "dan")
    weights = dict(zip(same, database_weights(list(same.values()), 500).T, strict=True))
    np.testing.assert_array_equal(weights["ann-bob"], weights["anna-bob"])
    assert len(database_weights(list(many_pairs("ann", "anna", "bob", "cy").values()), 500)) == 0


def test_a_gain_that_all_pairs_share_has_an_interval_of_its_own_size():
    pairs = many_pairs("ann", "bob", "cy", "dan")
    table = summarise(made_choices(pairs, {"median": 9, "fixed": 6, "oracle": 0, "good": 3, "same": 6}), pairs, 2000)
    good, same = (table.set_index("choice").loc[name] for name in ("good", "same"))
    np.testing.assert_allclose([good["databases_low"], good["databases_high"]], 3 / 18)
    assert good["people_low"] < good["difference"] < good["people_high"]
    assert (good["above_fixed"], good["below_fixed"], same["above_fixed"]) == (12, 0, 0)
    assert good["holm"] == pytest.approx(2 * good["p"])
    assert same["p"] == 1
    assert table.set_index("choice").loc[["median", "fixed", "oracle"], "holm"].isna().all()


def test_few_databases_have_no_interval_over_them():
    pairs = many_pairs("ann", "bob")
    choices = made_choices(pairs, {"median": 9, "fixed": 6, "good": 3})
    summary = summarise(choices, pairs, 50)
    assert summary["databases_low"].isna().all()


def test_one_class_for_all_is_counted():
    pairs = many_pairs("ann", "bob")
    choices = made_choices(pairs, {"median": 9, "fixed": 6, "good": 3})
    choices.loc[(choices["choice"] == "good") & (choices["pair"] == "ann-bob"), "predictions"] = "0" * 18
    counts = summarise(choices, pairs, 50).set_index("choice")["one_class"]
    assert (counts["good"], counts["fixed"]) == (1, 0)


def test_one_command_does_for_the_folder_of_features_from_elsewhere(external, tmp_path):
    assert len(make_pairs(read_folder(external, tmp_path / "imported"))) == 24
    out = tmp_path / "out"
    names = ["lbp_top_SAMM-lbp_top_CASME2", "hoof_SMIC_HS-hoof_SAMM", "webcam_SURF_L10-dslr_SURF_L10"]
    options = ["--data", str(external), "--out", str(out), "--cells", "6", "--draws", "10", "--preprocess", "standard"]
    options += [part for name in names for part in ("--pair", name)]
    finished = CliRunner().invoke(main, options, catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    choices = pd.read_csv(out / "choices.csv").pivot(index="choice", columns="pair", values="macro_f1")
    assert set(choices.columns) == set(names)
    assert set(ALWAYS) < set(choices.index)
    # above what one class for all would have
    assert (choices.loc["oracle"] > 0.3).all()
    assert set(pd.read_csv(out / "summary.csv")["study"]) == {"TGSR · own · standard"}
