"""The paper's scores."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from tgsr.errors import DataError
from tgsr.evaluation import score, score_batch


def test_equal_scikit_learns_with_zero_for_zero_over_zero():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 40)
    predictions = np.vstack([rng.integers(0, 3, (20, 40)), np.zeros((1, 40), dtype=int), truth])
    scores = score_batch(truth, predictions, 3)
    options = {"average": None, "labels": [0, 1, 2], "zero_division": 0}
    for index, predicted in enumerate(predictions):
        one = scores[index]
        assert one.accuracy == pytest.approx(accuracy_score(truth, predicted), abs=1e-15)
        np.testing.assert_allclose(one.class_precision, precision_score(truth, predicted, **options))
        np.testing.assert_allclose(one.class_recall, recall_score(truth, predicted, **options))
        assert one.macro_f1 == pytest.approx(f1_score(truth, predicted, **options).mean())
        assert one.recall == pytest.approx(recall_score(truth, predicted, **options).mean())
        np.testing.assert_array_equal(one.confusion, confusion_matrix(truth, predicted, labels=[0, 1, 2]))


def test_a_class_without_samples_counts_zero_in_the_mean():
    scores = score(np.array([0, 0, 1]), np.array([0, 0, 1]), 3)
    assert scores.accuracy == 1.0
    assert scores.macro_f1 == pytest.approx(2 / 3)
    assert scores.as_metrics(("a", "b", "c"))["recall_c"] == 0.0


@pytest.mark.parametrize("predicted", [[0, 1], [0, 1, 3], [0, 1, -1]])
def test_wrong_lengths_and_unknown_classes_are_refused(predicted):
    with pytest.raises(DataError):
        score(np.array([0, 1, 2]), np.array(predicted), 3)
