"""Optuna's samplers: what an interrupted study asks for next is what an undisturbed one asks for."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import ParameterError
from tgsr.study.sampling import SettingsSampler
from tgsr.trials.trial import Trial, settings_json


def _trials(task, value):
    codes = np.zeros(12, dtype=np.intp)
    return [Trial(number, settings, {}, codes, {"circular": value(settings)}) for number, settings in task]


def _table(trials):
    rows = [
        {"number": one.number, "cell": one.cell, "settings": settings_json(one.settings), **_rules(one)}
        for one in sorted(trials, key=lambda one: one.number)
    ]
    return pd.DataFrame(rows, columns=["number", "cell", "settings", "rules.circular"])


def _rules(trial):
    return {f"rules.{name}": value for name, value in trial.rules.items()}


def _run(sampler, value=lambda settings: settings["kappa"] / 100):
    done = []
    while tasks := sampler.ask():
        for task in reversed(tasks):  # they come back in any order
            trials = _trials(task, value)
            sampler.tell(trials)
            done += trials
    return done


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("stop", [3, 8, 13, 24])
def test_a_sampled_study_goes_on_as_if_it_had_not_been_interrupted(make_spec, sampler, stop):
    spec = make_spec(sampler=sampler, seed=3)
    whole = _run(SettingsSampler(spec, 30, _table([]), set()))
    part = [trial for trial in whole if trial.number < stop]
    resumed = {trial.number: trial.cell for trial in _run(SettingsSampler(spec, 30, _table(part), set()))}
    expected = {trial.number: trial.cell for trial in whole}
    assert resumed == {number: expected[number] for number in resumed}
    assert {*resumed, *range(stop)} == set(expected) == set(range(30))


def test_sampled_settings_are_never_tried_twice_and_a_small_space_ends(make_spec):
    sampler = SettingsSampler(make_spec(method="GFK", sampler="tpe"), 100, _table([]), set())
    done = _run(sampler, lambda settings: -settings["n_components"])
    components = [trial.settings["n_components"] for trial in done]
    assert len(components) == len(set(components)) == sampler.total <= 11


def test_deleted_settings_are_not_asked_for_again(make_spec):
    spec = make_spec(sampler="tpe")
    first = _run(SettingsSampler(spec, 8, _table([]), set()))
    again = _run(SettingsSampler(spec, 8, _table([]), {first[0].cell}))
    assert first[0].cell not in {trial.cell for trial in again}
    assert len({trial.cell for trial in again}) == 8


def test_settings_lie_between_the_ends_of_the_grid(make_spec):
    spec = make_spec(sampler="random", axes={"kappa": [10, 20], "xi": [1.0, 2.0]})
    for trial in _run(SettingsSampler(spec, 16, _table([]), set())):
        assert 10 <= trial.settings["kappa"] <= 20
        assert 1 <= trial.settings["xi"] <= 2
        assert type(json.loads(settings_json(trial.settings))["kappa"]) is int


def test_a_trial_without_a_value_leads_nowhere_and_a_rule_that_does_not_suit_is_told(make_spec):
    spec = make_spec(sampler="tpe")
    done = _run(SettingsSampler(spec, 16, _table([]), set()), lambda settings: float("nan"))
    assert len(done) == 16
    sampler = SettingsSampler(spec, 8, _table([]), set())
    (task, *_) = sampler.ask()
    with pytest.raises(ParameterError, match="TGSR has no circular to be sampled by"):
        sampler.tell([Trial(number, settings, {}, np.zeros(12, dtype=np.intp)) for number, settings in task])
