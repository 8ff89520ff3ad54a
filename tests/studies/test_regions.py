"""Which regions are kept: frequencies that are shares, maps and tables of every pair, nothing computed twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from click.testing import CliRunner

import studies.regions
from studies.regions import border_regions, main, study_regions


def test_frequencies_are_shares_and_all_groups_are_always_kept_at_the_largest_kappa(small_pair):
    some = study_regions(small_pair, "region", (10, 1.0), kappas=[8, 10, 14, 40], xis=[0.5, 1.0, 50.0], n_refits=4)
    assert some.bootstrap.shape == (85,)
    assert some.bootstrap.sum() == 10  # every refit keeps ten
    assert set(np.unique(4 * some.bootstrap)) <= {0, 1, 2, 3, 4}
    np.testing.assert_allclose(some.neighbours.sum(), (8 + 10 + 14) / 3, rtol=1e-12)
    assert some.stability == 1, "the regions that differ by construction are found by every refit"
    every = study_regions(small_pair, "region", (85, 1.0), kappas=[85], xis=[1.0], n_refits=2)
    assert (every.bootstrap == 1).all()


def test_28_of_the_64_small_blocks_and_all_of_the_three_coarsest_scales_but_four_lie_on_the_border():
    assert border_regions()[-64:].sum() == 28
    assert border_regions()[:5].all()
    assert (~border_regions()[5:21]).sum() == 4


def test_a_folder_gives_tables_and_maps_and_a_rerun_computes_nothing(data_folder, tmp_path, monkeypatch):
    arguments = [
        "--data",
        str(data_folder),
        "--out",
        str(tmp_path / "out"),
        "--pair",
        "V-N",
        "--every-xi",
        "200",
        "--xi",
        "0.002",
    ]
    for _ in range(2):
        finished = CliRunner().invoke(main, [*arguments, "--refits", "2", "--jobs", "1"], catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        monkeypatch.setattr(studies.regions.TGSRClassifier, "path", None)
    table = pd.read_csv(tmp_path / "out" / "regions.csv")
    assert table["grouping"].tolist() == ["region", "released"]
    assert (table["oracle"] >= table["median"]).all()
    for name in ("surfaces.png", "stability.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000
