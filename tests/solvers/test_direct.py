"""Algorithm 1 in its readable form: what must hold of it whatever the data."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tgsr.errors import DataError, ParameterError
from tgsr.solvers import Problem, SolverSettings, solve_direct
from tgsr.solvers._direct import _shrink_factors


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 5)
    codes = np.arange(30) % 3
    X = rng.normal(size=(30, 60)) + 0.2
    X[:, :5] += codes[:, None]
    return Problem.build(X, codes, 3, rng.normal(size=(20, 60)), groups)


@pytest.mark.parametrize("kappa", [1, 4, 11])
@pytest.mark.parametrize("xi", [0.0, 0.1, 100.0])
def test_keeps_exactly_kappa_groups_and_the_others_are_exactly_zero(problem, kappa, xi):
    solution = solve_direct(problem, kappa, xi)
    assert np.count_nonzero(solution.group_norms) == kappa
    blocks = solution.coef().reshape(12, 5, 3)
    np.testing.assert_array_equal(np.any(blocks != 0, axis=(1, 2)), solution.group_norms > 0)


def test_keeping_all_groups_is_one_step_of_ridge_regression_towards_ones(problem):
    solution = solve_direct(problem, 12, 0.5)
    x = problem.scaled_rows(0.5)
    ridge = np.linalg.solve(2 * x @ x.T + 1e-3 * np.eye(60), 2 * x @ problem.labels + 1e-3 * np.ones((60, 3)))
    assert solution.n_iter == 1
    np.testing.assert_allclose(solution.coef(), problem.original_order(ridge), rtol=1e-7, atol=1e-9)


def test_stops_at_the_tolerance_and_not_before(problem):
    solution = solve_direct(problem, 4, 0.5)
    assert solution.converged
    assert not solve_direct(problem, 4, 0.5, SolverSettings(max_iter=solution.n_iter - 1)).converged


def test_solution_is_a_group_lasso_stationary_point_at_its_lambda():
    # on well-conditioned data the schedule of μ is slow enough to end at a point that satisfies (2)'s conditions
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 24))
    codes = rng.integers(0, 2, 200)
    problem = Problem.build(x, codes, 2, None, np.repeat(np.arange(6), 4))
    solution = solve_direct(problem, 3, 0.0, SolverSettings(rho=1.0, mu=50.0, max_iter=20000))
    assert solution.converged
    gradient = 2 * x.T @ (x @ solution.coef() - problem.labels[:-1])
    norms = np.linalg.norm(gradient.reshape(6, -1), axis=1)
    kept = solution.group_norms > 0
    lam = norms[kept].mean()
    np.testing.assert_allclose(norms[kept], lam, rtol=1e-5)
    assert norms[~kept].max() <= lam * (1 + 1e-5)


def test_the_order_of_features_does_not_matter():
    rng = np.random.default_rng(1)
    X, target, codes = rng.normal(size=(15, 20)), rng.normal(size=(9, 20)), np.arange(15) % 3
    groups = np.repeat(np.arange(5), 4)
    order = rng.permutation(20)
    plain = solve_direct(Problem.build(X, codes, 3, target, groups), 2, 0.3)
    shuffled = solve_direct(Problem.build(X[:, order], codes, 3, target[:, order], groups[order]), 2, 0.3)
    np.testing.assert_allclose(shuffled.coef(), plain.coef()[order], atol=1e-10)


def test_no_target_is_the_same_as_no_weight(problem):
    rng = np.random.default_rng(1)
    X, codes, groups = rng.normal(size=(15, 20)), np.arange(15) % 3, np.repeat(np.arange(5), 4)
    with_target = solve_direct(Problem.build(X, codes, 3, X + 1.0, groups), 2, 0.0)
    without = solve_direct(Problem.build(X, codes, 3, None, groups), 2, 5.0)
    np.testing.assert_allclose(with_target.coef(), without.coef(), atol=1e-12)


@pytest.mark.parametrize(("kappa", "xi"), [(0, 1.0), (13, 1.0), (2.5, 1.0), (3, -1.0), (3, np.nan), (3, np.inf)])
def test_kappa_and_xi_out_of_range_are_named(problem, kappa, xi):
    with pytest.raises(ParameterError, match=r"kappa|xi"):
        solve_direct(problem, kappa, xi)


def test_bad_data_are_refused():
    X, codes, groups = np.ones((4, 6)), np.array([0, 1, 0, 1]), np.zeros(6, dtype=int)
    with pytest.raises(DataError, match="NaN"):
        Problem.build(np.full((4, 6), np.nan), codes, 2, None, groups)
    with pytest.raises(DataError, match="target"):
        Problem.build(X, codes, 2, np.ones((3, 5)), groups)
    with pytest.raises(DataError, match="group"):
        Problem.build(X, codes, 2, None, groups[:-1])
    with pytest.raises(DataError, match="class"):
        Problem.build(X, codes + 1, 2, None, groups)


@pytest.mark.parametrize("name", ["mu", "rho", "mu_max", "tol", "max_iter"])
def test_settings_out_of_range_are_named(name):
    for value in (0, None, "a", float("nan")):
        with pytest.raises(ParameterError, match=name):
            SolverSettings(**{name: value})


@hypothesis.settings(deadline=None, max_examples=100, derandomize=True)
@hypothesis.given(st.lists(st.floats(0, 1e6), min_size=2, max_size=12), st.data())
def test_shrinkage_is_the_proximal_step_of_the_group_norm(norms, data):
    q = np.array(norms)
    threshold = data.draw(st.sampled_from(norms))
    c = _shrink_factors(q, threshold) * q
    assert (c >= 0).all()
    assert (c[q <= threshold] == 0).all()

    # the step minimises ½(c − q)² + threshold · c: no other length does better
    def cost(c):
        return 0.5 * (c - q) ** 2 + threshold * c

    for other in (np.zeros_like(q), q, c * 0.99, c * 1.01 + 1e-6):
        assert (cost(c) <= cost(other) + 1e-9 * (1 + q**2)).all()
