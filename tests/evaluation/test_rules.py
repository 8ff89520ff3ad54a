"""What every rule keeps to, each rule's formula against a second computation of it, and rules of one's own."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import sklearn
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from tgsr.errors import ParameterError
from tgsr.estimators.methods import METHODS
from tgsr.estimators.sweep import Outcome, prepare_reverse, prepare_sweep
from tgsr.evaluation.rules import ALWAYS, DEFAULT, RULES, RuleContext, check_choice_name, get_rule, get_rules
from tgsr.evaluation.rules._cross_validation import discriminator_weights
from tgsr.evaluation.task import TransferTask, mask_target
from tgsr.trials.fitter import make_context, make_estimator
from tgsr.trials.spec import make_spec

N_CLASSES = 3
GRID = [{"C": 10.0**power} for power in range(-4, 4)]
PARTWISE = [name for name in RULES if not get_rule(name).compares_all]
NEEDS_DECISIONS = [name for name in RULES if get_rule(name).needs != "codes"]


def make_task(seed=0, n_source=45, n_target=24):
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(N_CLASSES, 6))
    y, truth = np.arange(n_source) % N_CLASSES, np.arange(n_target) % N_CLASSES
    X = centres[y] + rng.normal(size=(n_source, 6))
    X_target = centres[truth] + 0.7 + rng.normal(size=(n_target, 6))
    subjects = np.array([f"s{index // 5}" for index in range(n_source)])
    return TransferTask(X, y, X_target, subjects, ("negative", "positive", "surprise"))


class Regression:
    """Ridge regression of one-hot labels that says which of its features it keeps, as TGSR does."""

    def __init__(self, C=1.0):
        self.C = C

    def prepare_sweep(self, X, codes, X_target, X_new=None, *, n_classes):
        def outcome(settings):
            W = np.linalg.solve(X.T @ X + np.eye(X.shape[1]) / settings["C"], X.T @ np.eye(n_classes)[codes])
            sizes = np.linalg.norm(W, axis=1)
            norms = np.where(sizes > np.median(sizes), sizes, 0)
            return Outcome.of_scores(settings, X_target @ W, None if X_new is None else X_new @ W, group_norms=norms)

        return lambda settings: [outcome(one) for one in settings]


def context_of(task, estimator=None, seed=0):
    estimator = Regression() if estimator is None else estimator
    sweep = partial(prepare_sweep, estimator, n_classes=N_CLASSES)
    return RuleContext(
        task, sweep, partial(prepare_reverse, estimator, task.X, task.X_target, n_classes=N_CLASSES), seed
    )


def outcomes_of(context, settings=GRID):
    task = context.task
    return context.sweep(task.X, task.y, task.X_target, task.X)(settings)


def values_of(name, context, outcomes):
    return get_rule(name).prepare(context)(outcomes)


def test_the_rules_that_every_trial_has_are_built_in_and_one_of_them_ranks():
    assert {*ALWAYS, DEFAULT} <= set(RULES)
    assert [rule.name for rule in get_rules([*RULES, *RULES])] == list(RULES)
    assert all(get_rule(name).description for name in RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_gives_finite_values_that_depend_on_the_seed_only(name):
    task = make_task()
    context = context_of(task)
    outcomes = outcomes_of(context)
    values = values_of(name, context, outcomes)
    assert values.shape == (len(GRID),)
    assert np.isfinite(values).all()
    assert len(set(values.tolist())) > 1, "a rule that says the same of all settings says nothing"
    np.testing.assert_array_equal(values, values_of(name, context_of(task), outcomes))


@pytest.mark.parametrize("name", PARTWISE)
@pytest.mark.parametrize("parts", [[3], [1], [7], [1, 2, 3, 4, 5, 6, 7]], ids=str)
def test_values_of_a_part_are_the_part_of_the_values(name, parts):
    context = context_of(make_task())
    outcomes = outcomes_of(context)
    scorer = get_rule(name).prepare(context)
    split = [outcomes[start:stop] for start, stop in zip([0, *parts], [*parts, len(GRID)], strict=True)]
    values = np.concatenate([scorer(part) for part in split])
    np.testing.assert_allclose(values, scorer(outcomes), rtol=1e-12)


CHEAP = [*ALWAYS, "entropy"]


@pytest.mark.parametrize(("method", "names"), [*((method, CHEAP) for method in METHODS), ("TGSR", list(RULES))])
def test_methods_have_finite_values_of_the_rules_that_suit_in_any_part_of_a_grid(method, names, small_pair):
    spec = make_spec(small_pair, method)
    context = make_context(spec, small_pair)
    outcomes = outcomes_of(context, [cell for _, cell in spec.cells(2)])
    has_decisions = outcomes[0].decisions is not None
    for name in names if has_decisions else set(names) - set(NEEDS_DECISIONS):
        scorer = get_rule(name).prepare(context)
        whole = scorer(outcomes)
        assert np.isfinite(whole).all(), name
        if name in PARTWISE:
            np.testing.assert_allclose(scorer(outcomes[-1:]), whole[-1:], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", [name for name in RULES if get_rule(name).needs == "codes"])
def test_a_rule_on_predictions_reads_settings_and_predictions_only(name):
    context = context_of(make_task())
    outcomes = outcomes_of(context)
    light = [Outcome(outcome.settings, outcome.codes) for outcome in outcomes]
    np.testing.assert_array_equal(values_of(name, context, light), values_of(name, context, outcomes))


@pytest.mark.parametrize("name", RULES)
def test_a_prediction_of_one_class_only_is_no_special_case(name):
    context = context_of(make_task())
    scores = np.tile([1.0, 0.0, 0.0], (24, 1))
    constant = Outcome({"C": 1.0}, np.zeros(24, dtype=np.intp), scores, new_decisions=np.tile([1.0, 0.0, 0.0], (45, 1)))
    assert np.isfinite(values_of(name, context, [constant])).all()


@pytest.mark.parametrize("name", NEEDS_DECISIONS)
def test_a_rule_on_scores_refuses_a_method_without_them(name):
    outcomes = [Outcome({}, np.zeros(24, dtype=np.intp))]
    with pytest.raises(ParameterError, match=f"{name}.* needs decision values"):
        values_of(name, context_of(make_task()), outcomes)


@pytest.mark.parametrize("name", ["luck", "no.such.module:RULE", "tgsr.evaluation.rules:NOPE", "os:sep", ":", ""])
def test_a_name_of_no_rule_is_told_in_one_line(name):
    for find in (get_rule, check_choice_name):
        with pytest.raises(ParameterError) as caught:
            find(name)
        assert "\n" not in str(caught.value)
        assert "rule" in str(caught.value)
    with pytest.raises(ParameterError, match=r"'luck'.*source-cv"):
        get_rule("luck")


PLACE = "tgsr.evaluation.rules._cross_validation:SOURCE_CV"


@pytest.mark.parametrize("name", ["Source-CV", "source_cv", " SOURCE-CV ", PLACE])
def test_a_rule_is_found_however_its_name_is_written(name):
    assert get_rule(name).name == check_choice_name(name) == "source-cv"
    assert check_choice_name("Oracle") == "oracle"


# --- formulas -------------------------------------------------------------------------------------------------------


def scores_of_softmax(chances):
    """One outcome whose softmax is the given probabilities."""
    return [Outcome({}, chances.argmax(axis=1), np.log(chances))]


def test_entropy_as_printed():
    chances = softmax(np.random.default_rng(0).normal(size=(9, 3)), axis=1)
    expected = np.mean([sum(p * np.log(p) for p in row) for row in chances])
    assert values_of("entropy", context_of(make_task()), scores_of_softmax(chances))[0] == pytest.approx(expected)


def test_class_balance_is_the_distance_of_shares_in_total_variation():
    task = make_task()  # a third of each class
    codes = np.repeat([0, 1, 2], [12, 12, 0])
    values = values_of("class-balance", context_of(task), [Outcome({}, codes), Outcome({}, np.arange(24) % 3)])
    np.testing.assert_allclose(values, [-1 / 3, 0], atol=1e-12)


def test_discrepancy_is_the_gap_of_means_in_units_of_the_variance_of_both():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(45, 3)), rng.normal(size=(24, 3)) + 1
    gap = ((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum() / np.vstack([source, target]).var(axis=0).sum()
    outcomes = [
        Outcome({}, target.argmax(axis=1), factor * target, new_decisions=factor * source) for factor in (1, 100)
    ]
    np.testing.assert_allclose(values_of("discrepancy", context_of(make_task()), outcomes), [-gap, -gap])


def test_the_vote_prefers_what_most_predict():
    codes = np.array([[0, 1, 2, 0], [0, 1, 2, 1], [0, 1, 0, 0], [2, 2, 2, 2]])
    values = values_of("vote", context_of(make_task()), [Outcome({}, row) for row in codes])
    assert values.tolist() == [1.0, 0.75, 0.75, 0.25]


def test_circular_validation_trains_back_on_the_predictions():
    task = make_task()
    context = context_of(task, LogisticRegression())
    outcome = outcomes_of(context)[4]
    back = LogisticRegression(**outcome.settings).fit(task.X_target, outcome.codes).predict(task.X)
    expected = f1_score(task.y, back, average="macro")
    assert values_of("circular", context, [outcome])[0] == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
def test_circular_validation_shares_its_preparation_and_decides_as_fresh_problems_do(method, small_pair):
    """The reference: each trial's reverse problem prepared and fitted on its own."""
    axes = {"kappa": [3, 20, 85], "xi": [0.01, 1.0, 30.0, 200.0]} if method == "TGSR" else {}
    spec = make_spec(small_pair, method, axes=axes)
    context, task = make_context(spec, small_pair), mask_target(small_pair)
    outcomes = outcomes_of(context, [cell for _, cell in spec.cells(None if method == "TGSR" else 2)])
    rng = np.random.default_rng(0)
    # predictions that are not nearly right, of two classes and of one, too: the labels differ within one batch
    codes = [rng.integers(0, 3, 12), rng.permutation(np.arange(12) % 2), np.full(12, 2)]
    outcomes += [Outcome(one.settings, labels.astype(np.intp)) for one, labels in zip(outcomes, codes, strict=False)]
    expected = []
    for outcome in outcomes:
        if len(set(outcome.codes.tolist())) == 1:
            back = np.full(15, outcome.codes[0])
        else:
            fresh = prepare_sweep(
                make_estimator(spec, small_pair), task.X_target, outcome.codes, task.X, n_classes=N_CLASSES
            )
            back = fresh([outcome.settings])[0].codes
        expected.append(f1_score(task.y, back, average="macro", labels=[0, 1, 2], zero_division=0))
    np.testing.assert_allclose(values_of("circular", context, outcomes), expected, rtol=1e-12)


