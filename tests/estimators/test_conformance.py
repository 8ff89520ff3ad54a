"""One suite for all ten methods: scikit-learn's own checks, and what a transfer method must keep."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import sklearn
from optuna.distributions import BaseDistribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tgsr.datasets import DatabasePair
from tgsr.estimators import METHODS, Method, TargetSamples, TaskShape, prepare_sweep
from tgsr.estimators._base import TransferClassifier
from tgsr.estimators.methods import expand_grid
from tgsr.estimators.sweep import prepare_reverse
from tgsr.evaluation import mask_target


def small(method: Method) -> TransferClassifier:
    """The method with settings that fit a handful of features and seconds."""
    settings = {"TGSR": {"kappa": 1, "xi": 0.0}, "STM": {"max_iter": 2}, "IW-SVM": {"width": 5.0}}
    return method.estimator().set_params(**settings.get(method.name, {}))


@parametrize_with_checks([small(method) for method in METHODS.values()])
def test_sklearn_check(estimator, check):
    check(estimator)


# STM is cut short on purpose
pytestmark = pytest.mark.filterwarnings("ignore:STMClassifier did not converge")
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def blobs(n_source: int = 24, n_target: int = 18, n_features: int = 60, seed: int = 0, n_classes: int = 3):
    """Three classes in few dimensions of many, the target moved: far fewer samples than features."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((n_classes, n_features))
    centres[:, :n_classes] = 3 * np.eye(n_classes)
    y, y_target = np.arange(n_source) % n_classes, np.arange(n_target) % n_classes
    X = centres[y] + 0.5 * rng.standard_normal((n_source, n_features))
    X_target = centres[y_target] + 0.5 * rng.standard_normal((n_target, n_features))
    X_target[:, n_classes : n_classes + 3] += 1.0
    return X, y, X_target, y_target


@each_method
def test_separable_classes_are_recovered_across_a_shift(method):
    X, y, X_target, y_target = blobs()
    predicted = small(method).fit(X, y, X_target=X_target).predict(X_target)
    assert (predicted == y_target).mean() >= 0.85


@each_method
def test_target_labels_are_not_needed_and_cannot_be_given(method, pair_factory: Callable[..., DatabasePair]):
    pair = pair_factory()
    task = mask_target(pair)
    assert not hasattr(task, "y_target")
    with pytest.raises(TypeError):
        small(method).fit(task.X, task.y, X_target=task.X_target, y_target=pair.target.labels)


@each_method
def test_order_of_samples_does_not_matter(method):
    X, y, X_target, _ = blobs(n_source=30)
    rng = np.random.default_rng(1)
    source_order, target_order = rng.permutation(len(X)), rng.permutation(len(X_target))
    given = small(method).fit(X, y, X_target=X_target).predict(X_target)
    shuffled = small(method).fit(X[source_order], y[source_order], X_target=X_target[target_order])
    np.testing.assert_array_equal(shuffled.predict(X_target), given)


@each_method
def test_order_of_features_does_not_matter(method):
    if method.name == "TGSR":
        pytest.skip("features belong to groups")
    X, y, X_target, _ = blobs()
    order = np.random.default_rng(2).permutation(X.shape[1])
    given = small(method).fit(X, y, X_target=X_target).predict(X_target)
    shuffled = small(method).fit(X[:, order], y, X_target=X_target[:, order]).predict(X_target[:, order])
    np.testing.assert_array_equal(shuffled, given)


@each_method
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_class_missing_in_the_source_is_never_predicted(method, missing):
    X, y, X_target, _ = blobs()
    keep = y != missing
    predicted = small(method).fit(X[keep], y[keep], X_target=X_target).predict(X_target)
    assert missing not in predicted
    assert set(predicted) <= set(range(3))


@each_method
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_class_missing_in_the_target_is_allowed(method, missing):
    X, y, X_target, y_target = blobs()
    X_target = X_target[y_target != missing]
    predicted = small(method).fit(X, y, X_target=X_target).predict(X_target)
    assert set(predicted) <= set(range(3))


@each_method
def test_one_source_sample_a_class(method):
    X, y, X_target, _ = blobs(n_source=3)
    assert small(method).fit(X, y, X_target=X_target).predict(X_target).shape == (len(X_target),)


@each_method
def test_one_target_sample(method):
    X, y, X_target, _ = blobs()
    predicted = small(method).fit(X, y, X_target=X_target[:1]).predict(X_target[:1])
    assert predicted.shape == (1,)
    assert predicted[0] in (0, 1, 2)


@each_method
def test_one_class_is_refused(method):
    X, y, X_target, _ = blobs()
    with pytest.raises(ValueError, match="1 class"):
        small(method).fit(X, np.zeros_like(y), X_target=X_target)


@each_method
@pytest.mark.parametrize("n_target", [24, 30])
def test_as_many_target_samples_as_source_samples_or_more(method, n_target):
    X, y, X_target, _ = blobs(n_target=n_target)
    assert small(method).fit(X, y, X_target=X_target).predict(X_target).shape == (n_target,)


