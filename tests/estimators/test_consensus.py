"""A consensus is one linear model: it decides by the mean of the matrices, and says how often each group is kept."""

from __future__ import annotations

import numpy as np
import pytest

from tgsr.errors import ParameterError
from tgsr.estimators import AveragedTGSR, TGSRClassifier

GROUPS = np.repeat([3, 0, 7, 5], 5)


@pytest.fixture(scope="module")
def fitted() -> list[TGSRClassifier]:
    rng = np.random.default_rng(0)
    codes = np.arange(30) % 3
    X = np.random.default_rng(9).random((3, 20))[codes] + 0.3 * rng.random((30, 20))
    return [
        TGSRClassifier(kappa, xi, groups=GROUPS).fit(X[:18], codes[:18], X_target=X[18:])
        for kappa, xi in ((1, 0.01), (2, 0.1), (3, 1.0), (4, 1.0))
    ]


def average(fitted: list[TGSRClassifier]) -> AveragedTGSR:
    coef = np.mean([model.coef_.T for model in fitted], axis=0)
    frequency = np.mean([model.region_norms_ > 0 for model in fitted], axis=0)
    return AveragedTGSR.of(coef, frequency, GROUPS, len(fitted))


def test_its_decisions_are_the_mean_of_its_models(fitted: list[TGSRClassifier]) -> None:
    X = np.random.default_rng(1).random((7, 20))
    model = average(fitted)
    expected = np.mean([one.decision_function(X) for one in fitted], axis=0)
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), expected.argmax(axis=1))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_one_model_is_its_own_consensus(fitted: list[TGSRClassifier]) -> None:
    for one in fitted:
        model = average([one])
        np.testing.assert_array_equal(model.groups_, one.groups_)
        np.testing.assert_allclose(model.region_norms_, one.region_norms_)
        np.testing.assert_array_equal(model.selected_regions_, one.selected_regions_)
        assert set(model.inclusion_frequency_) <= {0.0, 1.0}


def test_a_group_is_selected_that_more_than_half_of_the_models_keep(fitted: list[TGSRClassifier]) -> None:
    model = average(fitted)
    assert model.n_models_ == 4
    assert model.inclusion_frequency_.sum() == np.mean([1, 2, 3, 4])
    np.testing.assert_array_equal(model.selected_regions_, model.groups_[model.inclusion_frequency_ > 0.5])


def test_it_is_not_fitted() -> None:
    with pytest.raises(ParameterError, match="consensus_of"):
        AveragedTGSR().fit(np.eye(4), [0, 0, 1, 1])
