"""Rules are columns: added to a study that is there, with what they need and nothing more, each value once."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from tgsr.errors import ParameterError, TrackingError
from tgsr.evaluation.rules import ALWAYS
from tgsr.study.running import _lacking_values as lacking_values
from tgsr.study.running import run_study
from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.fitter import Fitter


def _client(options):
    return open_client(options.config.tracking_uri)


def _without_times(table):
    return table.drop(columns=["metrics.fit_seconds", "run_id"])


def histories(database) -> pd.DataFrame:
    """Points of rules' values by run and key, read without MLflow."""
    query = "SELECT run_uuid, key, count(*) AS points FROM {} WHERE key LIKE 'rules.%' GROUP BY 1, 2 ORDER BY 1, 2"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")  # both tables as of one moment, while somebody writes
        tables = [pd.read_sql(query.format(name), connection) for name in ("metrics", "latest_metrics")]
    pd.testing.assert_frame_equal(*tables)
    return tables[0]


@pytest.fixture
def calls(monkeypatch):
    """What fitters were asked for: ``("fit" or "values", rules, number of settings)``."""
    found = []

    def watch(name, count):
        original = getattr(Fitter, name)

        def call(self, *arguments):
            found.append((name, tuple(rule.name for rule in self._rules), count(arguments)))
            return original(self, *arguments)

        monkeypatch.setattr(Fitter, name, call)

    watch("fit", lambda arguments: len(arguments[0]))
    watch("values", lambda arguments: len(arguments[0]))
    return found


def test_a_rule_is_added_to_a_finished_study_with_its_refits_only(make_spec, make_options, small_pair, calls):
    spec, options = make_spec(), make_options()
    first = run_study(spec, small_pair, options)
    assert {name for name, *_ in calls} == {"fit"}
    calls.clear()
    again = run_study(spec, small_pair, make_options(rules=("source-cv",)))
    assert again.record.run_id == first.record.run_id
    assert {(name, rules) for name, rules, _ in calls} == {("values", ("source-cv",))}
    assert sum(count for *_, count in calls) == 12
    pd.testing.assert_frame_equal(again.table.drop(columns="rules.source-cv"), first.table)
    assert np.isfinite(again.table["rules.source-cv"]).all()
    whole = run_study(spec, small_pair, make_options("at once", rules=("source-cv",)))
    pd.testing.assert_frame_equal(_without_times(again.table), _without_times(whole.table), check_exact=True)
    calls.clear()
    run_study(spec, small_pair, make_options(rules=("source-cv",)))
    run_study(spec, small_pair, options)
    assert calls == []
    run = _client(options).get_run(again.table["run_id"][4])
    assert run.data.metrics["rules.source-cv"] == again.table["rules.source-cv"][4]
    points = histories(options.config.home / "mlflow.db")
    assert len(points) == 12 * (len(ALWAYS) + 1)
    assert (points["points"] == 1).all()


def test_choosing_by_another_rule_fits_nothing(make_spec, make_options, small_pair, calls):
    spec = make_spec()
    study = run_study(spec, small_pair, make_options())
    calls.clear()
    for by in ("oracle", "class-balance", "vote", "Discrepancy", "circular"):
        again = run_study(spec, small_pair, make_options(choose=by))
        (record,) = list_studies(_client(make_options()))
        name = by.lower()
        assert (again.by, record.default_choice, record.tags["tgsr.choose"]) == (name, name, name)
        chosen = study.choose(name)
        assert again.best_trial.user_attrs["number"] == chosen.row["number"]
        assert record.choose().row["run_id"] == chosen.row["run_id"]
        metrics = _client(make_options()).get_run(record.run_id).data.metrics
        assert metrics["macro_f1"] == chosen.metrics["macro_f1"]
        assert metrics["best_kappa"] == chosen.settings["kappa"]
    assert calls == []


def test_to_choose_by_a_dear_rule_computes_its_values(make_spec, make_options, small_pair, calls):
    spec = make_spec()
    run_study(spec, small_pair, make_options())
    calls.clear()
    study = run_study(spec, small_pair, make_options(choose="source-cv"))
    assert study.best_value == study.table["rules.source-cv"].max()
    assert {name for name, *_ in calls} == {"values"}


