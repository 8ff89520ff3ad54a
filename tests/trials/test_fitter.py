"""A fit of some settings: the estimator's predictions and scores, and the values of rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tgsr.datasets import DatabasePair
from tgsr.errors import ParameterError, TrackingError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import evaluate, mask_target, score
from tgsr.evaluation.rules import ALWAYS
from tgsr.evaluation.rules.folds import source_folds
from tgsr.trials.fitter import Fitter
from tgsr.trials.tasks import grid_tasks
from tgsr.trials.trial import cell_id

TRIAL_BY_TRIAL = {"circular", "class-balance", "discrepancy"}


def test_a_trial_is_the_estimators_fit_with_its_scores(make_spec, small_pair):
    spec = make_spec()
    (task,) = [task for task in grid_tasks(spec) if task[0][1]["xi"] == 1.0]
    trials = Fitter(spec, small_pair, ALWAYS).fit(task)
    assert [trial.number for trial in trials] == [number for number, _ in task]
    for trial in trials:
        fitted = evaluate(TGSRClassifier(**trial.settings), small_pair)
        assert trial.metrics["macro_f1"] == fitted.scores.macro_f1
        assert trial.metrics["iterations"] == fitted.estimator.n_iter_
        assert trial.predictions.tolist() == fitted.predictions.tolist()
        np.testing.assert_allclose(trial.coef, fitted.estimator.coef_.T, atol=1e-9)
        np.testing.assert_array_equal(trial.group_norms > 0, fitted.estimator.region_norms_ > 0)
        assert set(trial.rules) == TRIAL_BY_TRIAL
        assert np.isfinite(list(trial.rules.values())).all()


def test_matrices_are_kept_only_if_they_are_asked_for(make_spec, small_pair):
    spec = make_spec()
    assert all(trial.coef is None for trial in Fitter(spec, small_pair).fit(grid_tasks(spec)[0], keep_matrices=False))


def test_values_for_trials_that_are_there_are_those_of_their_fit(make_spec, small_pair):
    spec = make_spec()
    rules = (*ALWAYS, "source-cv", "entropy")
    trials = Fitter(spec, small_pair, rules).fit(grid_tasks(spec)[1])
    later = Fitter(spec, small_pair, rules).values([t.settings for t in trials], [t.predictions for t in trials])
    assert later == {trial.cell: dict(trial.rules) for trial in trials}
    assert set(later) == {cell_id(trial.settings) for trial in trials}


@pytest.mark.parametrize(("rule", "n_fits"), [("circular", 0), ("class-balance", 0), ("source-cv", 0), ("entropy", 1)])
def test_settings_are_fitted_again_only_where_a_rule_needs_more_than_predictions(
    make_spec, small_pair, monkeypatch, rule, n_fits
):
    spec = make_spec()
    trials = Fitter(spec, small_pair).fit(grid_tasks(spec)[1])
    fitter, calls = Fitter(spec, small_pair, (rule,)), []
    sweep = fitter._sweep
    monkeypatch.setattr(fitter, "_sweep", lambda settings: (calls.append(len(settings)), sweep(settings))[1])
    fitter.values([trial.settings for trial in trials], [trial.predictions for trial in trials])
    assert len(calls) == n_fits


def test_source_cv_is_the_score_on_held_out_samples(make_spec, small_pair):
    spec = make_spec(axes={"kappa": [20], "xi": [1.0]})
    (trial,) = Fitter(spec, small_pair, ("source-cv",)).fit(grid_tasks(spec)[0])
    task = mask_target(small_pair)
    folds = source_folds(task, seed=0)
    decided = []
    for fold in folds:
        fitted = TGSRClassifier(kappa=20, xi=1.0).fit(
            np.delete(task.X, fold, axis=0), np.delete(task.y, fold), X_target=task.X_target
        )
        decided.append(fitted.predict(task.X[fold]))
    expected = score(task.y[np.concatenate(folds)], np.concatenate(decided), 3).macro_f1
    assert trial.rules["source-cv"] == pytest.approx(expected)


def test_without_labels_there_are_rules_and_no_scores(make_spec, small_pair):
    pair = DatabasePair(small_pair.source, replace(small_pair.target, labels=None))
    spec = make_spec(pair)
    (trial, *_) = Fitter(spec, pair, ALWAYS).fit(grid_tasks(spec)[0])
    assert not {"macro_f1", "accuracy", "recall"} & set(trial.metrics)
    assert set(trial.rules) == TRIAL_BY_TRIAL


def test_labels_of_the_target_change_no_rule(make_spec, small_pair):
    rng = np.random.default_rng(0)
    target = replace(small_pair.target, labels=rng.permutation(small_pair.target.labels))
    other = DatabasePair(small_pair.source, target)
    found = []
    for pair in (small_pair, other):
        spec = make_spec(pair)
        found.append(Fitter(spec, pair, (*ALWAYS, "source-cv", "iw-cv")).fit(grid_tasks(spec)[0]))
    assert [trial.rules for trial in found[0]] == [trial.rules for trial in found[1]]
    assert [trial.metrics["accuracy"] for trial in found[0]] != [trial.metrics["accuracy"] for trial in found[1]]


def test_a_rule_that_does_not_suit_is_an_error_only_where_it_was_asked_for(own, make_spec, small_pair):
    module = own(
        "silent",
        """
        from sklearn.base import BaseEstimator
        from sklearn.neighbors import KNeighborsClassifier

        class Silent(BaseEstimator):  # predicts, and gives no decision values
            def fit(self, X, y):
                self.model_ = KNeighborsClassifier(1).fit(X, y)
                return self

            def predict(self, X):
                return self.model_.predict(X)
        """,
    )
    spec = make_spec(method=f"{module}:Silent")
    (task,) = grid_tasks(spec)
    (trial,) = Fitter(spec, small_pair, ALWAYS).fit(task)
    assert set(trial.rules) == TRIAL_BY_TRIAL - {"discrepancy"}
    with pytest.raises(ParameterError, match=r"entropy.* needs decision values"):
        Fitter(spec, small_pair, ("entropy",)).fit(task)
    pair = DatabasePair(small_pair.source.select(np.arange(3)), small_pair.target)
    spec = make_spec(pair)
    with pytest.raises(ParameterError, match="cross-validation"):
        Fitter(spec, pair, ("source-cv",))


def test_other_data_than_the_studys_are_refused(make_spec, pair_factory):
    with pytest.raises(TrackingError, match="not the content that"):
        Fitter(make_spec(), pair_factory(n_source=15, n_target=12, seed=9))
