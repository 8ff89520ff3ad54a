"""Preprocessing is scikit-learn's, for each database by itself; its plain arrays are all that a model must keep."""

from __future__ import annotations

import io

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, Normalizer, RobustScaler, StandardScaler

from tgsr.errors import DataError, ParameterError
from tgsr.estimators.preprocess import PREPROCESSES, Scaling, make_preprocessor

THEIRS = {
    "none": FunctionTransformer,
    "standard": StandardScaler,
    "robust": RobustScaler,
    "maxabs": MaxAbsScaler,
    "unit": Normalizer,
    "standard+unit": lambda: make_pipeline(StandardScaler(), Normalizer()),
}
each_name = pytest.mark.parametrize("name", PREPROCESSES)


@pytest.fixture(scope="module")
def databases():
    """Two databases of different size and spread, with a constant feature and an empty row."""
    rng = np.random.default_rng(0)
    source, target = rng.gamma(2.0, 3.0, (20, 6)), rng.gamma(1.0, 50.0, (9, 6))
    source[:, 2] = target[:, 2] = 4.0
    target[3] = 0.0
    return source, target


@each_name
def test_rows_are_those_of_scikit_learn(databases, name):
    fitted = make_preprocessor(name, *databases)
    for rows, ours in zip(databases, (fitted.source, fitted.target), strict=True):
        theirs = THEIRS[name]().fit(rows)
        new = rows[::2] + 0.5
        np.testing.assert_array_equal(ours(rows), theirs.transform(rows))
        np.testing.assert_array_equal(ours(new), theirs.transform(new))
        assert np.isfinite(ours(rows)).all()


@each_name
def test_stored_arrays_without_pickles_give_the_same_rows(databases, name):
    scaling = make_preprocessor(name, *databases).of_target
    stream = io.BytesIO()
    np.savez(stream, **scaling.arrays("target_"))
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        again = Scaling.restore(name, dict(arrays), "target_")
    np.testing.assert_array_equal(again.transform(databases[1]), scaling.transform(databases[1]))


@each_name
def test_given_rows_are_left_alone(databases, name):
    copies = [rows.copy() for rows in databases]
    fitted = make_preprocessor(name, *databases)
    fitted.source(databases[0])
    fitted.target(databases[1])
    for rows, copy in zip(databases, copies, strict=True):
        np.testing.assert_array_equal(rows, copy)


def test_one_sample_has_no_spread_but_a_length():
    row = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(Scaling.of("unit", row).transform(row), [[0.6, 0.8]])
    for name in ("standard", "robust", "maxabs", "standard+unit"):
        with pytest.raises(DataError, match="no spread; use unit or none"):
            Scaling.of(name, row)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"none, standard, robust, maxabs, unit, standard\+unit, got 'minmax'"):
        make_preprocessor("minmax", np.eye(3), np.eye(3))