def test_a_rule_may_be_asked_for_when_the_study_is_half_done(make_spec, make_options, small_pair, calls):
    spec = make_spec()
    run_study(spec, small_pair, make_options(n_trials=5))
    calls.clear()
    study = run_study(spec, small_pair, make_options(rules=("source-cv",)))
    assert sum(count for name, _, count in calls if name == "values") == 5
    whole = run_study(spec, small_pair, make_options("at once", rules=("source-cv",)))
    pd.testing.assert_frame_equal(_without_times(study.table), _without_times(whole.table), check_exact=True)


@pytest.mark.parametrize("writer", ["bulk", "client"])
def test_an_interrupted_pass_goes_on_with_what_is_lacking(
    make_spec, make_options, small_pair, monkeypatch, calls, writer
):
    spec, options = make_spec(), make_options(rules=("source-cv", "entropy"))
    if writer == "client":
        monkeypatch.setattr("tgsr.tracking.study_store.BulkWriter", _refuse)
    run_study(spec, small_pair, make_options())
    monkeypatch.setattr("tgsr.study.running._BATCH", 1)
    monkeypatch.setattr("tgsr.study.running._lacking_values", _in_small_tasks)
    add_values = StudyStore.add_values
    for n_writes in (1, 2):
        with monkeypatch.context() as patch:
            written = []

            def stopping(self, values, written=written, n_writes=n_writes):
                add_values(self, values)
                written.append(values)
                if len(written) == n_writes:
                    raise KeyboardInterrupt

            patch.setattr(StudyStore, "add_values", stopping)
            with pytest.raises(KeyboardInterrupt):
                run_study(spec, small_pair, options)
        (record,) = list_studies(_client(options))
        assert record.status == "KILLED"
        assert 0 < record.table["rules.source-cv"].notna().sum() < 12
    lacking = int(record.table["rules.source-cv"].isna().sum())
    calls.clear()
    study = run_study(spec, small_pair, options)
    assert sum(count for *_, count in calls) == lacking
    whole = run_study(spec, small_pair, make_options("at once", rules=options.rules))
    pd.testing.assert_frame_equal(_without_times(study.table), _without_times(whole.table), check_exact=True)
    points = histories(options.config.home / "mlflow.db")
    assert len(points) == 12 * (len(ALWAYS) + 2)
    assert (points["points"] == 1).all()


def _refuse(*_):
    raise TrackingError("not here")


def _in_small_tasks(*arguments):
    """What is lacking, two trials a task: each task's values are then written by themselves."""
    for rules, call, (settings, codes) in lacking_values(*arguments):
        for start in range(0, len(settings), 2):
            yield rules, call, (settings[start : start + 2], codes[start : start + 2])


@pytest.mark.faults
def test_a_pass_that_is_killed_again_and_again_gives_every_value_once(
    make_spec, make_options, small_pair, run_python, data_folder
):
    options, database = make_options(), make_options().config.home / "mlflow.db"
    spec = make_spec(axes={"kappa": [3, 20, 85], "xi": [10.0 ** (n / 4 - 2) for n in range(16)]})
    run_study(spec, small_pair, options)
    kills = 0
    for _ in range(12):
        before = len(histories(database))
        process = run_python("-c", _PASS, str(data_folder), str(options.config.home))
        while process.poll() is None and len(histories(database)) == before:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if kills == 3:
            break
    assert kills == 3
    (record,) = list_studies(_client(options))
    assert 0 < record.table["rules.source-cv"].notna().sum() < 48
    study = run_study(spec, small_pair, make_options(rules=("source-cv",)))
    whole = run_study(spec, small_pair, make_options("at once", rules=("source-cv",)))
    pd.testing.assert_frame_equal(_without_times(study.table), _without_times(whole.table), check_exact=True)
    points = histories(database)
    assert len(points) == 48 * (len(ALWAYS) + 1)
    assert (points["points"] == 1).all()


_PASS = """
import sys
from pathlib import Path
import tgsr.study.running as running
from tgsr.datasets import load_pair
from tgsr.study import RunOptions, make_spec, resolve_config, run_study
lacking_values, running._BATCH = running._lacking_values, 1
running._lacking_values = lambda *arguments: (
    (rules, call, (settings[start : start + 2], codes[start : start + 2]))
    for rules, call, (settings, codes) in lacking_values(*arguments)
    for start in range(0, len(settings), 2)
)
pair = load_pair("V", "N", Path(sys.argv[1]))
spec = make_spec(pair, axes={"kappa": [3, 20, 85], "xi": [10.0 ** (n / 4 - 2) for n in range(16)]})
options = RunOptions(resolve_config(sys.argv[2]), sys.argv[1], rules=("source-cv",), jobs=1, progress=False, page=False)
run_study(spec, pair, options)
"""


