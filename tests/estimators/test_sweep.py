"""Sweeps of one's own estimators, and how methods are found."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from tgsr.errors import ParameterError
from tgsr.estimators import SVMClassifier, TaskShape, get_method, prepare_sweep
from tgsr.estimators.methods import expand_grid
from tgsr.estimators.sweep import Outcome, prepare_reverse

SHAPE = TaskShape(7, 6, 85)


class OwnMethod(LogisticRegression):
    """An estimator that declares what is searched."""

    defaults: ClassVar = {"C": 2.0}
    param_grid: ClassVar = {"C": [0.1, 1.0]}

    @staticmethod
    def param_distributions(shape):
        return {"C": FloatDistribution(0.1, shape.n_groups)}


def test_any_classifier_is_swept_by_a_loop_of_fits(domains):
    X, y, X_target = domains
    codes = np.where(y == 2, 4, y)
    settings = [{"C": 0.1}, {"C": 10.0}]
    outcomes = prepare_sweep(LogisticRegression(), X, codes, X_target, X[:5], n_classes=6)(settings)
    for params, outcome in zip(settings, outcomes, strict=True):
        single = LogisticRegression(**params).fit(X, codes)
        np.testing.assert_array_equal(outcome.codes, single.predict(X_target))
        np.testing.assert_array_equal(outcome.new_codes, single.predict(X[:5]))
        np.testing.assert_array_equal(outcome.decisions[:, [0, 1, 4]], single.predict_proba(X_target))
        assert np.isneginf(outcome.decisions[:, [2, 3, 5]]).all()
        assert (outcome.settings, outcome.metrics, outcome.coef) == (params, {}, None)


def test_a_class_without_scores_has_codes_only(domains):
    class OnlyPredicts(NearestCentroid):
        predict_proba = decision_function = None

    X, y, X_target = domains
    (outcome,) = prepare_sweep(OnlyPredicts(), X, y, X_target)([{}])
    assert outcome.decisions is None
    np.testing.assert_array_equal(outcome.codes, OnlyPredicts().fit(X, y).predict(X_target))


def test_methods_are_found_by_name_by_path_and_nowhere_else():
    assert get_method("iwsvm") is get_method("IW-SVM")
    own = get_method(f"{__name__}:OwnMethod")
    assert isinstance(own.make(C=3.0), OwnMethod)
    assert own.defaults == {"C": 2.0}
    assert expand_grid(own.param_grid(SHAPE)) == [{"C": 0.1}, {"C": 1.0}]
    assert own.param_distributions(SHAPE) == {"C": FloatDistribution(0.1, 85)}
    plain = get_method("sklearn.linear_model:LogisticRegression")
    assert expand_grid(plain.param_grid(SHAPE)) == [{}]
    assert plain.param_distributions(SHAPE) == {}
    for wrong in ("TCB", "no.such.module:Class", "tgsr.errors:Missing", "numpy:mean"):
        with pytest.raises(ParameterError, match="method"):
            get_method(wrong)


def test_a_grid_keeps_the_order_of_its_keys_and_blocks():
    grid = [{"b": [1, 2], "a": ["x", "y"]}, {"c": [3]}]
    expected = [{"b": 1, "a": "x"}, {"b": 1, "a": "y"}, {"b": 2, "a": "x"}, {"b": 2, "a": "y"}, {"c": 3}]
    assert expand_grid(grid) == expected
    assert list(expand_grid(grid)[0]) == ["b", "a"]


class Constant:
    """Has its own sweep, which predicts the class that occurs last in the labels."""

    def prepare_sweep(self, X, codes, X_target, X_new=None, *, n_classes):
        prepared.append(codes.tolist())
        last = np.full(len(X_target), codes[-1])
        return lambda settings: [Outcome(dict(params), last) for params in settings]


class OwnSweepOfOurs(Constant, SVMClassifier):
    """A subclass of one of our methods, with a sweep of its own: the reverse fits are by that, too."""


prepared: list[list[int]] = []


@pytest.mark.parametrize("kind", [Constant, OwnSweepOfOurs])
def test_reverse_fits_of_ones_own_sweep_share_equal_labels_and_spare_those_of_one_class(domains, kind):
    X, _, X_target = domains
    labels = np.array([[0, 1] * 9, [1, 0] * 9, [2] * 18, [0, 1] * 9])
    prepared.clear()
    back = prepare_reverse(kind(), X, X_target, n_classes=3)([{}] * 4, labels)
    np.testing.assert_array_equal(back, np.repeat([[1], [0], [2], [1]], len(X), axis=1))
    assert sorted(prepared) == sorted([labels[0].tolist(), labels[1].tolist()])


def test_reverse_fits_of_any_classifier_are_a_loop_of_fits(domains):
    X, _, X_target = domains
    settings, labels = [{"C": 0.1}, {"C": 10.0}], [np.arange(18) % 3, np.arange(18) % 2 * 2]
    back = prepare_reverse(LogisticRegression(), X, X_target, n_classes=3)(settings, labels)
    for params, codes, predicted in zip(settings, labels, back, strict=True):
        np.testing.assert_array_equal(predicted, LogisticRegression(**params).fit(X_target, codes).predict(X))


@pytest.mark.parametrize("method", ["SVM", "TGSR"])
def test_reverse_fits_take_lists_and_refuse_what_is_no_sample(domains, method):
    X, _, X_target = domains
    estimator = get_method(method).make(**({"groups": np.arange(X.shape[1])} if method == "TGSR" else {}))
    codes = np.arange(len(X_target)) % 3
    settings = [{"kappa": 2} if method == "TGSR" else {}]
    back = prepare_reverse(estimator, X, X_target, n_classes=3)(settings, [codes])
    again = prepare_reverse(estimator, X.tolist(), X_target.tolist(), n_classes=3)(settings, [codes])
    np.testing.assert_array_equal(back, again)
    with pytest.raises(ValueError, match="NaN"):
        prepare_reverse(estimator, np.full_like(X, np.nan), X_target, n_classes=3)
    with pytest.raises(ValueError, match="features"):
        prepare_reverse(estimator, X[:, :-1], X_target, n_classes=3)
