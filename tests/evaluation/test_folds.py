"""Folds of the source: by subject, every class in every training part, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tgsr.errors import ParameterError
from tgsr.evaluation.rules.folds import source_folds
from tgsr.evaluation.task import TransferTask


def _task(labels: Sequence[int], subjects: Sequence[str] | None) -> TransferTask:
    y = np.array(labels)
    known = None if subjects is None else np.array(subjects)
    return TransferTask(np.zeros((len(y), 4)), y, np.zeros((3, 4)), known, ("negative", "positive", "surprise"))


def test_two_subjects_with_a_class_each_are_named_with_the_remedies() -> None:
    task = _task([0, 0, 0, 1, 1, 1], list("aaabbb"))
    with pytest.raises(
        ParameterError, match=r"'negative': 1, 'positive': 1, 'surprise': 0.*without subjects.*another rule"
    ):
        source_folds(task, 0)
    assert len(source_folds(_task(task.y.tolist(), None), 0)) == 3


def test_a_class_of_one_subject_is_not_left_out_of_a_training_part() -> None:
    with pytest.raises(ParameterError, match="'surprise': 1"):
        source_folds(_task([0, 1, 2, 2] + [0, 1] * 6, [f"s{index // 4}" for index in range(16)]), 0)


@pytest.mark.parametrize("seed", range(20))
def test_every_training_part_has_every_class(seed: int) -> None:
    # the third class has two subjects only: with many folds one of them may hold both
    labels = [0, 1] * 8 + [2] * 4
    subjects = [f"s{index // 2}" for index in range(16)] + ["s0", "s0", "s1", "s1"]
    task = _task(labels, subjects)
    folds = source_folds(task, seed)
    assert 2 <= len(folds) <= 4
    assert sorted(np.concatenate(folds)) == list(range(20))
    assert task.subjects is not None
    for fold in folds:
        assert set(np.delete(task.y, fold)) == {0, 1, 2}
        assert not set(task.subjects[fold]) & set(np.delete(task.subjects, fold))
