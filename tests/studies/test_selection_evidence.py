"""The evidence for rules: every choice in the tables, the oracle above all, and nothing computed twice."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import studies.selection
from studies.selection import main, thin_grid, whiten_regions
from tgsr.datasets import FeatureDataset, save_features


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, n_samples in (("left", 24), ("right", 18)):
        labels = np.arange(n_samples) % 2
        X = rng.random((n_samples, 12)) + 0.5 * labels[:, None] * (np.arange(12) < 6)
        subjects = np.array([f"s{index // 4}" for index in range(n_samples)])
        groups = np.repeat(np.arange(4), 3)
        data = FeatureDataset(name, X, labels, ("no", "yes"), subjects, groups=groups)
        save_features(data, tmp_path / f"{name}.tgsr.npz")
    return tmp_path


def run(folder, *arguments):
    options = ("--data", str(folder), "--out", str(folder / "out"), "--jobs", "1", "--draws", "20", "--cells", "12")
    finished = CliRunner().invoke(main, [*options, "--grouping", "region", *arguments], catch_exceptions=False)
    assert finished.exit_code == 0, finished.output


def test_tables_hold_every_choice_and_an_interrupted_run_goes_on(folder, monkeypatch):
    arguments = ("--pair", "left-right", "--variant", "scaling=none")
    run(folder, *arguments, "--also", "kappa=1,xi=1")
    choices, summary = (pd.read_csv(folder / "out" / f"{name}.csv") for name in ("choices", "summary"))
    found = set(choices["choice"])
    assert {"oracle", "median", "fixed", "kappa=1,xi=1", "source-cv", "stability", "all voting", "all by IWA"} <= found
    assert set(summary["choice"]) == found
    f1 = choices.set_index("choice")["macro_f1"]
    rules = [name for name in studies.selection.RULES if name != "fixed"]
    assert f1["oracle"] == f1[rules].max()
    assert (folder / "out" / "selection.png").stat().st_size > 0
    assert "| oracle |" in (folder / "out" / "summary.md").read_text(encoding="utf-8")

    monkeypatch.setattr(studies.selection, "run_case", None)
    run(folder, *arguments, "--also", "kappa=1,xi=1")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "out" / "choices.csv"), choices)


def test_a_method_without_groups_is_voted_on_and_spared_the_rules_it_does_not_suit(folder):
    run(folder, "--method", "SA", "--pair", "left-right")
    choices = pd.read_csv(folder / "out" / "choices.csv")
    assert choices["grouping"].isna().all()
    assert {"circular", "all voting"} <= set(choices["choice"])
    assert not {"stability", "all averaged"} & set(choices["choice"])


def test_a_thinned_grid_keeps_the_ends_of_its_axes():
    (block,) = thin_grid([{"kappa": list(range(1, 86)), "xi": list(range(271))}], 400)
    assert len(block["kappa"]) * len(block["xi"]) <= 400
    assert (block["kappa"][0], block["kappa"][-1], block["xi"][0], block["xi"][-1]) == (1, 85, 0, 270)
    assert thin_grid([{"C": [1.0]}, {"lam": [1, 2]}], 4) == [{"C": [1.0]}, {"lam": [1, 2]}]


def test_variants_of_a_methods_own_settings_stand_side_by_side(folder):
    run(folder, "--pair", "left-right", "--rules", "none", "--variant", "init=ones", "--variant", "init=zeros,rho=1.2")
    table = pd.read_csv(folder / "out" / "variants.csv").set_index("variant")
    assert list(table.index) == ["init=ones", "init=zeros,rho=1.2"]
    assert (table["oracle"] >= table["median"]).all()
    assert table["iterations"]["init=ones"] != table["iterations"]["init=zeros,rho=1.2"]


def test_whitened_regions_are_orthonormal_over_both_databases(small_pair):
    pair = whiten_regions(small_pair, 3)
    assert pair.n_groups == 85
    both = np.vstack([pair.source.X, pair.target.X]).reshape(-1, 85, 3).transpose(1, 0, 2)
    np.testing.assert_allclose(both.transpose(0, 2, 1) @ both, np.broadcast_to(np.eye(3), (85, 3, 3)), atol=1e-10)
