"""The table of trials: names of its columns, and which trial is best by what."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import ParameterError, TrackingError
from tgsr.evaluation.choice import METRIC, PARAM, RULE, choose, column_of, names_of, rank_trials

CELLS = [{"kappa": kappa, "kernel": kernel} for kappa in (3, 85) for kernel in ("rbf", None)]


def make_table(**columns) -> pd.DataFrame:
    table = pd.DataFrame(CELLS).add_prefix(PARAM)
    table = table.assign(number=range(4), settings=[json.dumps(cell) for cell in CELLS])
    return table.assign(**{name.replace("__", "."): values for name, values in columns.items()})


def test_columns_say_what_they_are_whatever_they_are_called():
    table = make_table(metrics__n_support=[24.0] * 4, metrics__kappa=[1.0] * 4, rules__mine=[0.0, 1.0, 2.0, 2.0])
    assert names_of(table, PARAM) == ["kappa", "kernel"]
    assert names_of(table, METRIC) == ["n_support", "kappa"]
    assert names_of(table, RULE) == ["mine"]
    choice = choose(table, "mine")
    assert choice.settings == {"kappa": 85, "kernel": "rbf"}
    assert choice.metrics == {"n_support": 24.0, "kappa": 1.0}
    assert (choice.by, choice.value, choice.n_ties, choice.row["number"]) == ("mine", 2.0, 2, 2)


def test_settings_come_from_json_with_their_types():
    table = make_table(rules__mine=[0.0, 1.0, 0.0, 0.0])
    settings = choose(table, "mine").settings
    assert settings == {"kappa": 3, "kernel": None}
    assert type(settings["kappa"]) is int


def test_of_equal_trials_the_smallest_number_is_best_and_those_without_a_value_are_none():
    table = make_table(metrics__macro_f1=[np.nan, 0.5, 0.5, -np.inf], rules__mine=[1.0, np.nan, np.inf, 0.0])
    for shuffled in (table, table.iloc[::-1], table.sample(frac=1, random_state=0)):
        assert rank_trials(shuffled, "oracle")["number"].tolist() == [1, 2]
        assert choose(shuffled, "oracle").row["number"] == 1
        assert rank_trials(shuffled, "mine")["number"].tolist() == [0, 3]
    assert column_of("oracle") == "metrics.macro_f1"
    assert column_of("mine") == "rules.mine"


def test_what_cannot_be_chosen_by_says_what_there_is():
    table = make_table(rules__circular=[1.0] * 4, rules__empty=[np.nan] * 4)
    with pytest.raises(ParameterError, match=r"'source-cv' \(there are: circular, empty\); .*--rules source-cv"):
        choose(table, "source-cv")
    with pytest.raises(ParameterError, match="'empty'"):
        choose(table, "empty")
    with pytest.raises(ParameterError, match="target has none"):
        choose(table, "oracle")
    with pytest.raises(TrackingError, match="no finished trial"):
        choose(table.iloc[:0], "circular")
