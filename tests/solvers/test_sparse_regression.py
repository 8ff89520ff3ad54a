"""The augmented Lagrangian of DRLS and TSRG against a general convex solver, and its batching."""

from __future__ import annotations

import clarabel
import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_wine

from tgsr.solvers.sparse_regression import (
    GAP_LIMIT,
    Resolvents,
    Schedule,
    duality_gap,
    sparse_regression,
)
from tgsr.solvers.squared_hinge import fit_squared_hinge


def sparse_regression_objective(P, K_source, delta, responses, lam, mu):
    """Value of the objective at P (n, n_responses); see `sparse_regression` for the rest."""
    residual = responses.T - P.T @ K_source
    return float((residual**2).sum() + lam * ((P.T @ delta) ** 2).sum() + mu * np.abs(P).sum())


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    source, target = rng.standard_normal((14, 40)) / 4, rng.standard_normal((9, 40)) / 4 + 0.1
    samples = np.vstack([source, target])
    K = samples @ source.T
    delta = K.mean(axis=1) - (samples @ target.T).mean(axis=1)
    return K, delta, np.eye(3)[np.arange(14) % 3]


def lasso(K, delta, response, lam, mu):
    """One column of P by clarabel: min pᵀHp − 2gᵀp + μΣt, −t ≤ p ≤ t."""
    n = len(K)
    H = K @ K.T + lam * np.outer(delta, delta)
    P = scipy.sparse.block_diag([2 * H, scipy.sparse.csc_matrix((n, n))], format="csc")
    eye = scipy.sparse.identity(n)
    A = scipy.sparse.bmat([[eye, -eye], [-eye, -eye]], format="csc")
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    q = np.concatenate([-2 * K @ response, np.full(n, mu)])
    cones = [clarabel.NonnegativeConeT(2 * n)]
    return np.array(
        clarabel.DefaultSolver(scipy.sparse.triu(P, format="csc"), q, A, np.zeros(2 * n), cones, settings).solve().x
    )[:n]


@pytest.mark.parametrize(("lam", "mu"), [(0.0, 0.1), (1.0, 0.01), (10.0, 0.5), (1.0, 2.0)])
def test_slow_schedule_reaches_the_minimum_of_the_objective(problem, lam, mu):
    K, delta, T = problem
    slow = Schedule(kappa=0.1, growth=1.001, max_iter=20000)
    P = sparse_regression(Resolvents(K, delta, lam, slow), T, [mu]).P[0]
    expected = np.column_stack([lasso(K, delta, T[:, c], lam, mu) for c in range(3)])
    reached = sparse_regression_objective(P, K, delta, T, lam, mu)
    assert reached <= sparse_regression_objective(expected, K, delta, T, lam, mu) + 1e-6
    np.testing.assert_allclose(P, expected, atol=1e-3)


@pytest.mark.parametrize("mu", [0.01, 0.5])
def test_published_schedule_ends_near_the_minimum(problem, mu):
    K, delta, T = problem
    solution = sparse_regression(Resolvents(K, delta, 1.0), T, [mu])
    assert solution.converged.all()
    best = np.column_stack([lasso(K, delta, T[:, c], 1.0, mu) for c in range(3)])
    reached = sparse_regression_objective(solution.P[0], K, delta, T, 1.0, mu)
    assert reached <= 1.5 * sparse_regression_objective(best, K, delta, T, 1.0, mu)


@pytest.mark.parametrize(("lam", "mu"), [(0.0, 0.1), (1.0, 0.01), (10.0, 0.5), (1.0, 2.0)])
def test_duality_gap_bounds_the_distance_to_the_minimum(problem, lam, mu):
    K, delta, T = problem
    resolvents = Resolvents(K, delta, lam)
    best = np.column_stack([lasso(K, delta, T[:, c], lam, mu) for c in range(3)])
    minimum = sparse_regression_objective(best, K, delta, T, lam, mu)
    assert duality_gap(resolvents, best, T, mu) <= 1e-5
    for P in (best + 0.01, 0 * best, sparse_regression(resolvents, T, [mu]).P[0]):
        distance = sparse_regression_objective(P, K, delta, T, lam, mu) - minimum
        assert duality_gap(resolvents, P, T, mu) >= distance - 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("target", ["labels", "features"])