@each_method
def test_constant_features_change_nothing_but_rounding(method):
    X, y, X_target, _ = blobs()
    X[:, -20:] = X_target[:, -20:] = 0.0
    reduced = small(method).fit(X[:, :-20], y, X_target=X_target[:, :-20]).predict(X_target[:, :-20])
    np.testing.assert_array_equal(small(method).fit(X, y, X_target=X_target).predict(X_target), reduced)


@each_method
def test_all_samples_equal(method):
    X, y, X_target, _ = blobs()
    X[:] = X_target[:] = 1.0
    predicted = small(method).fit(X, y, X_target=X_target).predict(X_target)
    assert len(set(predicted)) == 1


@each_method
def test_target_of_another_width_is_refused(method):
    X, y, X_target, _ = blobs()
    with pytest.raises(ValueError, match="X_target has 59 features"):
        small(method).fit(X, y, X_target=X_target[:, 1:])


@each_method
def test_target_columns_must_have_the_names_of_the_source(method):
    X, y, X_target, _ = blobs()
    names = [f"bin {index}" for index in range(X.shape[1])]
    source, target = pd.DataFrame(X, columns=names), pd.DataFrame(X_target, columns=names)
    fitted = small(method).fit(source, y, X_target=target)
    plain = small(method).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(fitted.predict(target), plain.predict(X_target))
    with pytest.raises(ValueError, match="same order"):
        small(method).fit(source, y, X_target=target[names[::-1]])
    with pytest.raises(ValueError, match="X_target has 59 features"):
        small(method).fit(source, y, X_target=target[names[1:]])


@pytest.mark.parametrize("name", ["SA", "DRLS"])
def test_a_pipeline_that_is_asked_to_transforms_the_target(name):
    X, y, X_target, _ = blobs()
    X, X_target = 5 + 3 * X, 5 + 3 * X_target
    with sklearn.config_context(enable_metadata_routing=True):
        method = small(METHODS[name]).set_fit_request(X_target=True)
        model = make_pipeline(StandardScaler(), method, transform_input=["X_target"]).fit(X, y, X_target=X_target)
    scaler = StandardScaler().fit(X)
    scaled = small(METHODS[name]).fit(scaler.transform(X), y, X_target=scaler.transform(X_target))
    np.testing.assert_array_equal(model[-1].span_.target, scaled.span_.target)
    np.testing.assert_array_equal(model.predict(X_target), scaled.predict(scaler.transform(X_target)))


def test_a_search_over_a_pipeline_has_the_whole_target_transformed_in_each_fold():
    X, y, X_target, _ = blobs(n_source=18, n_target=18)
    seen = []

    class Watching(METHODS["SA"].estimator):
        def _fit(self, X, codes, X_target):
            seen.append(X_target.copy())
            return super()._fit(X, codes, X_target)

    with sklearn.config_context(enable_metadata_routing=True):
        method = Watching(n_components=2).set_fit_request(X_target=True)
        model = make_pipeline(StandardScaler(), method, transform_input=["X_target"])
        GridSearchCV(model, {}, cv=3).fit(X, y, X_target=TargetSamples(X_target))
    assert {len(target) for target in seen} == {18}
    np.testing.assert_array_equal(seen[-1], StandardScaler().fit(X).transform(X_target))


@each_method
def test_inputs_are_left_alone_and_the_fit_is_repeatable(method):
    arrays = blobs()[:3]
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    X, y, X_target = arrays
    first, second = (small(method).fit(X, y, X_target=X_target).predict(X_target) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@each_method
def test_a_fitted_method_survives_pickling(method):
    X, y, X_target, _ = blobs()
    fitted = small(method).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X_target), fitted.predict(X_target))


@each_method
@pytest.mark.parametrize("published", [True, False])
def test_defaults_grid_and_distributions_are_accepted_parameters(method, published):
    shape = TaskShape(24, 18, 85, published)
    grid = expand_grid(method.param_grid(shape))
    for params in (method.defaults, *grid[:3], *grid[-3:]):
        estimator = method.make(**params)
        assert {name: estimator.get_params()[name] for name in params} == dict(params)
    for name, distribution in method.param_distributions(shape).items():
        assert name in method.estimator().get_params()
        assert isinstance(distribution, BaseDistribution)
    assert method.shares is None or method.shares in grid[0]


@each_method
def test_features_of_another_layout_search_the_cost_of_every_svm(method):
    n_cells = {}
    for published in (True, False):
        shape = TaskShape(300, 200, 400, published)
        grid, ranges = expand_grid(method.param_grid(shape)), method.param_distributions(shape)
        searched = {settings.get("C") for settings in grid}
        ends_in_svm = hasattr(method.estimator(), "C") and not published
        assert searched == ({0.01, 0.1, 1.0, 10.0, 100.0} if ends_in_svm else {None})
        assert ("C" in ranges) == ends_in_svm
        n_cells[published] = len(grid)
    assert n_cells[False] <= max(n_cells[True], 5 * 56)  # five times STM's


