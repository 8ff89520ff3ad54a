"""Bootstrap draws keep subjects whole; the scores in a draw and Holm's correction are the textbook's."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from studies.evidence_summary import bootstrap_macro_f1, holm, subject_draws, two_sided_p


def test_a_draw_takes_whole_subjects_and_as_many_as_there_are():
    subjects = np.array(["b", "a", "b", "c", "a"])
    draws = subject_draws(subjects, 50)
    assert (draws[:, 0] == draws[:, 2]).all()
    assert (draws[:, [0, 1, 3]].sum(axis=1) == 3).all()
    np.testing.assert_array_equal(draws[:, [1, 0, 3]], subject_draws(["a", "b", "c"], 50))


def test_the_score_in_a_draw_is_that_of_the_repeated_samples():
    rng = np.random.default_rng(0)
    truth, codes = rng.integers(3, size=40), rng.integers(3, size=40)
    draws = subject_draws([f"s{index % 8}" for index in range(40)], 20)
    for draw, score in zip(draws.astype(int), bootstrap_macro_f1(truth, codes, draws), strict=True):
        again = f1_score(np.repeat(truth, draw), np.repeat(codes, draw), average="macro", labels=[0, 1, 2])
        assert score == pytest.approx(again)


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]).max() == 1


def test_a_difference_of_one_sign_is_never_certain():
    assert two_sided_p(np.ones(999)) == pytest.approx(2 / 1000)
    assert two_sided_p(np.zeros(999)) == 1
