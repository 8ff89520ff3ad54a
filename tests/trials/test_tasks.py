"""Tasks: which settings are fitted together, whatever was interrupted; one trial and its name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tgsr.errors import ParameterError
from tgsr.trials.tasks import grid_tasks
from tgsr.trials.trial import cell_id, decode_predictions, encode_predictions, settings_json


def test_cells_of_one_xi_are_a_task_and_numbers_are_places_in_the_grid(make_spec):
    spec = make_spec()
    tasks = grid_tasks(spec)
    assert [{settings["xi"] for _, settings in task} for task in tasks] == [{0.01}, {1.0}, {30.0}, {200.0}]
    assert sorted((cell for task in tasks for cell in task), key=lambda cell: cell[0]) == spec.cells()


def test_a_task_that_was_half_written_is_run_whole_and_a_whole_one_not_again(make_spec):
    spec = make_spec()
    first, second, *_ = tasks = grid_tasks(spec)
    done = {cell_id(settings) for _, settings in (*first, *second[:1])}
    assert grid_tasks(spec, done=done) == tasks[1:]


def test_a_thinned_grid_keeps_its_numbers(make_spec):
    spec = make_spec()
    numbers = [number for task in grid_tasks(spec, 5) for number, _ in task]
    assert sorted(numbers) == [number for number, _ in spec.cells(5)]
    assert len(numbers) == 5


def test_settings_have_one_name_whatever_their_order_and_type():
    assert cell_id({"kappa": np.int64(3), "xi": np.float64(0.1)}) == cell_id({"xi": 0.1, "kappa": 3})
    assert cell_id({"xi": 0.1}) != cell_id({"xi": 0.1 + 1e-16})
    assert len({cell_id({"x": value}) for value in (None, True, 1, 1.0, "1")}) == 5
    assert len(cell_id({})) == 16


def test_settings_keep_types_digits_and_order_as_json():
    settings = {"b": None, "a": True, "c": 0.1 + 0.2, "d": "x", "e": np.int64(3)}
    again = json.loads(settings_json(settings))
    assert list(again) == list(settings)
    assert [type(value) for value in again.values()] == [type(None), bool, float, str, int]
    assert again == settings


def test_predictions_are_digits_of_up_to_36_classes():
    codes = np.arange(36)
    np.testing.assert_array_equal(decode_predictions(encode_predictions(codes)), codes)
    assert encode_predictions(np.array([], dtype=np.intp)) == ""
    for wrong in ([36], [-1]):
        with pytest.raises(ParameterError, match="at most 36 classes"):
            encode_predictions(np.array(wrong))
