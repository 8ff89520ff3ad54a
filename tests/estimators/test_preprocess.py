"""Preprocessing is scikit-learn's, for each database by itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, Normalizer, RobustScaler, StandardScaler

from tgsr.errors import DataError, ParameterError
from tgsr.estimators.preprocess import PREPROCESSES, Scaling

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
    for rows in databases:
        ours, theirs = Scaling.of(name, rows).transform, THEIRS[name]().fit(rows)
        new = rows[::2] + 0.5
        np.testing.assert_array_equal(ours(rows), theirs.transform(rows))
        np.testing.assert_array_equal(ours(new), theirs.transform(new))
        assert np.isfinite(ours(rows)).all()


@each_name
def test_given_rows_are_left_alone(databases, name):
    copies = [rows.copy() for rows in databases]
    for rows, copy in zip(databases, copies, strict=True):
        Scaling.of(name, rows).transform(rows)
        np.testing.assert_array_equal(rows, copy)


def test_one_sample_has_no_spread_but_a_length():
    row = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(Scaling.of("unit", row).transform(row), [[0.6, 0.8]])
    for name in ("standard", "robust", "maxabs", "standard+unit"):
        with pytest.raises(DataError, match="no spread; use unit or none"):
            Scaling.of(name, row)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"none, standard, robust, maxabs, unit, standard\+unit, got 'minmax'"):
        Scaling.of("minmax", np.eye(3))
