"""What only TGSR's estimator does."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier, TiedGroupsWarning, prepare_sweep


def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 30)), np.arange(12) % 2, rng.normal(size=(9, 30))


GROUPS = np.arange(30) // 5


def test_too_few_iterations_are_told():
    X, y, X_target = samples()
    model = TGSRClassifier(kappa=2, groups=GROUPS, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y, X_target=X_target)
    assert not model.converged_
    assert model.n_iter_ == 3


@pytest.mark.parametrize(
    "wrong",
    [
        *({"xi": "1"}, {"mu": "a"}, {"tol": None}, {"max_iter": 2.5}, {"kappa": 7}, {"init": "twos"}),
        {"scaling": "large"},
    ],
)
def test_wrong_parameters_are_named(wrong):
    X, y, X_target = samples()
    model = TGSRClassifier(kappa=2, groups=GROUPS).set_params(**wrong)
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        model.fit(X, y, X_target=X_target)


def test_what_has_no_effect_is_told():
    X, y, X_target = samples()
    with pytest.warns(UserWarning, match="xi = 1.0 has no effect"):
        TGSRClassifier(kappa=2, groups=GROUPS).fit(X, y)
    with pytest.warns(UserWarning, match="has 1 here: all are kept"):
        assert TGSRClassifier(kappa=2).fit(X, y, X_target=X_target).complete_


def test_ties_keep_fewer_groups_and_are_told():
    X, y, X_target = samples()
    twice, twice_target = np.hstack([X[:, :5]] * 2), np.hstack([X_target[:, :5]] * 2)
    with pytest.warns(TiedGroupsWarning, match="kappa = 1 groups were asked for, 0 kept"):
        model = TGSRClassifier(kappa=1, groups=np.arange(10) // 5).fit(twice, y, X_target=twice_target)
    assert not model.complete_
    assert model.selected_regions_.size == 0


def test_selected_regions_are_the_numbers_that_the_user_gave():
    X, y, X_target = samples()
    numbers = np.array([40, 7, 7000, -3, 12, 5])
    model = TGSRClassifier(kappa=2, groups=numbers[GROUPS]).fit(X, y, X_target=X_target)
    plain = TGSRClassifier(kappa=2, groups=GROUPS).fit(X, y, X_target=X_target)
    assert set(model.selected_regions_) == set(numbers[plain.selected_regions_])
    np.testing.assert_array_equal(model.groups_, np.sort(numbers))
    np.testing.assert_allclose(model.region_norms_, plain.region_norms_[np.argsort(numbers)])


@pytest.mark.parametrize("scaling", ["norm", "spread"])
def test_scaling_is_a_fit_on_divided_features_folded_back(scaling):
    X, y, X_target = samples()
    X, X_target = X * np.geomspace(0.1, 10, 6)[GROUPS], X_target * np.geomspace(0.1, 10, 6)[GROUPS]
    both = np.vstack([X, X_target]).reshape(-1, 6, 5)
    squares = ((both - (both.mean(axis=0) if scaling == "spread" else 0)) ** 2).sum(axis=(0, 2))
    factors = np.sqrt(squares / squares.mean())
    model = TGSRClassifier(kappa=2, groups=GROUPS, scaling=scaling).fit(X, y, X_target=X_target)
    divided = TGSRClassifier(kappa=2, groups=GROUPS).fit(X / factors[GROUPS], y, X_target=X_target / factors[GROUPS])
    np.testing.assert_array_equal(model.selected_regions_, divided.selected_regions_)
    np.testing.assert_allclose(model.coef_, divided.coef_ / factors[GROUPS], rtol=1e-6)
    np.testing.assert_allclose(model.region_norms_, np.linalg.norm(model.coef_.reshape(2, 6, 5), axis=(0, 2)))
    (outcome,) = prepare_sweep(model, X, y, X_target)([{"xi": 1.0}])
    np.testing.assert_allclose(X_target @ outcome.coef(), outcome.decisions, atol=1e-8)


def test_constant_groups_are_left_as_they_are():
    X, y, X_target = samples()
    X[:, :5] = X_target[:, :5] = 0.3
    model = TGSRClassifier(kappa=2, groups=GROUPS, scaling="spread").fit(X, y, X_target=X_target)
    assert np.isfinite(model.coef_).all()


def test_a_path_is_every_fit_whatever_the_threads():
    X, y, X_target = samples()
    y = np.array(["no", "yes"])[y]
    kappas, xis = [3, 1], [0.5, 20.0]
    paths = [
        TGSRClassifier(groups=GROUPS, n_jobs=n_jobs).path(X, y, kappas, xis, X_target=X_target) for n_jobs in (1, 2)
    ]
    for index, (kappa, xi) in enumerate((kappa, xi) for kappa in kappas for xi in xis):
        model = TGSRClassifier(kappa=kappa, xi=xi, groups=GROUPS).fit(X, y, X_target=X_target)
        for outcome in (path[index] for path in paths):
            assert outcome.settings == {"kappa": kappa, "xi": xi}
            np.testing.assert_array_equal(model.classes_[outcome.codes], model.predict(X_target))
            np.testing.assert_allclose(outcome.coef(), model.coef_.T, atol=1e-9)
            np.testing.assert_allclose(outcome.group_norms, model.region_norms_, atol=1e-9)


def test_a_sweep_takes_the_solvers_settings_grouping_and_scaling_too():
    X, y, X_target = samples()
    settings = [{"kappa": 2, "init": "zeros"}, {"kappa": 2, "rho": 1.2, "scaling": "spread"}, {"groups": GROUPS % 2}]
    sweep = prepare_sweep(TGSRClassifier(kappa=1, groups=GROUPS), X, y, X_target)
    for params, outcome in zip(settings, sweep(settings), strict=True):
        model = TGSRClassifier(**{"kappa": 1, "groups": GROUPS, **params}).fit(X, y, X_target=X_target)
        np.testing.assert_allclose(outcome.coef(), model.coef_.T, atol=1e-10)
        assert outcome.metrics["regions_kept"] == len(model.selected_regions_)
