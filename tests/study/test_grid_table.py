"""A grid as a CSV file: the same bytes after any interruption, and nothing believed that was changed."""

from __future__ import annotations

import pandas as pd
import pytest
from filelock import FileLock

import tgsr.study.grid as grid_module
from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import choose, evaluate
from tgsr.study import grid_table, run_study
from tgsr.tracking.lock import LockedError
from tgsr.trials.fitter import Fitter


@pytest.fixture
def make_table(make_spec, small_pair, tmp_path):
    """Make a table: ``make_table("name.csv", jobs=2)``; gives its path."""

    def make(name, spec=None, **options):
        path = tmp_path / name
        grid_table(spec or make_spec(), small_pair, path, **{"jobs": 1, "progress": False, **options})
        return path

    return make


@pytest.fixture
def whole(make_table):
    return make_table("whole.csv").read_bytes()


def parts_of(path):
    return sorted(path.parent.glob(f".{path.name}.*/*.parquet"))


@pytest.fixture
def interrupted(make_table, tmp_path, monkeypatch):
    """A grid that ended when three of its cells were finished, each a task; gives its path."""

    def stop():
        if len(parts_of(tmp_path / "part.csv")) >= 3:
            raise KeyboardInterrupt

    tasks = grid_module.grid_tasks
    monkeypatch.setattr(
        grid_module, "grid_tasks", lambda *arguments: [(cell,) for task in tasks(*arguments) for cell in task]
    )
    with monkeypatch.context() as patch:
        patch.setattr("tgsr.study.running.raise_if_stopped", stop)
        with pytest.raises(KeyboardInterrupt):
            make_table("part.csv")
    return tmp_path / "part.csv"


@pytest.fixture
def no_fit(monkeypatch):
    def forbid():
        monkeypatch.setattr(Fitter, "__init__", lambda *_: pytest.fail("fitted"))

    return forbid


def test_the_table_has_the_estimators_scores_and_is_a_table_to_choose_from(whole, small_pair, tmp_path):
    table = pd.read_csv(tmp_path / "whole.csv")
    assert table["number"].tolist() == list(range(12))
    for row in table.iloc[[1, 6, 11]].to_dict("records"):
        fitted = evaluate(TGSRClassifier(kappa=row["params.kappa"], xi=row["params.xi"]), small_pair)
        assert row["metrics.macro_f1"] == fitted.scores.macro_f1
        assert row["metrics.iterations"] == fitted.estimator.n_iter_
        assert row["metrics.confusion_negative_positive"] == fitted.scores.confusion[0, 1]
    assert choose(table, "oracle").value == table["metrics.macro_f1"].max()


def test_its_scores_and_rules_are_those_of_the_study(make_table, make_spec, make_options, small_pair):
    table = pd.read_csv(make_table("rules.csv", rules=("circular", "class-balance", "source-cv")))
    study = run_study(make_spec(), small_pair, make_options(rules=("source-cv",)))
    for name in ("rules.circular", "rules.class-balance", "rules.source-cv", "metrics.macro_f1"):
        assert table[name].tolist() == study.table[name].tolist()


def test_an_interrupted_grid_fits_what_is_lacking_and_ends_with_the_same_bytes(
    whole, interrupted, make_table, monkeypatch
):
    there = {int(part.name[:7]) for part in parts_of(interrupted)}
    fit, fitted = Fitter.fit, []
    monkeypatch.setattr(
        Fitter, "fit", lambda self, task, keep: (fitted.extend(number for number, _ in task), fit(self, task, keep))[1]
    )
    assert not interrupted.exists()
    make_table("part.csv")
    assert 3 <= len(there) < 12
    assert sorted(fitted) == sorted({*range(12)} - there)
    assert interrupted.read_bytes() == whole


@pytest.mark.parametrize("jobs", [1, 2])
def test_threads_do_not_change_a_byte(whole, make_table, jobs):
    assert make_table("again.csv", jobs=jobs).read_bytes() == whole


def test_a_finished_table_is_not_computed_again(whole, make_table, no_fit):
    no_fit()
    assert make_table("whole.csv").read_bytes() == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"0.", b"1.", 1),
        lambda content: content[:-5],
        lambda _: b"",
        lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
    ],
    ids=["a digit", "an end", "empty", "a row"],
)
def test_a_changed_table_is_written_again(whole, make_table, tmp_path, no_fit, change):
    no_fit()
    path = tmp_path / "whole.csv"
    path.write_bytes(change(whole))
    assert make_table("whole.csv").read_bytes() == whole


def test_a_lost_table_or_part_is_made_again(whole, make_table, tmp_path):
    for path in (tmp_path / "whole.csv", parts_of(tmp_path / "whole.csv")[0]):
        path.unlink()
        assert make_table("whole.csv").read_bytes() == whole
        assert path.exists()


def test_a_table_of_other_content_is_not_taken_for_this_one(whole, interrupted, make_table, make_spec):
    released = make_spec(grouping="released")
    for name in ("whole.csv", "part.csv"):
        other = make_table(name, released).read_bytes()
        assert other != whole
        assert other == make_table("other.csv", released).read_bytes()
    assert len(pd.read_csv(make_table("whole.csv", n_trials=4))) == 4


def test_other_code_computes_it_again(whole, make_table, monkeypatch, no_fit):
    monkeypatch.setattr(grid_module, "code_digest", lambda *_: "f" * 64)
    no_fit()
    with pytest.raises(pytest.fail.Exception, match="fitted"):
        make_table("whole.csv")


def test_another_process_is_refused(make_table, tmp_path):
    with (
        FileLock(tmp_path / ".one.csv.lock"),
        pytest.raises(LockedError, match=r"one\.csv is being written by another process"),
    ):
        make_table("one.csv")
    assert make_table("one.csv").exists()


@pytest.mark.parametrize("name", ["table.txt", "table", "folder.csv"])
def test_a_path_that_is_no_csv_is_refused(make_table, tmp_path, name, no_fit):
    (tmp_path / "folder.csv").mkdir()
    no_fit()
    with pytest.raises(ParameterError):
        make_table(name)


def test_a_sampled_study_is_no_grid(make_table, make_spec):
    with pytest.raises(ParameterError, match="--sampler grid"):
        make_table("sampled.csv", make_spec(sampler="random"))
