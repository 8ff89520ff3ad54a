"""Importance weights against independent computations: brute force, general-purpose solvers, known densities."""

from __future__ import annotations

import clarabel
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import scipy.special
from scipy.spatial.distance import cdist

from tgsr.solvers.importance import gaussian, kliep, kmm, median_distance, ulsif, ulsif_loo_score
from tgsr.solvers.quadratic import bounded_budget_qp, damped_least_squares, mixture_likelihood


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return rng.normal(0.0, 1.0, (40, 3)), rng.normal(0.5, 0.7, (25, 3))


@pytest.mark.parametrize("n_source", [12, 9, 7])
@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_ulsif_closed_form_score_equals_brute_force_leave_one_out(samples, n_source, ridge):
    X, X_target = samples[0][:n_source], samples[1][:9]
    at_source, at_target = gaussian(X, X_target, 1.0), gaussian(X_target, X_target, 1.0)
    losses = []
    for i in range(min(n_source, 9)):
        left_source, left_target = np.delete(at_source, i, axis=0), np.delete(at_target, i, axis=0)
        H = left_source.T @ left_source / len(left_source)
        alpha = np.maximum(np.linalg.solve(H + ridge * np.eye(9), left_target.mean(axis=0)), 0)
        losses.append((at_source[i] @ alpha) ** 2 / 2 - at_target[i] @ alpha)
    assert ulsif_loo_score(at_source, at_target, ridge) == pytest.approx(np.mean(losses), rel=1e-10)


def test_ulsif_weights_are_the_clipped_ridge_solution(samples):
    X, X_target = samples
    Phi, phi = gaussian(X, X_target, 1.3), gaussian(X_target, X_target, 1.3).mean(axis=0)
    unclipped = scipy.optimize.minimize(
        lambda a: ((Phi @ a) ** 2).mean() / 2 - phi @ a + 0.1 * a @ a / 2,
        np.zeros(len(phi)),
        jac=lambda a: Phi.T @ (Phi @ a) / len(Phi) - phi + 0.1 * a,
        tol=1e-12,
    ).x
    expected = Phi @ np.maximum(unclipped, 0)
    np.testing.assert_allclose(ulsif(X, X_target, width=1.3, ridge=0.1), expected / expected.mean(), rtol=1e-4)


