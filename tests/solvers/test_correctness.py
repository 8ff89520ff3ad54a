"""The fast solver and the direct iteration against extended precision, on inputs that are hard on rounding."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tests.solvers.problems import KINDS, scaled
from tests.solvers.reference import jacobi_svd, solve_extended
from tgsr.solvers import BatchSolver, Problem, SolverSettings, project_simplex, solve_direct

quickly = hypothesis.settings(
    deadline=None, max_examples=6, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)


def check(kind, seed, share: float, xi: float) -> None:
    X, codes, target, groups = kind(np.random.default_rng(seed))
    kappa = 1 + int(share * groups[-1])
    exact = solve_extended(X, codes, 3, target, groups, kappa, xi)
    solver = BatchSolver(X, codes, 3, target, groups)
    solution = solver.solve([(kappa, xi)])[0]
    if not solution.complete:  # the norms are equal up to rounding, and the result says so
        return
    direct = solve_direct(solver.problem, kappa, xi)
    scale = np.abs(exact.coef).max()
    for found, coef in ((solution, solution.coef()), (direct, direct.coef())):
        assert (found.n_iter, found.converged) == (exact.n_iter, exact.converged)
        np.testing.assert_array_equal(found.group_norms > 0, exact.norms > 0)
        np.testing.assert_allclose(coef, exact.coef, rtol=0, atol=1e-6 * scale)
    np.testing.assert_array_equal(solution.target_decisions.argmax(axis=1), (target @ exact.coef).argmax(axis=1))


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
@quickly
@hypothesis.given(st.integers(0, 10**6), st.floats(0, 1), st.floats(-3, 3).map(lambda power: 10**power))
def test_both_solvers_agree_with_extended_precision_or_say_that_they_do_not_know(kind, seed, share, xi):
    check(kind, seed, share, xi)


@pytest.mark.parametrize(("seed", "share"), [([7, 50], 0.0), ([7, 95], 0.2), ([7, 455], 0.0)])
def test_the_stopping_test_knows_how_a_group_that_has_just_been_left_out_came_to_be(seed, share):
    check(scaled, seed, share, 10 ** np.random.default_rng(seed[1]).uniform(-3, 3))


def test_labels_that_no_feature_explains_do_not_spoil_the_choice_of_groups():
    rng = np.random.default_rng(6)
    samples = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 80)) * 10
    X, target, codes, groups = samples[:60], samples[60:], np.arange(60) % 3, np.repeat(np.arange(4), 20)
    solution = BatchSolver(X, codes, 3, target, groups).solve([(1, 1.0)])[0]
    assert (solution.n_iter, np.flatnonzero(solution.group_norms).tolist()) == (227, [3])
    exact = solve_extended(X, codes, 3, target, groups, 1, 1.0)
    assert exact.n_iter == 227
    np.testing.assert_allclose(solution.coef(), exact.coef, rtol=0, atol=1e-12 * np.abs(exact.coef).max())


@pytest.mark.parametrize("kappa", [3, 19, 20])
def test_correlated_features_far_from_the_size_of_histograms(kappa):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(50, 1))
    features = 1e3 * (rng.normal(size=(50, 200)) + 30 * common)
    X, target, codes, groups = features[:30], features[30:], (common[:30, 0] > 0).astype(int), np.arange(200) // 10
    solution = BatchSolver(X, codes, 2, target, groups).solve([(kappa, 1.0)])[0]
    exact = solve_extended(X, codes, 2, target, groups, kappa, 1.0)
    assert solution.n_iter == exact.n_iter
    np.testing.assert_array_equal(solution.group_norms > 0, exact.norms > 0)
    np.testing.assert_allclose(solution.coef(), exact.coef, rtol=0, atol=1e-8 * np.abs(exact.coef).max())


def test_a_start_from_zeros_equals_the_direct_iteration():
    X, codes, target, groups = KINDS[4](np.random.default_rng(3))
    solver, zeros = BatchSolver(X, codes, 3, target, groups), SolverSettings(init="zeros")
    solution, direct = solver.solve([(2, 0.5)], zeros)[0], solve_direct(solver.problem, 2, 0.5, zeros)
    assert solution.n_iter == direct.n_iter
    np.testing.assert_allclose(solution.coef(), direct.coef(), rtol=0, atol=1e-9 * np.abs(direct.coef()).max())


def test_the_reference_decomposes_what_double_precision_cannot():
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(size, 5)))[0] for size in (9, 7))
    u, singular = jacobi_svd((left * [1.0, 1e-3, 1e-6, 1e-9, 1e-12]) @ right.T)
    np.testing.assert_allclose(np.sort(singular)[::-1][:4].astype(float), [1.0, 1e-3, 1e-6, 1e-9], rtol=1e-6)
    np.testing.assert_allclose((u.T @ u).astype(float), np.eye(u.shape[1]), atol=1e-15)


@quickly
@hypothesis.given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_projection_on_the_simplex_is_the_nearest_point(rows):
    given = np.array(rows)
    projected = project_simplex(given)
    np.testing.assert_allclose(projected.sum(axis=1), 1, atol=1e-9)
    assert (projected >= 0).all()
    # optimality: what is left over is the same where the projection is positive, and no larger elsewhere
    rest = given - projected
    highest = rest.max(axis=1, keepdims=True)
    np.testing.assert_allclose(np.where(projected > 0, rest - highest, 0), 0, atol=1e-9 * max(1, np.abs(given).max()))


def test_problems_of_other_samples_share_nothing():
    X, codes, target, groups = KINDS[0](np.random.default_rng(0))
    problem = Problem.build(X, codes, 3, target, groups, X[:2])
    assert problem.new.shape == (30, 2)
    solution = BatchSolver(X, codes, 3, target, groups, X_new=X[:2]).solve([(2, 1.0)])[0]
    np.testing.assert_allclose(solution.new_decisions, X[:2] @ solution.coef(), atol=1e-9)
