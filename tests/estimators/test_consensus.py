"""A consensus is the combination of the grid's own models, and a classifier like any other."""

import itertools

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier, get_method, prepare_sweep
from tgsr.estimators._consensus import ConsensusTGSR, VoteClassifier, aggregation_weights, best_tenth, vote

KAPPAS, XIS, GROUPS = (1, 2, 4), (0.01, 1.0), np.repeat(np.arange(4), 5)


def samples(n=30, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    means = np.random.default_rng(9).random((3, 20))
    return means[codes] + 0.3 * rng.random((n, 20)), codes


def consensus(combine, **params):
    return ConsensusTGSR(combine, kappas=KAPPAS, xis=XIS, groups=GROUPS, **params)


@parametrize_with_checks([ConsensusTGSR(kappas=(1,), xis=(0.1,)), VoteClassifier("SVM")])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def test_the_average_is_that_of_the_grids_matrices_and_counts_their_groups():
    X, y = samples()
    X_target, _ = samples(21, seed=1)
    model = consensus("average", scaling="spread").fit(X, y, X_target=X_target + 0.1)
    single = [
        TGSRClassifier(kappa, xi, groups=GROUPS, scaling="spread").fit(X, y, X_target=X_target + 0.1)
        for kappa, xi in itertools.product(KAPPAS, XIS)
    ]
    np.testing.assert_allclose(model.coef_, np.mean([one.coef_ for one in single], axis=0), atol=1e-9)
    frequency = np.mean([one.region_norms_ > 0 for one in single], axis=0)
    np.testing.assert_allclose(model.inclusion_frequency_, frequency)
    assert model.selected_regions_.tolist() == np.flatnonzero(frequency > 0.5).tolist()
    assert model.n_models_ == 6


@pytest.mark.parametrize("combine", ["tenth", "iwa"])
def test_a_consensus_is_one_linear_model_that_learns(combine):
    X, y = samples()
    X_target, truth = samples(21, seed=1)
    model = consensus(combine).fit(X, y, X_target=X_target)
    assert model.coef_.shape == (3, 20)
    np.testing.assert_allclose(model.decision_function(X_target), X_target @ model.coef_.T)
    np.testing.assert_allclose(model.predict_proba(X_target).sum(axis=1), 1)
    assert model.score(X_target, truth) > 0.8
    assert model.n_models_ == (1 if combine == "tenth" else 6)


def test_an_unknown_combination_is_refused():
    with pytest.raises(ParameterError, match="combine must be"):
        consensus("best").fit(*samples())


def test_aggregation_finds_the_combination_where_the_samples_tell():
    rng = np.random.default_rng(0)
    codes = rng.integers(2, size=4000)
    right, wrong = np.eye(2)[codes], np.eye(2)[1 - codes]
    models = np.array([0.5 * right, 0.5 * wrong])
    weights = aggregation_weights(models, models, codes, np.ones(4000))
    assert weights[0] == pytest.approx(2, abs=0.05)  # twice the first is the truth
    assert weights[1] == pytest.approx(0, abs=0.05)


def test_the_tenth_and_the_vote_take_the_first_of_equal_ones():
    assert np.flatnonzero(best_tenth(np.array([0.1] * 15 + [0.9] + [0.1] * 4))).tolist() == [0, 15]
    assert vote(np.array([[2, 1, 0], [1, 1, 2]]), 3).tolist() == [1, 1, 0]


def test_the_vote_is_that_of_the_methods_grid():
    X, y = samples()
    X_target, _ = samples(21, seed=1)
    method = get_method("TCA")
    settings = [{"n_components": count} for count in range(1, 51)]
    outcomes = prepare_sweep(method.make(), X, y, X_target)(settings)
    expected = vote(np.array([outcome.codes for outcome in outcomes]), 3)
    voter = get_method("tca-vote").make()
    assert voter.fit(X, y, X_target=X_target).predict(X_target).tolist() == expected.tolist()
    (outcome,) = prepare_sweep(voter, X, y, X_target, X_target[:5])([{}])
    assert outcome.codes.tolist() == expected.tolist()
    assert outcome.new_codes.tolist() == expected[:5].tolist()


def test_the_registry_knows_each_consensus_and_has_nothing_to_search():
    for name, combine in (("TGSR-average", "average"), ("tgsr_tenth", "tenth"), ("TGSRIWA", "iwa")):
        method = get_method(name)
        assert method.make().combine == combine
        assert method.param_grid(None) == [{}]
    assert get_method("DRLS-vote").make().method == "DRLS"
