"""What every rule keeps to, and each rule's formula against a second computation of it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from tgsr.errors import ParameterError
from tgsr.estimators.sweep import Outcome, prepare_sweep
from tgsr.evaluation.task import TransferTask
from tgsr.evaluation.rules._cross_validation import discriminator_weights
from tgsr.evaluation.selection import RULES, RuleContext, SelectionRule, get_rule, register_rule

N_CLASSES = 3
GRID = [{"C": 10.0**power} for power in range(-4, 4)]
LABEL_FREE = [name for name, rule in RULES.items() if not rule.uses_target_labels]
NEEDS_DECISIONS = ("entropy", "snd", "mano", "discrepancy")


def make_task(seed=0, n_source=45, n_target=24):
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(N_CLASSES, 6))
    y, truth = np.arange(n_source) % N_CLASSES, np.arange(n_target) % N_CLASSES
    X = centres[y] + rng.normal(size=(n_source, 6))
    X_target = centres[truth] + 0.7 + rng.normal(size=(n_target, 6))
    subjects = np.array([f"s{index // 5}" for index in range(n_source)])
    return TransferTask(X, y, X_target, subjects, ("negative", "positive", "surprise")), truth


class Regression:
    """Ridge regression of one-hot labels that says which of its features it keeps, as TGSR does."""

    def __init__(self, C=1.0):
        self.C = C

    def prepare_sweep(self, X, codes, X_target, X_new=None, *, n_classes):
        def outcome(settings):
            W = np.linalg.solve(X.T @ X + np.eye(X.shape[1]) / settings["C"], X.T @ np.eye(n_classes)[codes])
            sizes = np.linalg.norm(W, axis=1)
            norms = np.where(sizes > np.median(sizes), sizes, 0)
            scores, new = X_target @ W, None if X_new is None else X_new @ W
            new_codes = None if new is None else new.argmax(axis=1)
            return Outcome(settings, scores.argmax(axis=1), scores, {}, norms, None, new_codes, new)

        return lambda settings: [outcome(one) for one in settings]


def make_context(task, estimator=None, seed=0):
    estimator = Regression() if estimator is None else estimator
    return RuleContext(task, partial(prepare_sweep, estimator, n_classes=N_CLASSES), seed, {"C": 1.0})


def outcomes_of(context):
    return context.sweep(context.task.X, context.task.y, context.task.X_target, None)(GRID)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_a_rule_gives_finite_values_that_depend_on_the_seed_only(name):
    task, _ = make_task()
    context = make_context(task)
    outcomes = outcomes_of(context)
    values = get_rule(name).scorer(context)(outcomes)
    assert values.shape == (len(GRID),)
    assert np.isfinite(values).all()
    again = get_rule(name).scorer(make_context(task))(outcomes)
    np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_a_rule_does_not_see_the_targets_labels(name):
    task, truth = make_task()
    context = make_context(task)
    outcomes = outcomes_of(context)
    first = get_rule(name).scorer(context, truth)(outcomes)
    second = get_rule(name).scorer(context, np.roll(truth, 1))(outcomes)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.needs_all])
def test_values_of_a_part_are_the_part_of_the_values(name):
    task, truth = make_task()
    context = make_context(task)
    outcomes, scorer = outcomes_of(context), get_rule(name).scorer(context, truth)
    whole = scorer(outcomes)
    np.testing.assert_allclose(np.concatenate([scorer(outcomes[:3]), scorer(outcomes[3:])]), whole, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.needs_all])
def test_a_rule_on_the_whole_grid_reads_settings_and_predictions_only(name):
    context = make_context(make_task()[0])
    outcomes, scorer = outcomes_of(context), get_rule(name).scorer(context)
    light = [Outcome(outcome.settings, outcome.codes) for outcome in outcomes]
    np.testing.assert_array_equal(scorer(light), scorer(outcomes))


@pytest.mark.parametrize("name", [name for name in LABEL_FREE if name not in ("snd", "stability")])
def test_a_prediction_of_one_class_only_is_no_special_case(name):
    context = make_context(make_task()[0])
    constant = Outcome({"C": 1.0}, np.zeros(24, dtype=np.intp), np.tile([1.0, 0.0, 0.0], (24, 1)))
    assert np.isfinite(get_rule(name).scorer(context)([constant])).all()


@pytest.mark.parametrize("name", NEEDS_DECISIONS)
def test_a_rule_on_scores_refuses_a_method_without_them(name):
    outcomes = [Outcome({}, np.zeros(24, dtype=np.intp))]
    context = RuleContext(make_task()[0], lambda *_: lambda settings: outcomes)
    with pytest.raises(ParameterError, match="needs decision values"):
        get_rule(name).scorer(context)(outcomes)


def test_stability_refuses_a_method_without_groups():
    context = make_context(make_task()[0], LogisticRegression())
    with pytest.raises(ParameterError, match="selects groups"):
        get_rule("stability").scorer(context)(outcomes_of(context)[:1])


def test_the_oracle_alone_sees_labels_and_says_so_without_them():
    context = make_context(make_task()[0])
    outcomes = outcomes_of(context)
    rule = get_rule("oracle")
    assert rule.uses_target_labels
    assert rule.scorer(context, outcomes[-1].codes)(outcomes)[-1] == 1
    with pytest.raises(ParameterError, match="oracle needs the target's labels"):
        rule.scorer(context)


def test_a_rule_is_registered_once_and_completely():
    with pytest.raises(ParameterError, match="exists already"):
        register_rule(get_rule("snd"))
    with pytest.raises(ParameterError, match="either prepare or prepare_oracle"):
        register_rule(SelectionRule("mine", "no way to be prepared"))
    with pytest.raises(ParameterError, match=r"'luck'.*source-cv"):
        get_rule("luck")


def test_fixed_takes_the_defaults_or_what_is_nearest_to_them():
    context = RuleContext(make_task()[0], lambda *_: None, 0, {"kappa": 85, "xi": 0.01, "kernel": "linear"})
    settings = [
        {"kappa": 85, "xi": 0.01, "kernel": "linear"},
        {"kappa": 84, "xi": 0.012, "kernel": "linear"},
        {"kappa": 1, "xi": 0.01, "kernel": "linear"},
        {"kappa": 85, "xi": 0.01, "kernel": "rbf"},
    ]
    values = get_rule("fixed").scorer(context)([Outcome(one, np.zeros(1, dtype=np.intp)) for one in settings])
    assert values[0] == 0
    assert np.argsort(-values).tolist() == [0, 1, 2, 3]


# --- formulas -------------------------------------------------------------------------------------------------------


def scores_of_softmax(chances):
    """One outcome whose softmax is the given probabilities."""
    return [Outcome({}, chances.argmax(axis=1), np.log(chances))]


def test_entropy_and_soft_neighbourhoods_as_printed():
    chances = softmax(np.random.default_rng(0).normal(size=(9, 3)), axis=1)
    context = make_context(make_task()[0])
    expected = np.mean([sum(p * np.log(p) for p in row) for row in chances])
    assert get_rule("entropy").scorer(context)(scores_of_softmax(chances))[0] == pytest.approx(expected)
    entropies = []
    for i in range(9):
        cosines = [
            chances[i] @ chances[j] / np.linalg.norm(chances[i]) / np.linalg.norm(chances[j])
            for j in range(9)
            if j != i
        ]
        near = softmax(np.array(cosines) / 0.05)
        entropies.append(-(near * np.log(near)).sum())
    assert get_rule("snd").scorer(context)(scores_of_softmax(chances))[0] == pytest.approx(np.mean(entropies))


def test_matrix_norm_takes_the_softmax_of_confident_scores_only():
    context, rng = make_context(make_task()[0]), np.random.default_rng(0)
    faint, strong = rng.normal(size=(8, 3)), 20 * rng.normal(size=(8, 3))
    assert -log_softmax(faint, axis=1).mean() < 5 < -log_softmax(strong, axis=1).mean()
    taylor = (1 + faint + faint**2 / 2) / (1 + faint + faint**2 / 2).sum(axis=1, keepdims=True)
    values = get_rule("mano").scorer(context)([Outcome({}, np.zeros(8, int), scores) for scores in (faint, strong)])
    assert values[0] == pytest.approx(np.mean(taylor**4) ** 0.25)
    assert values[1] == pytest.approx(np.mean(softmax(strong, axis=1) ** 4) ** 0.25)


def test_circular_validation_trains_back_on_the_predictions():
    task, _ = make_task()
    context = make_context(task, LogisticRegression())
    outcome = outcomes_of(context)[4]
    back = LogisticRegression(**outcome.settings).fit(task.X_target, outcome.codes).predict(task.X)
    expected = f1_score(task.y, back, average="macro")
    assert get_rule("circular").scorer(context)([outcome])[0] == pytest.approx(expected)


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


def test_selected_sets_are_stable_if_equal_and_not_by_chance():
    from tgsr.evaluation.rules._refits import selection_stability

    rng = np.random.default_rng(0)
    assert selection_stability(np.tile(rng.random(85) < 0.2, (6, 1))) == pytest.approx(1)
    assert abs(selection_stability(rng.random((50, 85)) < 0.2)) < 0.05
    assert selection_stability(np.ones((6, 85), dtype=bool)) == 0


def test_the_ensembles_rule_prefers_what_most_predict():
    codes = np.array([[0, 1, 2, 0], [0, 1, 2, 1], [0, 1, 0, 0], [2, 2, 2, 2]])
    values = get_rule("ensemble").scorer(make_context(make_task()[0]))([Outcome({}, row) for row in codes])
    assert values.tolist() == [1.0, 0.75, 0.75, 0.25]


# --- skada, where its scorers are right -----------------------------------------------------------------------------


class Fitted:
    """The face of a fitted skada estimator: decisions of a linear model."""

    def __init__(self, model):
        self.model = model

    def predict(self, X, **_):
        return self.model.predict(X)

    def predict_proba(self, X, **_):
        return self.model.predict_proba(X)

    def score(self, X, y, **_):
        return self.model.score(X, y)

    def fit(self, X, y, **_):
        return self


class SamePermutation(np.random.RandomState):
    """Draws what the rule draws."""

    def permutation(self, x):
        return np.random.default_rng(0).permutation(x)


def test_entropy_neighbourhoods_and_mixtures_equal_skadas():
    metrics = pytest.importorskip("skada.metrics", reason="pip install -e '.[oracles]' for skada")
    task, _ = make_task()
    X, domain = np.vstack([task.X, task.X_target]), np.repeat([1, -2], [45, 24])
    y = np.concatenate([task.y, np.full(24, -1)])
    context = make_context(task, LogisticRegression())
    for outcome in outcomes_of(context)[2:5]:
        model = Fitted(LogisticRegression(**outcome.settings).fit(task.X, task.y))
        certain = scores_of_softmax(model.predict_proba(task.X_target))
        ours = get_rule("entropy").scorer(context)(certain)[0]
        theirs = metrics.PredictionEntropyScorer()._score(None, model, X, y, sample_domain=domain)
        assert ours / N_CLASSES == pytest.approx(theirs)  # theirs is the mean over classes, too
        ours = get_rule("snd").scorer(context)(certain)[0]
        theirs = metrics.SoftNeighborhoodDensity()._score(None, model, X, y, sample_domain=domain)
        assert ours == pytest.approx(theirs, rel=1e-6)  # theirs leaves a sample e^−40 of itself as neighbour
        ours = get_rule("mixval").scorer(context)([outcome])[0]
        scorer = metrics.MixValScorer(random_state=SamePermutation())
        assert ours == pytest.approx(scorer._score(None, model, X, y, sample_domain=domain))
