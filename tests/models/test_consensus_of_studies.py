"""The consensus of a study is the mean of its best trials' matrices, stored or fitted again."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import rank_trials
from tgsr.models import consensus_of
from tgsr.study import run_study

AXES = {"kappa": [3, 20, 60, 85], "xi": [0.01, 0.3, 1.0, 10.0, 30.0, 200.0]}


@pytest.fixture
def record(make_spec, make_options, small_pair):
    return run_study(make_spec(axes=AXES), small_pair, make_options()).record


@pytest.mark.parametrize(("by", "share"), [("circular", 0.05), ("oracle", 0.3), ("class-balance", 1.0)])
def test_it_is_the_mean_of_the_estimators_matrices_and_counts_their_groups(record, small_pair, by, share):
    found = consensus_of(record, by=by, share=share)
    best = rank_trials(record.table, by).head(math.ceil(share * 24))
    assert found.by == by
    assert found.numbers == tuple(best["number"])
    fitted = [
        TGSRClassifier(**json.loads(text)).fit(small_pair.source.X, small_pair.source.labels, X_target=target)
        for target in [small_pair.target.X]
        for text in best["settings"]
    ]
    np.testing.assert_allclose(found.coef, np.mean([one.coef_.T for one in fitted], axis=0), atol=1e-9)
    np.testing.assert_array_equal(found.frequency, np.mean([one.region_norms_ > 0 for one in fitted], axis=0))


def test_matrices_that_were_not_kept_are_fitted_again_to_the_bit(record, make_spec, make_options, small_pair):
    without = run_study(make_spec(axes=AXES), small_pair, make_options("without", matrices="none")).record
    with pytest.raises(MissingDataError, match="give the study's databases"):
        consensus_of(without)
    stored, again = consensus_of(record, share=0.2), consensus_of(without, small_pair, share=0.2)
    assert stored.numbers == again.numbers
    np.testing.assert_array_equal(stored.coef, again.coef)
    np.testing.assert_array_equal(stored.frequency, again.frequency)


def test_the_studys_run_shows_the_consensus_of_its_choice(record, small_pair):
    found, shown = consensus_of(record), json.loads(record.artifact("consensus.json") or b"")
    assert shown["by"] == found.by == "circular"
    assert tuple(shown["trials"]) == found.numbers
    assert shown["frequency"] == found.frequency.tolist()
    hits = (small_pair.target.X @ found.coef).argmax(axis=1) == small_pair.target.labels
    assert record.metrics["accuracy.consensus"] == pytest.approx(hits.mean())


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, math.nan])
def test_a_share_out_of_range_is_refused(record, share):
    with pytest.raises(ParameterError, match="share of trials"):
        consensus_of(record, share=share)


def test_a_rule_without_values_is_named(record):
    with pytest.raises(ParameterError, match="source-cv"):
        consensus_of(record, by="source-cv")


def test_a_method_without_matrices_has_no_consensus(make_spec, make_options, small_pair):
    study = run_study(make_spec(method="SVM"), small_pair, make_options())
    assert study.record.artifact("consensus.json") is None
    with pytest.raises(ParameterError, match="only linear models"):
        consensus_of(study.record, small_pair)


def test_it_needs_no_label_of_the_target(make_spec, make_options, small_pair):
    pair = DatabasePair(small_pair.source, replace(small_pair.target, labels=None))
    record = run_study(make_spec(pair, axes=AXES), pair, make_options()).record
    assert json.loads(record.artifact("consensus.json") or b"")["by"] == "circular"
    assert "macro_f1.consensus" not in record.metrics