def test_a_rule_that_nobody_offers_is_one_line_before_anything_is_begun(make_spec, make_options, small_pair):
    for change in ({"rules": ("luck",)}, {"choose": "luck:LUCK"}):
        with pytest.raises(ParameterError) as caught:
            make_options(**change)
        assert "\n" not in str(caught.value)
    with pytest.raises(ParameterError, match=r"--choose luck: no such rule; use oracle or one of circular"):
        run_study(make_spec(), small_pair, make_options(choose="luck"))
    assert len(run_study(make_spec(), small_pair, make_options()).table) == 12, "nothing was left locked"


LUCK = """
    import numpy as np
    from tgsr.evaluation.rules import Rule

    LUCK = Rule("luck", "the last cell", lambda context: lambda outcomes: np.array(
        [outcome.settings["kappa"] for outcome in outcomes], dtype=float))
    """


def test_a_rule_of_ones_own_is_a_column_in_the_table_the_choices_and_the_runs(own, make_spec, make_options, small_pair):
    module, options = own("luck", LUCK), make_options()
    run_study(make_spec(), small_pair, options)
    study = run_study(make_spec(), small_pair, make_options(rules=(f"{module}:LUCK",)))
    assert study.table["rules.luck"].tolist() == study.table["params.kappa"].tolist()
    choice = study.choose("luck")
    assert (choice.settings, choice.n_ties) == ({"kappa": 85, "xi": 0.01}, 4)
    client = _client(options)
    text = (study.record.artifact("choices.csv") or b"").decode()
    assert '\nluck,"κ = 85, ξ = 0.01",85.0,4,' in text
    assert client.get_run(study.table["run_id"][3]).data.metrics["rules.luck"] == study.table["rules.luck"][3]
    assert "luck" in client.get_run(study.record.run_id).data.tags["mlflow.note.content"]
    assert study.trials[5].user_attrs["rules.luck"] == study.table["rules.luck"][5]
    # once its values are there, it chooses by its own name, wherever its code is
    by_name = run_study(make_spec(), small_pair, make_options(choose="luck"))
    assert by_name.best_params == {"kappa": 85, "xi": 0.01}


def test_a_rule_by_an_entry_point_ranks_and_is_an_objective(own, make_spec, make_options, small_pair):
    own("luck", LUCK, {"tgsr.rules": "My-Luck = luck:LUCK"})
    study = run_study(make_spec(), small_pair, make_options(choose="my_luck"))
    assert (study.by, study.best_value) == ("luck", 85)


@pytest.mark.parametrize("name", ["luck:LUCK", "luck"])
def test_a_sampler_searches_by_a_rule_of_ones_own(own, make_spec, make_options, small_pair, name):
    own("luck", LUCK, {"tgsr.rules": "luck = luck:LUCK"})
    spec = make_spec(sampler="random", objective=name)
    study = run_study(spec, small_pair, make_options(n_trials=10))
    assert (study.by, study.best_value) == ("luck", study.table["params.kappa"].max())


def test_what_has_no_value_when_a_trial_is_finished_is_no_objective(own, make_spec, make_options, small_pair):
    with pytest.raises(ParameterError, match="'vote' compares all trials"):
        make_spec(sampler="tpe", objective="vote")


def test_a_rule_that_fails_leaves_the_trials_and_frees_the_study(own, make_spec, make_options, small_pair):
    module = own(
        "broken",
        """
        from tgsr.evaluation.rules import Rule

        def prepare(context):
            raise ValueError("no such luck")

        BROKEN = Rule("broken", "fails", prepare)
        """,
    )
    first = run_study(make_spec(), small_pair, make_options())
    with pytest.raises(ValueError, match="no such luck"):
        run_study(make_spec(), small_pair, make_options(rules=(f"{module}:BROKEN",)))
    again = run_study(make_spec(), small_pair, make_options())
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.record.status == "FINISHED"
