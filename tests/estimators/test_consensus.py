"""A consensus is an estimator like any other, but for its fit: it is made of matrices that are there."""

import itertools

import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted

from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier
from tgsr.estimators._consensus import AveragedTGSR

KAPPAS, XIS, GROUPS = (1, 2, 4), (0.01, 1.0), np.repeat([3, 7, 8, 20], 5)


def samples(n=30, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    means = np.random.default_rng(9).random((3, 20))
    return means[codes] + 0.3 * rng.random((n, 20)), codes


@pytest.fixture(scope="module")
def single():
    X, y = samples()
    X_target, _ = samples(21, seed=1)
    return [
        TGSRClassifier(kappa, xi, groups=GROUPS).fit(X, y, X_target=X_target + 0.1)
        for kappa, xi in itertools.product(KAPPAS, XIS)
    ]


@pytest.fixture(scope="module")
def frequency(single):
    return np.mean([one.region_norms_ > 0 for one in single], axis=0)


@pytest.fixture(scope="module")
def averaged(single, frequency):
    mean = np.mean([one.coef_ for one in single], axis=0)
    return AveragedTGSR.of(mean.T, frequency, GROUPS, len(single))


def test_its_decisions_are_the_mean_of_those_of_the_single_models(single, averaged):
    X_target, truth = samples(21, seed=1)
    mean = np.mean([one.decision_function(X_target) for one in single], axis=0)
    np.testing.assert_allclose(averaged.decision_function(X_target), mean, atol=1e-12)
    assert averaged.predict(X_target).tolist() == mean.argmax(axis=1).tolist()
    assert averaged.score(X_target, truth) > 0.8
    np.testing.assert_allclose(averaged.predict_proba(X_target).sum(axis=1), 1)


def test_a_group_is_selected_that_more_than_half_of_the_models_keep(single, frequency, averaged):
    assert averaged.groups_.tolist() == [3, 7, 8, 20]
    assert averaged.selected_regions_.tolist() == averaged.groups_[frequency > 0.5].tolist()
    assert 0 < len(averaged.selected_regions_) < 4
    np.testing.assert_array_equal(averaged.inclusion_frequency_, frequency)
    assert averaged.n_models_ == len(single)


def test_the_norms_are_those_of_the_mean_matrix_by_group(averaged):
    for norm, group in zip(averaged.region_norms_, averaged.groups_, strict=True):
        assert norm == pytest.approx(np.linalg.norm(averaged.coef_[:, group == GROUPS]))


def test_it_is_fitted_from_the_beginning_and_cannot_be_fitted(averaged):
    check_is_fitted(averaged)
    with pytest.raises(ParameterError, match="consensus_of"):
        AveragedTGSR().fit(*samples())
