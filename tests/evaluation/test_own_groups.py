"""An evaluation in Python uses the features' own groups, unless others were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import evaluate

GROUPS = np.repeat(np.arange(6), 59)


def database(name: str, seed: int, groups: np.ndarray = GROUPS) -> FeatureDataset:
    labels = np.arange(30) % 3
    features = np.random.default_rng(seed).normal(size=(30, 354)) + labels[:, None]
    return FeatureDataset(name, features, labels, groups=groups)


class Transferred(TGSRClassifier):
    """Without what it cannot take in a pipeline."""

    def fit(self, X: Any, y: Any, X_target: Any = None) -> Any:
        return super().fit(X, y, X_target=X)


class Pipeline:
    """A pipeline that takes the target's samples, and passes settings on as scikit-learn's does."""

    def __init__(self, groups: Any = "region") -> None:
        self.steps = make_pipeline(StandardScaler(), Transferred(kappa=2, xi=0.1, groups=groups))

    def __sklearn_clone__(self) -> Pipeline:
        return Pipeline(self.steps[-1].groups)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return self.steps.get_params(deep)

    def set_params(self, **params: Any) -> Pipeline:
        self.steps.set_params(**params)
        return self

    def fit(self, X: Any, y: Any, *, X_target: Any = None) -> Pipeline:
        self.steps.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.steps.predict(X)


def test_own_groups_take_the_place_of_the_default() -> None:
    pair = DatabasePair(database("A", 1), database("B", 2))
    estimator = TGSRClassifier(kappa=1, xi=0.1)
    fitted = evaluate(estimator, pair).estimator
    assert len(fitted.region_norms_) == pair.n_groups == 6
    explicit = evaluate(TGSRClassifier(kappa=1, xi=0.1, groups=GROUPS), pair).estimator
    np.testing.assert_array_equal(fitted.region_norms_, explicit.region_norms_)
    assert estimator.groups == "region"  # the caller's is left as it was, and fits the next pair
    other = DatabasePair(database("A", 1, np.arange(354)), database("B", 2, np.arange(354)))
    assert len(evaluate(estimator, other).estimator.region_norms_) == 354


def test_own_groups_reach_a_step_of_a_pipeline() -> None:
    fitted = evaluate(Pipeline(), DatabasePair(database("A", 1), database("B", 2))).estimator
    assert len(fitted.steps[-1].region_norms_) == 6


@pytest.mark.parametrize("groups", [np.repeat(np.arange(2), 177), np.arange(354)])
def test_groups_that_were_asked_for_are_used(groups: np.ndarray) -> None:
    pair = DatabasePair(database("A", 1), database("B", 2))
    estimator = TGSRClassifier(kappa=1, xi=0.1, groups=groups)
    assert evaluate(estimator, pair).estimator is estimator
    assert len(estimator.region_norms_) == len(np.unique(groups))


def test_without_own_groups_the_estimator_itself_is_fitted(pair_factory: Callable[..., DatabasePair]) -> None:
    estimator = TGSRClassifier(kappa=1, xi=0.1)
    assert evaluate(estimator, pair_factory()).estimator is estimator
    assert len(estimator.region_norms_) == 85