def test_kliep_reaches_the_maximum_of_its_likelihood(samples):
    X, X_target = samples[0], samples[1][:10]
    A, b = gaussian(X_target, X_target, 1.0), gaussian(X, X_target, 1.0).mean(axis=0)
    best = scipy.optimize.minimize(
        lambda a: -np.log(A @ a).mean(),
        np.full(10, 1 / b.sum()),
        jac=lambda a: -A.T @ (1 / (A @ a)) / len(A),
        bounds=[(0, None)] * 10,
        constraints={"type": "eq", "fun": lambda a: b @ a - 1, "jac": lambda a: b},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights, converged = kliep(X, X_target, width=1.0)
    assert converged
    expected = gaussian(X, X_target, 1.0) @ best.x
    np.testing.assert_allclose(weights, expected / expected.mean(), atol=2e-4)


@pytest.mark.parametrize("width", [0.02, 0.3, 30.0])
def test_kliep_meets_its_conditions_of_optimality_at_any_width(samples, width):
    X, X_target = samples
    log_b = scipy.special.logsumexp(-cdist(X, X_target, "sqeuclidean") / (2 * width**2), axis=0) - np.log(len(X))
    logs = -cdist(X_target, X_target, "sqeuclidean") / (2 * width**2) - log_b
    ratios = np.exp(logs - logs.max(axis=1, keepdims=True))
    beta, converged = mixture_likelihood(ratios)
    assert converged
    slopes = ratios.T @ (1 / (ratios @ beta)) / len(ratios)  # at most 1, and 1 where a share is positive
    assert slopes.max() <= 1 + 1e-6
    assert beta @ np.abs(slopes - 1) <= 1e-6
    assert kliep(X, X_target, width=width)[0].mean() == pytest.approx(1)


def test_kmm_equals_a_general_purpose_solver(samples):
    X, X_target = samples[0][:15], samples[1]
    K, cross = gaussian(X, X, 1.0), gaussian(X, X_target, 1.0)
    kappa = 15 / len(X_target) * cross.sum(axis=1)
    epsilon = (np.sqrt(15) - 1) / np.sqrt(15)
    expected = scipy.optimize.minimize(
        lambda s: s @ K @ s / 2 - kappa @ s,
        np.ones(15),
        jac=lambda s: K @ s - kappa,
        bounds=[(0, 3)] * 15,
        constraints={"type": "ineq", "fun": lambda s: 15 * epsilon - abs(s.sum() - 15)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    weights, exact = kmm(K, cross, bound=3.0)
    assert exact
    assert 15 * (1 - epsilon) - 1e-6 <= weights.sum() <= 15 * (1 + epsilon) + 1e-6
    assert weights @ K @ weights / 2 - kappa @ weights <= expected.fun + 1e-7
    np.testing.assert_allclose(weights, expected.x, atol=2e-3)


def kliep_weights(X, X_target):
    return kliep(X, X_target)[0]


@pytest.mark.parametrize("weigh", [kliep_weights, ulsif], ids=["kliep", "ulsif"])
def test_weights_are_larger_where_the_target_is_denser(samples, weigh):
    X, X_target = samples
    weights = weigh(X, X_target)
    assert weights.mean() == pytest.approx(1)
    ratio = np.exp(-(((X - 0.5) / 0.7) ** 2).sum(axis=1) / 2 + (X**2).sum(axis=1) / 2)
    assert np.corrcoef(np.argsort(np.argsort(weights)), np.argsort(np.argsort(ratio)))[0, 1] > 0.6


@pytest.mark.parametrize("weigh", [kliep_weights, ulsif], ids=["kliep", "ulsif"])
def test_a_domain_paired_with_itself_is_weighted_evenly(samples, weigh):
    X = samples[0]
    assert weigh(X, X).std() < 0.35


def test_median_distance_of_equal_samples_is_one():
    assert median_distance(np.ones((3, 2)), np.ones((2, 2))) == 1.0


@pytest.mark.parametrize("zeta", [0.1, 0.7, 1.0, 2.0, 5.0])
def test_damped_spectrum_equals_a_general_purpose_solver(zeta):
    rng = np.random.default_rng(3)
    factor = rng.standard_normal((30, 8))
    H = (factor.T @ factor) ** 2
    c = rng.uniform(0, 1, 8) * np.diag(H)
    damping = np.eye(8) - zeta * np.eye(8, k=1)  # its last row is l_8 ≥ 0, which makes all of l ≥ 0
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    P, A = scipy.sparse.triu(scipy.sparse.csc_matrix(H), format="csc"), scipy.sparse.csc_matrix(-damping)
    solver = clarabel.DefaultSolver(P, -c, A, np.zeros(8), [clarabel.NonnegativeConeT(8)], settings)
    expected = np.array(solver.solve().x)
    spectrum = damped_least_squares(H, c, zeta)
    assert (damping @ spectrum >= -1e-10).all()
    np.testing.assert_allclose(spectrum, expected, atol=1e-5)


def test_damped_spectrum_stays_finite_for_many_steep_steps():
    H = np.eye(150) + 1e-3
    assert np.isfinite(damped_least_squares(H, np.ones(150), 5.0)).all()


@pytest.mark.parametrize("width", [0.05, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("bound", [1.0, 2.0, 1000.0])
@pytest.mark.parametrize("loss", [0.0, 1.0, 1e4])
def test_weights_meet_the_conditions_of_optimality_to_rounding(samples, width, bound, loss):
    X = np.vstack([samples[0], samples[0][:5]])  # equal samples leave the kernel singular
    H, low, high = gaussian(X, X, width), 8.0, 44.0
    c = gaussian(X, samples[1], width).sum(axis=1) - loss * np.abs(X[:, 0])
    s, exact = bounded_budget_qp(H, c, bound, low, high)
    slope, inside = H @ s + 1e-8 * s - c, (s > 1e-12) & (s < bound - 1e-12)
    within = low + 1e-9 < s.sum() < high - 1e-9
    price = 0.0 if within or not inside.any() else -slope[inside].mean()
    size = 1e-10 * max(1.0, np.abs(c).max())
    assert exact
    assert low - 1e-9 <= s.sum() <= high + 1e-9
    if within or inside.any():
        np.testing.assert_allclose(slope[inside] + price, 0, atol=size)
        assert (slope[s <= 1e-12] + price >= -size).all()
        assert (slope[s >= bound - 1e-12] + price <= size).all()
        assert price * (s.sum() - (low + high) / 2) >= 0


@pytest.mark.parametrize(
    ("linear", "low", "high", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1.0, 3.0, [0.0, 0.0, 0.0, 1.0, 2.0]),
        ([-5.0, -4.0, -3.0, -2.0, -1.0], 3.0, 9.0, [0.0, 0.0, 0.0, 1.0, 2.0]),
        ([-2.0, -1.0, 1.0, 1.0, 1.0], 1.0, 9.0, [0.0, 0.0, 2.0, 2.0, 2.0]),
    ],
)
def test_weights_without_a_quadratic_part_are_a_knapsack(linear, low, high, expected):
    s, exact = bounded_budget_qp(np.zeros((5, 5)), np.array(linear), 2.0, low, high)
    np.testing.assert_allclose(s, expected, atol=1e-10)
    assert exact


def test_contradicting_weight_constraints_are_refused():
    with pytest.raises(ValueError, match="sum in"):
        bounded_budget_qp(np.eye(3), np.ones(3), bound=0.1, low=2.0, high=4.0)