def test_equal_weights_leave_the_error_and_any_others_are_controlled():
    from tgsr.evaluation.rules._cross_validation import _controlled_mean

    losses = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    assert _controlled_mean(losses, np.ones(5)) == pytest.approx(0.6)
    weights = np.array([0.2, 3.0, 0.4, 2.0, 1.4])
    slope = np.cov(losses * weights, weights)[0, 1] / np.var(weights, ddof=1)
    assert _controlled_mean(losses * weights, weights) == pytest.approx(
        np.mean(losses * weights) - slope * (weights.mean() - 1)
    )


def test_the_discriminators_ratios_are_larger_where_the_target_is():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(200, 2)), rng.normal(loc=(2.0, 0.0), size=(200, 2))
    ratios = discriminator_weights(TransferTask(X, np.zeros(200, int), X_target, None, ("a",)))
    assert np.corrcoef(ratios, X[:, 0])[0, 1] > 0.5


# --- skada, where its scorer is right -------------------------------------------------------------------------------


class Fitted:
    """The face of a fitted skada estimator: decisions of a linear model."""

    def __init__(self, model):
        self.model = model

    def predict(self, X, **_):
        return self.model.predict(X)

    def predict_proba(self, X, **_):
        return self.model.predict_proba(X)


@sklearn.config_context(enable_metadata_routing=True)  # skada needs it, and would turn it on for all other tests
def test_entropy_equals_skadas():
    metrics = pytest.importorskip("skada.metrics", reason="pip install -e '.[oracles]' for skada")
    task = make_task()
    X, domain = np.vstack([task.X, task.X_target]), np.repeat([1, -2], [45, 24])
    y = np.concatenate([task.y, np.full(24, -1)])
    context = context_of(task, LogisticRegression())
    for outcome in outcomes_of(context)[2:5]:
        model = Fitted(LogisticRegression(**outcome.settings).fit(task.X, task.y))
        ours = values_of("entropy", context, scores_of_softmax(model.predict_proba(task.X_target)))[0]
        theirs = metrics.PredictionEntropyScorer()._score(None, model, X, y, sample_domain=domain)
        assert ours / N_CLASSES == pytest.approx(theirs)  # theirs is the mean over classes, too
