"""What a study has to run, whatever was interrupted."""

from __future__ import annotations

import pandas as pd
import pytest

from tgsr.trials.tasks import grid_tasks, make_plan
from tgsr.study.sampling import SampledPlan
from tgsr.trials.spec import spread
from tgsr.errors import ParameterError
from tgsr.trials.trial import Trial, cell_id


def _trials(task, value=lambda settings: settings["kappa"] / 100):
    return [
        Trial(number, cell_id(cell), cell, {"selection_value": value(cell)}, None, None, None, 0, 0)
        for number, cell in zip(task.numbers, task.settings, strict=True)
    ]


def _table(trials):
    rows = [{"trial": t.number, "cell": t.cell, **t.settings, **t.metrics} for t in trials]
    return pd.DataFrame(rows, columns=["trial", "cell", "kappa", "xi", "selection_value"])


def _run(plan, stop_after=None):
    done = []
    while (task := plan.take()) is not None:
        trials = _trials(task)
        plan.tell(trials)
        done += trials
        if stop_after is not None and len(done) >= stop_after:
            break
    return done


def test_cells_of_one_xi_are_a_task_and_numbers_are_places_in_the_grid(make_spec):
    spec = make_spec()
    tasks = grid_tasks(spec)
    assert [{cell["xi"] for cell in task.settings} for task in tasks] == [{0.01}, {1.0}, {30.0}, {200.0}]
    places = {number: cell for task in tasks for number, cell in zip(task.numbers, task.settings, strict=True)}
    assert [places[number] for number in range(12)] == [cell for _, cell in spec.cells()]


def test_a_task_that_was_half_written_is_run_whole(make_spec):
    spec = make_spec()
    first, second = grid_tasks(spec)[:2]
    there = _table([*_trials(first), *_trials(second)[:1]])
    left = []
    plan = make_plan(spec, None, there, set())
    while (task := plan.take()) is not None:
        left.append(task)
    assert left == grid_tasks(spec)[1:]


def test_deleted_cells_are_not_run_again(make_spec):
    spec = make_spec()
    deleted = {cell_id(cell) for cell in grid_tasks(spec)[0].settings}
    plan = make_plan(spec, None, _table([]), deleted)
    assert plan.take() == grid_tasks(spec)[1]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("stop", [3, 8, 13, 24])
def test_a_sampled_study_goes_on_as_if_it_had_not_been_interrupted(make_spec, sampler, stop):
    spec = make_spec(sampler=sampler, seed=3)
    whole = _run(SampledPlan(spec, 30, _table([]), set()))
    part = [trial for trial in whole if trial.number < stop]
    resumed = {trial.number: trial.cell for trial in _run(SampledPlan(spec, 30, _table(part), set()))}
    expected = {trial.number: trial.cell for trial in whole}
    assert resumed == {number: expected[number] for number in resumed}
    assert {*resumed, *range(stop)} == set(expected) == set(range(30))


def test_sampled_settings_are_never_tried_twice_and_a_small_space_ends(make_spec):
    spec = make_spec(method="GFK", sampler="tpe")
    plan = SampledPlan(spec, 100, pd.DataFrame(), set())
    done = []
    while (task := plan.take()) is not None:
        trials = _trials(task, lambda settings: -settings["n_components"])
        plan.tell(trials)
        done += trials
    components = [trial.settings["n_components"] for trial in done]
    assert len(components) == len(set(components)) == plan.total <= 11


def test_fewer_cells_are_among_more(make_spec):
    cells = list(range(200))
    assert set(spread(cells, 20, 10)) < set(spread(cells, 50, 10)) < set(spread(cells, None, 10))


@pytest.mark.parametrize(
    "wrong",
    [
        {"axes": {"kappa": []}},
        {"axes": {"kapa": [1]}},
        {"sampler": "sobol"},
        {"selection": "luck"},
        {"method": "SVM", "sampler": "tpe"},
    ],
)
def test_a_wrong_specification_is_refused(make_spec, wrong):
    with pytest.raises(ParameterError):
        make_spec(**wrong)


def test_the_name_of_a_specification_tells_all_that_differs(make_spec):
    names = {
        make_spec(**change).name for change in ({}, {"seed": 1}, {"selection": "source-cv"}, {"grouping": "released"})
    }
    assert len(names) == 4
