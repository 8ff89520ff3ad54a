"""Public libraries that have a method right, as independent implementations (the optional extra ``oracles``)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.svm import SVC

from tgsr.estimators import SAClassifier, TCAClassifier
from tgsr.estimators.span import Span
from tgsr.solvers.importance import gaussian, kmm

REASON = "needs the optional extra 'oracles' (skada, transfertools)"


@pytest.fixture(scope="module")
def skada():
    with warnings.catch_warnings():  # the libraries' own deprecations are not ours
        warnings.simplefilter("ignore")
        return pytest.importorskip("skada", reason=REASON)


def packed(span):
    """Source and target as skada takes them: one array and a domain number for each sample."""
    return span.samples, np.repeat([1, -2], [len(span.source), len(span.target)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("d", [3, 10])
def test_sa_has_the_kernel_of_skada_on_centred_span_coordinates(skada, domains, d):
    # skada centres the samples that it projects; on centred samples that makes no difference
    X, y, X_target = domains
    span = Span.of(X - X.mean(axis=0), X_target - X_target.mean(axis=0))
    samples, domain = packed(span)
    adapter = skada.SubspaceAlignmentAdapter(n_components=d, random_state=0)
    aligned = np.asarray(adapter.fit_transform(samples, sample_domain=domain))
    theirs = SVC(kernel="linear").fit(aligned[:24], y)
    ours = SAClassifier(d).fit(span.source, y, X_target=span.target)
    np.testing.assert_array_equal(ours.predict(span.target), theirs.predict(aligned[24:]))


@pytest.mark.filterwarnings("ignore")
def test_kmm_weights_are_those_of_skada_with_its_scipy_solver(skada, domains):
    span = Span.of(domains[0], domains[2])
    samples, domain = packed(span)
    width = 6.0
    adapter = skada.KMMReweightAdapter(gamma=1 / (2 * width**2), B=3.0, solver="scipy", tol=1e-12, max_iter=2000)
    adapter.fit(samples, sample_domain=domain)
    K, cross = gaussian(span.source, span.source, width), gaussian(span.source, span.target, width)
    ours, theirs = kmm(K, cross, bound=3.0)[0], adapter.source_weights_
    kappa = 24 / 18 * cross.sum(axis=1)
    value_ours, value_theirs = (s @ K @ s / 2 - kappa @ s for s in (ours, theirs))
    assert value_ours <= value_theirs + 1e-6 * abs(value_theirs)
    np.testing.assert_allclose(ours, theirs, atol=0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("m", [2, 8])
def test_tca_labels_are_those_of_transfertools(domains, m):
    X, y, X_target = domains
    models = pytest.importorskip("transfertools.models", reason=REASON)
    span = Span.of(X, X_target)
    theirs = models.TCA(mu=1.0, n_components=m, kernel_type="linear")
    source, target = theirs.fit_transfer(span.source, span.target)
    expected = SVC(kernel="linear").fit(np.real(source), y).predict(np.real(target))
    ours = TCAClassifier(m, mu=1.0).fit(span.source, y, X_target=span.target)
    np.testing.assert_array_equal(ours.predict(span.target), expected)
