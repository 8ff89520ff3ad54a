"""Equ. (8): the projection on the probability simplex."""

import numpy as np
from scipy.optimize import minimize

from tgsr.solvers import project_simplex


def test_rows_are_distributions_and_keep_their_order():
    rows = np.random.default_rng(0).normal(scale=3, size=(200, 3))
    projected = project_simplex(rows)
    np.testing.assert_allclose(projected.sum(axis=1), 1.0)
    assert projected.min() >= 0
    np.testing.assert_array_equal(projected.argmax(axis=1), rows.argmax(axis=1))


def test_distributions_stay_as_they_are():
    rows = np.random.default_rng(1).dirichlet(np.ones(4), size=50)
    np.testing.assert_allclose(project_simplex(rows), rows, atol=1e-15)


def test_scores_of_any_size_give_distributions():
    rows = np.array([[1.0, 2.0, -1.0], [3.0, 3.0, 1.0], [-5.0, -7.0, -6.0]]) * 1e20
    np.testing.assert_array_equal(project_simplex(rows), [[0, 1, 0], [0.5, 0.5, 0], [1, 0, 0]])


def test_equals_a_general_minimiser():
    for row in np.random.default_rng(2).normal(size=(5, 3)):
        found = minimize(
            lambda p, row=row: ((p - row) ** 2).sum(),
            np.full(3, 1 / 3),
            bounds=[(0, None)] * 3,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(project_simplex(row[None])[0], found.x, atol=1e-6)
