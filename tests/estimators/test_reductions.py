"""Each method reduces to something simpler where it must, and agrees with an independent computation of itself."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.spatial.distance
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from tgsr.estimators import (
    DRLSClassifier,
    GFKClassifier,
    IWSVMClassifier,
    SAClassifier,
    STMClassifier,
    SVMClassifier,
    TCAClassifier,
    TKLClassifier,
    TSRGClassifier,
    prepare_sweep,
)
from tgsr.estimators._drls import RegressionProblem
from tgsr.estimators._subspace import geodesic_flow
from tgsr.estimators._tca import transfer_components
from tgsr.estimators._tkl import _target_spectrum
from tgsr.estimators.span import Span, principal_axes
from tgsr.solvers.importance import gaussian
from tgsr.solvers.quadratic import damped_least_squares
from tgsr.solvers.sparse_regression import Resolvents, Schedule, sparse_regression


def plain_svm(X, y, X_target):
    return SVC(kernel="linear").fit(X, y).predict(X_target)


def test_span_coordinates_keep_inner_products(domains):
    X, _, X_target = domains
    span = Span.of(X, X_target)
    both = np.vstack([X, X_target])
    assert span.samples.shape == (42, 42)
    np.testing.assert_allclose(span.samples @ span.samples.T, both @ both.T, atol=1e-10)
    stranger = np.random.default_rng(1).standard_normal((5, 200))
    np.testing.assert_allclose(span.transform(stranger) @ span.samples.T, stranger @ both.T, atol=1e-10)


def test_svm_is_libsvm(domains):
    np.testing.assert_array_equal(SVMClassifier().fit(domains[0], domains[1]).predict(domains[2]), plain_svm(*domains))


def test_classes_are_numbered_in_the_order_of_their_first_appearance(domains):
    X, y, X_target = domains
    reordered = np.concatenate([np.flatnonzero(y == code) for code in (2, 0, 1)])
    fitted = SVMClassifier().fit(X[reordered], y[reordered])
    np.testing.assert_array_equal(fitted.rule_.order, [2, 0, 1])
    assert (fitted.predict(X_target) == plain_svm(X, y, X_target)).mean() > 0.9  # but for ties


def test_weights_of_one_give_svm(domains):
    X, y, X_target = domains
    span = Span.of(X, X_target)
    weighted = SVMClassifier()._fit_svm(span.source, y, weights=np.ones(len(X)))
    np.testing.assert_array_equal(weighted(span.target).argmax(axis=1), plain_svm(*domains))
    # a kernel so wide that every sample is equally important
    wide = IWSVMClassifier(weighting="ulsif", width=1e4).fit(X, y, X_target=X_target)
    np.testing.assert_allclose(wide.weights_, 1, atol=1e-6)
    np.testing.assert_array_equal(wide.predict(X_target), plain_svm(*domains))


def test_zero_weights_drop_samples(domains):
    X, y, X_target = domains
    span = Span.of(X, X_target)
    kept = np.arange(24) < 15
    dropped = SVMClassifier()._fit_svm(span.source, y, weights=np.where(kept, 1.0, 0.0))
    reduced = SVMClassifier()._fit_svm(span.source[kept], y[kept])
    np.testing.assert_array_equal(dropped(span.target).argmax(axis=1), reduced(span.target).argmax(axis=1))


@pytest.mark.parametrize("method", [SAClassifier, GFKClassifier])
def test_full_dimension_on_equal_domains_gives_the_svm_of_the_centred_span(domains, method):
    X, y, _ = domains
    centred = X - X.mean(axis=0)
    fitted = method(n_components=23).fit(centred, y, X_target=centred)
    np.testing.assert_array_equal(fitted.predict(centred), plain_svm(centred, y, centred))


def test_sa_matches_its_formula_in_the_raw_features(domains):
    X, y, X_target = domains
    Ps, Pt = (np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)[2][:7].T for Z in (X, X_target))
    expected = SVC(kernel="linear").fit(X @ Ps @ (Ps.T @ Pt), y).predict(X_target @ Pt)
    np.testing.assert_array_equal(SAClassifier(7).fit(X, y, X_target=X_target).predict(X_target), expected)


def test_gfk_equals_quadrature_along_the_geodesic():
    rng = np.random.default_rng(4)
    Ps, Pt = (np.linalg.qr(rng.standard_normal((12, 4)))[0] for _ in range(2))
    U, cosines, Vt = np.linalg.svd(Ps.T @ Pt)
    theta = np.arccos(cosines)
    R = (Pt @ Vt.T - Ps @ U * cosines) / np.sin(theta)

    def point(t):
        basis = Ps @ U * np.cos(t * theta) + R * np.sin(t * theta)
        np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
        return basis @ basis.T

    expected = scipy.integrate.quad_vec(point, 0, 1, epsabs=1e-12)[0]
    flow = geodesic_flow(Ps, Pt)
    np.testing.assert_allclose(flow @ flow.T, expected, atol=1e-10)


def test_gfk_of_identical_domains_is_the_pca_kernel():
    P = principal_axes(np.random.default_rng(5).standard_normal((9, 12)))[:, :4]
    flow = geodesic_flow(P, P)
    np.testing.assert_allclose(flow @ flow.T, P @ P.T, atol=1e-12)


def test_gfk_of_orthogonal_subspaces():
    flow = geodesic_flow(np.eye(6)[:, :2], np.eye(6)[:, 2:4])
    assert np.trace(flow @ flow.T) == pytest.approx(2)
    np.testing.assert_allclose(np.diag(flow @ flow.T), [0.5] * 4 + [0, 0], atol=1e-12)


def test_tca_components_are_those_of_a_general_eigensolver(domains):
    X, _, X_target = domains
    both = np.vstack([X, X_target])
    n, K = len(both), both @ both.T
    e = np.concatenate([np.full(24, 1 / 24), np.full(18, -1 / 18)])
    H = np.eye(n) - 1 / n
    values, vectors = scipy.linalg.eig(np.linalg.solve(K @ np.outer(e, e) @ K + 2.0 * np.eye(n), K @ H @ K))
    order = np.argsort(-values.real)[:10]
    components = transfer_components(K @ H @ K, K @ e, 2.0)[:, :10]
    np.testing.assert_allclose(np.abs(components), np.abs(vectors[:, order].real), atol=1e-6)


def test_tca_components_of_a_huge_kernel_leave_out_the_gap_of_the_means(domains):
    both = np.vstack([domains[0], domains[2]])
    K = both @ both.T
    centred, gap = (K - K.mean(axis=0)).T @ (K - K.mean(axis=0)), K[:, :24].mean(axis=1) - K[:, 24:].mean(axis=1)
    projector = np.eye(len(K)) - np.outer(gap, gap) / (gap @ gap)
    expected = np.linalg.eigh(projector @ centred @ projector)[1][:, ::-1][:, :10]
    components = transfer_components(1e24 * centred, 1e12 * gap, 1.0)[:, :10]
    np.testing.assert_allclose(np.abs(components), np.abs(expected), atol=1e-9)


def test_unscaled_features_do_not_stop_tca():
    X, y = load_wine(return_X_y=True)
    with pytest.warns(ConvergenceWarning) as caught:
        fitted = TCAClassifier().fit(1e3 * X[::2], y[::2], X_target=1e3 * X[1::2])
    assert not fitted.converged_
    assert ["TCAClassifier did not converge" in str(caught[0].message), len(caught)] == [True, 1]
    assert "scale the features, take a smaller C" in str(caught[0].message)
    assert (fitted.predict(1e3 * X[1::2]) == y[1::2]).mean() > 0.6


def test_tca_on_identical_domains_is_kernel_pca(domains):
    X, y, _ = domains
    fitted = TCAClassifier(5).fit(X, y, X_target=X)
    K = np.tile(X @ X.T, (2, 2))
    K_centred = K - K.mean(axis=0)
    leading = np.linalg.eigh(K_centred.T @ K_centred)[1][:, ::-1][:, :5]
    expected = SVC(kernel="linear").fit(K[:24] @ leading, y).predict(K[:24] @ leading)
    np.testing.assert_array_equal(fitted.predict(X), expected)


@pytest.mark.parametrize("width", [None, 0.7])
def test_tkl_extends_the_target_kernel_to_itself(domains, width):
    X, _, X_target = domains
    both = np.vstack([X, X_target])
    learned = _target_spectrum(Span.of(X, X_target), width)
    mean_square = scipy.spatial.distance.cdist(both, both, "sqeuclidean").mean()
    gram = X_target @ X_target.T if width is None else rbf_kernel(X_target, gamma=1 / (width**2 * mean_square))
    values, vectors = np.linalg.eigh(gram)
    rank = len(X_target) - 10
    features = gram @ learned.extension
    np.testing.assert_allclose(np.abs(features), np.abs(vectors[:, ::-1][:, :rank]), atol=1e-4)
    # with the target's own spectrum the kernel is the target's, restricted to its leading eigenvectors
    np.testing.assert_allclose(
        features * values[::-1][:rank] @ features.T,
        vectors[:, -rank:] * values[-rank:] @ vectors[:, -rank:].T,
        atol=1e-4,
    )


def test_tkl_with_a_gaussian_kernel_is_its_formula_in_the_raw_features(domains):
    X, y, X_target = domains
    both = np.vstack([X, X_target])
    K = np.exp(
        -scipy.spatial.distance.cdist(both, both, "sqeuclidean")
        / np.mean(scipy.spatial.distance.cdist(both, both, "sqeuclidean"))
    ) + 1e-6 * np.eye(42)
    values, vectors = np.linalg.eigh(K[24:, 24:])
    extension = vectors[:, ::-1][:, :8] / values[::-1][:8]
    Phi = K[:24, 24:] @ extension
    spectrum = damped_least_squares((Phi.T @ Phi) ** 2, np.diag(Phi.T @ K[:24, :24] @ Phi), 1.1)
    everybody = K[:, 24:] @ extension
    learned = everybody * spectrum @ everybody.T
    expected = SVC(kernel="precomputed", C=10.0).fit(learned[:24, :24], y).predict(learned[24:, :24])
    fitted = TKLClassifier(zeta=1.1, kernel="rbf", C=10.0).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(fitted.predict(X_target), expected)


def test_stm_with_even_weights_is_a_squared_hinge_svm(domains):
    X, y, X_target = domains
    # bound 1 with a budget that all samples must use up leaves no choice but weights near one
    even = STMClassifier(bound=1.0, lam=1e6, width=1e3).fit(X, y, X_target=X)
    np.testing.assert_allclose(even.weights_, 1, atol=1e-2)
    reference = LinearSVC(C=1.0, loss="squared_hinge", dual=True, intercept_scaling=100, tol=1e-8, max_iter=200000)
    np.testing.assert_array_equal(even.predict(X_target), reference.fit(X, y).predict(X_target))


@pytest.mark.parametrize("method", [STMClassifier, TKLClassifier])
def test_gaussian_kernels_see_what_a_new_sample_has_outside_the_span(domains, method):
    X, y, X_target = domains
    fitted = method(kernel="rbf").fit(X, y, X_target=X_target)
    direction = np.linalg.qr(np.vstack([X, X_target]).T, mode="complete")[0][:, -1]
    kernel = fitted.rule_.kernel
    known = kernel.samples @ fitted.span_.basis.T
    for far in (X, X + direction, X + 100 * direction):
        expected = gaussian(far, known, kernel.width)
        np.testing.assert_allclose(kernel(*fitted.span_.locate(far)), expected, atol=1e-12)
    assert (fitted.decision_function(X + direction) != fitted.decision_function(X)).any()


def test_drls_without_mean_term_is_a_label_space_lasso(domains):
    X, y, X_target = domains
    problem = RegressionProblem(Span.of(X, X_target))
    one_hot = np.eye(3)[y]
    slow = Resolvents(problem.K_source, problem.delta, 0.0, Schedule(kappa=0.1, growth=1.001, max_iter=20000))
    P = sparse_regression(slow, one_hot, [0.5]).P[0]
    design = problem.K_source.T
    lasso = Lasso(alpha=0.5 / (2 * len(design)), fit_intercept=False, tol=1e-12, max_iter=1_000_000)
    fitted = design @ lasso.fit(design, one_hot).coef_.T
    np.testing.assert_allclose(design @ P, fitted, atol=2e-3)


def test_drls_without_penalties_interpolates_the_labels(domains):
    X, y, X_target = domains
    np.testing.assert_array_equal(DRLSClassifier(lam=0.0, mu=0.0).fit(X, y, X_target=X_target).predict(X), y)


def test_tsrg_without_penalties_regenerates_the_source(domains):
    X, y, X_target = domains
    fitted = TSRGClassifier(lam=0.0, mu=0.0).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(fitted.predict(X), plain_svm(X, y, X))


@pytest.mark.parametrize("method", [DRLSClassifier, TSRGClassifier])
def test_unscaled_features_do_not_break_sparse_regression(method):
    X, y = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    fitted = method().fit(X[:89], y[:89], X_target=X[89:])
    assert fitted.converged_
    assert fitted.n_iter_ > 1
    assert (fitted.predict(X[89:]) == y[89:]).mean() > 0.85


def test_iterative_methods_tell_when_they_did_not_converge(domains):
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[:300] * np.geomspace(1, 1e6, 30), y[:300]  # the small features are hardly fitted
    for scaled in (StandardScaler().fit_transform(X), X):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = DRLSClassifier().fit(scaled[:150], y[:150], X_target=scaled[150:])
        assert fitted.converged_ == (scaled is not X)
        assert [warning.category for warning in caught] == [ConvergenceWarning] * (scaled is X)
    source, labels, target = domains
    with pytest.warns(ConvergenceWarning, match="STMClassifier did not converge in 1 iterations"):
        assert not STMClassifier(max_iter=1).fit(source, labels, X_target=target).converged_
    outcomes = prepare_sweep(STMClassifier(), source, labels, target)([{"max_iter": 1}, {}])
    assert [outcome.metrics["converged"] for outcome in outcomes] == [0.0, 1.0]


@pytest.mark.parametrize("method", [SAClassifier, GFKClassifier])
def test_a_domain_without_variance_leaves_the_svm(domains, method):
    X, y, X_target = domains
    fitted = method().fit(X, y, X_target=X_target[:1])
    np.testing.assert_array_equal(fitted.predict(X_target), plain_svm(X, y, X_target))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SVMClassifier(C=0.0), "C must be"),
        (TCAClassifier(n_components=0), "at least 1"),
        (TCAClassifier(n_components=2.5), "integer"),
        (TCAClassifier(mu=-1.0), "mu must be"),
        (TKLClassifier(zeta=0.0), "zeta must be"),
        (IWSVMClassifier(weighting="none"), "weighting must be"),
        (IWSVMClassifier(width=-1.0), "width must be"),
        (STMClassifier(kernel="cubic"), "kernel must be"),
        (STMClassifier(bound=0.01), "sum in"),
        (DRLSClassifier(mu=-1.0), "mu must be"),
        (TSRGClassifier(lam=float("nan")), "lam must be"),
    ],
)
def test_parameters_out_of_range_are_refused(domains, estimator, message):
    X, y, X_target = domains
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y, X_target=X_target)
