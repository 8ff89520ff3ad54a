"""Which regions are kept: frequencies that are shares, maps and tables of every pair, nothing computed twice."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import studies.regions
from studies.regions import border_regions, describe, keep_in_refits, main, moving_regions, selection_stability
from tgsr.errors import MissingDataError


def test_every_refit_keeps_as_many_groups_and_all_at_the_largest_kappa(small_pair):
    kept = keep_in_refits(small_pair, "region", 10, 1.0, n_refits=4)
    assert kept.shape == (5, 85)
    assert (kept.sum(axis=1) == 10).all(), "every refit keeps ten"
    assert selection_stability(kept[1:]) == 1, "the regions that differ by construction are found by every refit"
    assert keep_in_refits(small_pair, "region", 85, 1.0, n_refits=2).all()


def test_28_of_the_64_small_blocks_and_all_of_the_three_coarsest_scales_but_four_lie_on_the_border():
    assert border_regions()[-64:].sum() == 28
    assert border_regions()[:5].all()
    assert (~border_regions()[5:21]).sum() == 4


def test_a_folder_gives_tables_and_maps_and_a_rerun_computes_nothing(data_folder, tmp_path, monkeypatch):
    arguments = ["--data", str(data_folder), "--out", str(tmp_path / "out"), "--pair", "V-N", "--xi", "0.002"]
    for _ in range(2):
        finished = CliRunner().invoke(main, [*arguments, "--refits", "2"], catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        monkeypatch.setattr(studies.regions, "TGSRClassifier", None)
    table = pd.read_csv(tmp_path / "out" / "regions.csv")
    assert table["grouping"].tolist() == ["region", "released"]
    assert (table["ever_kept"] >= table["kept_in_half"]).all()
    assert len(pd.read_csv(tmp_path / "out" / "frequencies.csv")) == 2 * 85
    for name in ("V-N-region.png", "V-N-released.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000


def test_stability_is_1_for_equal_sets_0_by_chance_and_0_where_nothing_is_chosen():
    rng = np.random.default_rng(0)
    kept = rng.random((1, 40)) < 0.3
    assert selection_stability(np.repeat(kept, 6, axis=0)) == 1
    assert selection_stability(np.zeros((6, 40), dtype=bool)) == selection_stability(np.ones((6, 40), dtype=bool)) == 0
    by_chance = [selection_stability(rng.permuted(np.repeat(kept, 6, axis=0), axis=1)) for _ in range(200)]
    np.testing.assert_allclose(np.mean(by_chance), 0, atol=0.01)


def test_precision_and_recall_are_those_of_the_regions_that_move(small_pair):
    found = keep_in_refits(small_pair, "region", 10, 1.0, n_refits=2)
    kept = frozenset(np.flatnonzero(found[0]).tolist())
    whole, some = describe(found, "region", kept), describe(found, "region", frozenset(sorted(kept)[:5]))
    assert (whole["precision_kept"], whole["recall_kept"], whole["chance"]) == (1, 1, 10 / 85)
    assert (some["precision_kept"], some["recall_kept"]) == (0.5, 1)
    assert sum(whole[f"kept_{scale}x{scale}"] for scale in (1, 2, 4, 8)) == 10


def test_regions_that_move_are_read_from_the_truth_of_their_database(tmp_path):
    for name, moving in (("SMIC_VIS", [3, 1]), ("CASME2", [5])):
        (tmp_path / name).mkdir()
        truth = {"database": name, "moving_in_any_class": moving}
        (tmp_path / name / "truth.json").write_text(json.dumps(truth))
    assert moving_regions(tmp_path, "SMIC_VIS") == {1, 3}
    with pytest.raises(MissingDataError, match=r"truth\.json of SMIC_HS"):
        moving_regions(tmp_path, "SMIC_HS")
