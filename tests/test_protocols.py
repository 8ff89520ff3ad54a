"""Experiments, grid and ranges of the paper."""

import numpy as np
import pytest

from tgsr.errors import ParameterError, ProtocolError
from tgsr.protocols import (
    DATABASES,
    EXPERIMENTS,
    XIS,
    check_database,
    check_kappa,
    check_xi,
    get_experiment,
    pair_name,
    parse_pair,
)


def test_twelve_experiments_in_the_order_of_the_tables():
    names = [experiment.name for experiment in EXPERIMENTS]
    assert names == ["H-V", "V-H", "H-N", "N-H", "V-N", "N-V", "C-H", "H-C", "C-V", "V-C", "C-N", "N-C"]
    assert [experiment.type for experiment in EXPERIMENTS] == ["TYPE-I"] * 6 + ["TYPE-II"] * 6
    assert {experiment.source for experiment in EXPERIMENTS} == set(DATABASES.values())


@pytest.mark.parametrize("name", [5, "5", "V-N", "v-n", "V→N", "SMIC_VIS-SMIC_NIR", "VIS-NIR"])
def test_an_experiment_is_found_by_number_and_by_name(name):
    assert get_experiment(name) == EXPERIMENTS[4]


@pytest.mark.parametrize("name", ["0", "13", "V-V", "X-N", "", "V", "V-N-C"])
def test_unknown_experiments_are_named_with_the_known_ones(name):
    with pytest.raises(ProtocolError, match="5 = V-N"):
        get_experiment(name)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("V-N", ("SMIC_VIS", "SMIC_NIR")),
        (5, ("SMIC_VIS", "SMIC_NIR")),
        ("SAMM-mine", ("SAMM", "mine")),
        ("c+SAMM-h", ("c+SAMM", "SMIC_HS")),
    ],
)
def test_a_pairs_name_gives_source_and_target(text, pair):
    assert parse_pair(text) == pair


def test_pairs_of_the_four_are_called_by_letters_and_others_by_names():
    assert pair_name("CASME2", "SMIC_HS") == "C-H"
    assert pair_name("CASME2+SAMM", "SMIC_HS") == "CASME2+SAMM-SMIC_HS"


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a-b", "a b", "a+b", ".."])
def test_names_that_cannot_name_files_and_models_are_refused(name):
    with pytest.raises(ProtocolError, match="letters"):
        check_database(name)


def test_grid_is_six_ranges_of_46_with_shared_ends():
    assert len(XIS) == 6 * 46 - 5 == 271
    assert (XIS[0], XIS[1], XIS[45], XIS[-1]) == (0.001, 0.0012, 0.01, 1000.0)
    assert (np.diff(XIS) > 0).all()


@pytest.mark.parametrize("kappa", [0, 86, -3, 1.5, "4", True, None])
def test_kappa_out_of_range(kappa):
    with pytest.raises(ParameterError, match="kappa"):
        check_kappa(kappa)


@pytest.mark.parametrize("xi", [-0.1, np.nan, np.inf, "much", None])
def test_xi_out_of_range(xi):
    with pytest.raises(ParameterError, match="xi"):
        check_xi(xi)