@each_method
@pytest.mark.parametrize("published", [True, False])
def test_sweep_and_single_fits_agree(method, published):
    X, y, X_target, _ = blobs()
    X_new = X_target[::-2]
    grid = expand_grid(method.param_grid(TaskShape(24, 18, 12, published)))
    grid = grid[:: max(1, len(grid) // 8)]
    fixed = {"groups": np.arange(60) // 5} if method.name == "TGSR" else {}
    codes = 3 * (y > 0) + (y > 1)  # 0, 3, 4: classes 1 and 2 are absent
    estimator = method.make(**fixed)
    sweep = prepare_sweep(estimator, X, y, X_target, X_new)
    for params, outcome in zip(grid, sweep(grid), strict=True):
        single = method.make(**fixed, **params).fit(X, y, X_target=X_target)
        assert outcome.settings == params
        np.testing.assert_array_equal(outcome.codes, single.predict(X_target), err_msg=str(params))
        np.testing.assert_array_equal(outcome.new_codes, single.predict(X_new))
        np.testing.assert_allclose(outcome.decisions, single.decision_function(X_target), atol=1e-8)
        np.testing.assert_allclose(outcome.new_decisions, single.decision_function(X_new), atol=1e-8)
    gaps = prepare_sweep(estimator, X, codes, X_target, n_classes=6)(grid[-1:])[0]
    assert gaps.decisions.shape == (18, 6)
    assert set(gaps.codes) <= {0, 3, 4}
    with pytest.raises(ValueError, match="X_new has 59 features"):
        prepare_sweep(estimator, X, y, X_target, X_new[:, 1:])


@each_method
@pytest.mark.filterwarnings("ignore:Watching did not converge")
def test_a_search_hands_the_target_on_whole_and_fits_calibrate(method):
    X, y, X_target, _ = blobs(n_target=24)
    seen = []

    class Watching(method.estimator):
        def _fit(self, X, codes, X_target):
            seen.append(X_target)
            super()._fit(X, codes, X_target)

    watching = Watching().set_params(**small(method).get_params())
    search = GridSearchCV(watching, {}, cv=3).fit(X, y, X_target=TargetSamples(X_target))
    assert [target.shape for target in seen] == [X_target.shape] * 4
    assert search.predict(X_target).shape == (24,)
    calibrated = CalibratedClassifierCV(watching, ensemble=False, cv=3).fit(X, y, X_target=TargetSamples(X_target))
    np.testing.assert_allclose(calibrated.predict_proba(X_target).sum(axis=1), 1)


@each_method
def test_decisions_rank_the_predicted_class_first(method):
    X, y, X_target, _ = blobs()
    fitted = small(method).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(fitted.decision_function(X_target).argmax(axis=1), fitted.predict(X_target))
    two = small(method).fit(X[y < 2], y[y < 2], X_target=X_target)
    np.testing.assert_array_equal(two.decision_function(X_target) > 0, two.predict(X_target) == 1)


@each_method
def test_labels_of_another_type_are_named(method):
    X, y, X_target, _ = blobs()
    fitted = small(method).fit(X, y, X_target=X_target)
    assert fitted.score(X, y.astype(float)) == fitted.score(X, y)
    for wrong in (y + 0.5, y.astype(str)):
        with pytest.raises(ValueError, match=r"label|target"):
            fitted.score(X, wrong)


@each_method
def test_reverse_fits_are_fresh_fits_on_the_labels_of_each(method):
    X, _, X_target, y_target = blobs()
    flipped = np.where(np.arange(18) < 3, 2, y_target)
    labels = [y_target, flipped, y_target % 2, np.where(y_target == 1, 1, 2), np.full(18, 1), y_target]
    grid = expand_grid(method.param_grid(TaskShape(len(X), len(X_target), 1)))[: len(labels)]
    settings = [grid[index % len(grid)] for index in range(len(labels))]
    back = prepare_reverse(small(method), X, X_target, n_classes=3)(settings, labels)
    assert back.shape == (len(labels), len(X))
    for params, codes, predicted in zip(settings, labels, back, strict=True):
        if len(set(codes)) == 1:
            np.testing.assert_array_equal(predicted, codes[0])
        else:
            (fresh,) = prepare_sweep(small(method), X_target, codes, X, n_classes=3)([params])
            np.testing.assert_array_equal(predicted, fresh.codes)


@each_method
def test_a_target_of_one_sample_teaches_its_class(method):
    X, _, X_target, _ = blobs()
    reverse = prepare_reverse(small(method), X, X_target[:1], n_classes=3)
    np.testing.assert_array_equal(reverse([{}, {}], [[2], [0]]), [[2] * len(X), [0] * len(X)])


@each_method
def test_the_source_as_new_samples_is_scored_like_any_others(method):
    X, y, X_target, _ = blobs()
    (same,), (other,) = (prepare_sweep(small(method), X, y, X_target, new)([{}]) for new in (X, X.copy()))
    np.testing.assert_allclose(same.new_decisions, other.new_decisions, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(same.decisions, other.decisions)