def test_scale_of_the_features_does_not_break_the_iteration(dtype, scale, target):
    X, y = load_wine(return_X_y=True)  # from 0.1 to 1700, unscaled
    order = np.random.default_rng(0).permutation(len(X))
    X, y = scale * X[order], y[order]
    source, kernel = X[:89], X @ X[:89].T
    delta = kernel.mean(axis=1) - (X @ X[89:].T).mean(axis=1)
    T = np.eye(3)[y[:89]] if target == "labels" else source
    solution = sparse_regression(Resolvents(kernel, delta, 1.0, dtype=dtype), T, [0.1])
    P, zero = solution.P[0].astype(np.float64), (T**2).sum()
    assert sparse_regression_objective(P, kernel, delta, T, 1.0, 0.1) <= (1.0 + 1e-12 if scale < 1 else 0.2) * zero
    assert solution.gaps[0] <= 0.06 * zero


def test_rising_penalty_is_told_from_convergence(problem):
    K, delta, T = problem
    hasty = sparse_regression(Resolvents(K, delta, 1.0, Schedule(kappa=1e3, growth=2.0)), T, [0.01])
    assert hasty.converged.all()
    assert hasty.gaps[0] > GAP_LIMIT * (T**2).sum()


def test_large_mu_leaves_nothing(problem):
    K, delta, T = problem
    mu = 2.1 * np.abs(K @ T).max()
    P = sparse_regression(Resolvents(K, delta, 0.0, Schedule(kappa=1.0, growth=1.01, max_iter=5000)), T, [mu]).P[0]
    np.testing.assert_array_equal(P, 0)


def test_the_batch_changes_no_bit(problem):
    K, delta, T = problem
    mus = [0.001, 0.1, 5.0, *np.geomspace(0.01, 1, 9)]
    together = sparse_regression(Resolvents(K, delta, 1.0), T, mus)
    assert len(set(together.n_iter.tolist())) > 1
    for index, mu in enumerate(mus):
        alone = sparse_regression(Resolvents(K, delta, 1.0), T, [mu])
        assert alone.n_iter[0] == together.n_iter[index]
        np.testing.assert_array_equal(alone.P[0], together.P[index])


def test_both_ways_to_apply_the_inverse_agree(problem):
    K, delta, _ = problem
    resolvents = Resolvents(K, delta, 1.0)
    right = np.random.default_rng(1).standard_normal((len(K), 30 * len(K)))
    H = K @ K.T + np.outer(delta, delta) + resolvents.kappa(40) / 2 * np.eye(len(K))
    narrow, wide = resolvents.apply(40, right, 3), resolvents.apply(40, right, 2 * len(K))
    np.testing.assert_allclose(narrow, wide, rtol=1e-9)
    np.testing.assert_allclose(H @ wide, right, atol=1e-9)


def test_single_precision_stays_close(problem):
    K, delta, T = problem
    double, single = (
        sparse_regression(Resolvents(K, delta, 1.0, dtype=dtype), T, [0.1]) for dtype in (np.float64, np.float32)
    )
    assert single.P.dtype == np.float32
    assert single.converged.all()
    np.testing.assert_allclose(single.P, double.P, atol=2e-4)


def test_squared_hinge_machine_is_stationary():
    rng = np.random.default_rng(0)
    X, costs = rng.standard_normal((30, 5)), rng.uniform(0.1, 3, 30)
    signs = np.where(X[:, 0] + 0.5 * rng.standard_normal(30) > 0, 1.0, -1.0)
    machine = fit_squared_hinge(X @ X.T, signs, costs)
    w = X.T @ machine.coefficients
    slack = np.maximum(0, 1 - signs * (X @ w + machine.intercept))
    np.testing.assert_allclose(w, 2 * X.T @ (costs * slack * signs), atol=1e-8)
    assert abs((costs * slack * signs).sum()) < 1e-8
