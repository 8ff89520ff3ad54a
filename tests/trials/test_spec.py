"""What defines a study: its identity, its values, its cells; nothing about choosing."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from tgsr.errors import DataError, ParameterError
from tgsr.trials.spec import StudySpec, spread


@pytest.mark.parametrize(
    "wrong",
    [
        {"axes": {"kappa": []}},
        {"axes": {"kapa": [1]}},
        {"fixed": {"kapa": 1}},
        {"sampler": "sobol"},
        {"sampler": "tpe", "objective": "luck"},
        {"method": "SVM", "sampler": "tpe"},
        {"method": "NOPE"},
    ],
    ids=str,
)
def test_a_wrong_specification_is_refused(make_spec, wrong):
    with pytest.raises(ParameterError) as caught:
        make_spec(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [(1, 2), np.arange(3), [1, 2], {"a": 1}, float("nan"), float("inf"), 1j, b"1", max])
def test_values_that_json_does_not_give_back_are_refused_before_anything_is_fitted(make_spec, value):
    for where in ({"axes": {"kappa": [value]}}, {"fixed": {"tol": value}}, {"axes": {"kappa": [3, value]}}):
        with pytest.raises(ParameterError, match="cannot be stored"):
            make_spec(**where)


def test_values_come_back_from_json_as_they_were(make_spec):
    values = [None, True, False, 1, 1.0, "1", 1e-300, 0.1 + 0.2, "κ", np.int64(7), np.float64(0.1)]
    spec = make_spec(method="sklearn.svm:SVC", axes={"C": values})
    again = StudySpec.from_json(spec.to_json())
    assert again == spec
    assert again.name == spec.name
    stored = again.grid[0]["C"]
    assert [(type(value), value) for value in stored[:9]] == [(type(value), value) for value in values[:9]]
    assert [(type(value), value) for value in stored[9:]] == [(int, 7), (float, 0.1)]


def test_what_is_no_specification_says_so(make_spec):
    stored = json.loads(make_spec().to_json())
    for text in ("", "[]", "{}", json.dumps({key: value for key, value in stored.items() if key != "grid"})):
        with pytest.raises(DataError, match="run the study again"):
            StudySpec.from_json(text)


def test_the_name_tells_all_that_differs_and_nothing_of_it_chooses(make_spec):
    changes = (
        {},
        {"seed": 1},
        {"grouping": "released"},
        {"fixed": {"tol": 1e-3}},
        {"axes": {"kappa": [3]}},
        {"sampler": "fixed", "axes": {}},
        {"sampler": "tpe"},
        {"sampler": "tpe", "objective": "source-cv"},
        {"method": "SVM"},
        {"preprocess": "standard"},
    )
    assert len({make_spec(**change).name for change in changes}) == len(changes)
    assert {one.name for one in fields(StudySpec)} == {
        *("pair", "source_digest", "target_digest", "method", "shape", "fixed", "grid", "sampler", "objective"),
        *("preprocess", "seed"),
    }
    assert not make_spec().objective
    assert make_spec(sampler="tpe").objective == "circular"


def test_other_data_are_another_study(make_spec, pair_factory):
    assert make_spec(pair_factory(n_source=15, n_target=12, seed=9)).name != make_spec().name


def test_fixed_settings_are_one_trial(make_spec):
    assert make_spec(sampler="fixed", axes={}).cells() == [(0, {"kappa": 85, "xi": 0.01})]
    assert make_spec(method="SVM", sampler="fixed").cells() == [(0, {"C": 1.0})]
    assert make_spec(sampler="fixed", axes={"kappa": [9], "tol": [1e-6]}).cells() == [
        (0, {"kappa": 9, "xi": 0.01, "tol": 1e-6})
    ]
    with pytest.raises(ParameterError, match="give xi one value"):
        make_spec(sampler="fixed", axes={"xi": [0.1, 1.0]})


def test_fewer_cells_are_among_more_and_spread_over_rows_and_columns():
    cells = [(row, column) for row in range(20) for column in range(10)]
    some = {count: spread(cells, count, 10) for count in (10, 20, 50, 200, 500)}
    assert set(some[10]) < set(some[20]) < set(some[50]) < set(some[200])
    assert some[200] == some[500] == spread(cells, None, 10) == cells
    assert all(list(chosen) == sorted(chosen) for chosen in some.values())
    for row_or_column, count in ((0, 20), (1, 10)):
        shares = np.bincount([cell[row_or_column] for cell in some[50]], minlength=count)
        assert shares.min() >= 1
        assert shares.max() <= 3 * 50 / count


def test_a_studys_distributions_are_those_of_its_values(make_spec):
    known = make_spec(method="sklearn.svm:SVC", axes={"C": [0.1, 100.0], "degree": [2, 3], "kernel": ["rbf", None]})
    found = {name: type(one).__name__ for name, one in known.distributions().items()}
    assert found == {"C": "FloatDistribution", "degree": "IntDistribution", "kernel": "CategoricalDistribution"}
    assert known.distributions()["C"].log
    ranges = make_spec(sampler="tpe").distributions()  # the method's, cut to the grid's ends
    assert (ranges["kappa"].low, ranges["kappa"].high) == (3, 85)
    assert (ranges["xi"].low, ranges["xi"].high) == (0.01, 200.0)


def test_a_sampler_keeps_what_has_one_value_and_searches_what_is_given(make_spec):
    axes = {"kappa": [20], "scaling": ["none", "spread"], "tol": [1e-6]}
    ranges = make_spec(sampler="tpe", axes=axes).distributions()
    assert (ranges["kappa"].low, ranges["kappa"].high) == (20, 20)
    assert ranges["scaling"].choices == ("none", "spread")
    assert (ranges["tol"].low, ranges["tol"].high) == (1e-6, 1e-6)
    assert (ranges["xi"].low, ranges["xi"].high) == (0.001, 1000.0)
    kernels = make_spec(method="STM", sampler="random", axes={"kernel": ["rbf"]}).distributions()["kernel"]
    assert kernels.choices == ("rbf",)
    assert make_spec(method="STM", sampler="random").distributions()["kernel"].choices == ("linear", "rbf")
    for method, axes in (("IW-SVM", {"width": [None, 0.5, 2.0]}), ("TGSR", {"kappa": [1.5, 2.5]})):
        with pytest.raises(ParameterError, match=f"{next(iter(axes))} is sampled between numbers"):
            make_spec(method=method, sampler="tpe", axes=axes)
