"""What only TGSR's estimator does."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier


def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 30)), np.arange(12) % 2, rng.normal(size=(9, 30))


def test_too_few_iterations_are_told():
    X, y, X_target = samples()
    model = TGSRClassifier(kappa=2, groups=np.arange(30) // 5, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y, X_target=X_target)
    assert not model.converged_
    assert model.n_iter_ == 3


@pytest.mark.parametrize("wrong", [{"xi": "1"}, {"mu": "a"}, {"tol": None}, {"max_iter": 2.5}, {"kappa": 7}])
def test_wrong_parameters_are_named(wrong):
    X, y, X_target = samples()
    model = TGSRClassifier(kappa=2, groups=np.arange(30) // 5).set_params(**wrong)
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        model.fit(X, y, X_target=X_target)
