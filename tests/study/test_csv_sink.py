"""A grid as a CSV file: the same bytes after any interruption, and nothing believed that was changed."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from tgsr.tracking._lock import LockedError

import tgsr.study.grid
from tgsr.errors import DataError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import evaluate
from tgsr.study.running import run_study


@pytest.fixture
def whole(make_spec, make_options, small_pair, tmp_path):
    options = make_options(out=tmp_path / "whole.csv")
    run_study(make_spec(), small_pair, options, sink="csv")
    return options.out.read_bytes()


@pytest.fixture
def interrupted(make_spec, make_options, small_pair, tmp_path, monkeypatch):
    """A grid that ended after some parts; gives its options."""
    options = make_options(out=tmp_path / "part.csv", batch=1)
    write = tgsr.study.grid.CsvSink.write

    def stop(self, trials):
        write(self, trials)
        if len(list((tmp_path / "part.csv.parts").glob("*.part"))) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tgsr.study.grid.CsvSink, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            run_study(make_spec(), small_pair, options, sink="csv")
    return options


def test_the_table_has_the_estimators_scores(whole, small_pair, tmp_path):
    table = pd.read_csv(tmp_path / "whole.csv")
    assert table["trial"].tolist() == list(range(12))
    for row in table.iloc[[1, 6, 11]].to_dict("records"):
        fitted = evaluate(TGSRClassifier(kappa=row["kappa"], xi=row["xi"]), small_pair)
        assert row["macro_f1"] == row["selection_value"] == fitted.scores.macro_f1
        assert row["iterations"] == fitted.estimator.n_iter_
        assert row["confusion_negative_positive"] == fitted.scores.confusion[0, 1]


def test_an_interrupted_grid_ends_with_the_same_bytes(whole, interrupted, make_spec, small_pair):
    run_study(make_spec(), small_pair, interrupted, sink="csv")
    assert interrupted.out.read_bytes() == whole
    assert not interrupted.out.with_name("part.csv.parts").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_threads_do_not_change_a_byte(whole, make_spec, make_options, small_pair, tmp_path, jobs):
    options = make_options(out=tmp_path / "again.csv", jobs=jobs)
    run_study(make_spec(), small_pair, options, sink="csv")
    assert options.out.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", [lambda text: text[: text.rindex(b"\n", 0, -1) + 1], lambda text: text[:-5], lambda _: b""]
)
def test_a_part_that_was_cut_is_run_again(whole, interrupted, make_spec, small_pair, damage):
    part = sorted(interrupted.out.with_name("part.csv.parts").glob("*.part"))[1]
    part.write_bytes(damage(part.read_bytes()))
    run_study(make_spec(), small_pair, interrupted, sink="csv")
    assert interrupted.out.read_bytes() == whole


def test_a_changed_table_is_computed_again_and_a_finished_one_is_not(
    whole, make_spec, make_options, small_pair, tmp_path, monkeypatch
):
    options = make_options(out=tmp_path / "whole.csv")
    options.out.write_bytes(whole.replace(b"\n0,", b"\n0,", 1).replace(b"0.", b"1.", 1))
    run_study(make_spec(), small_pair, options, sink="csv")
    assert options.out.read_bytes() == whole
    monkeypatch.setattr(tgsr.study.grid.CsvSink, "write", None)
    table = run_study(make_spec(), small_pair, options, sink="csv")
    assert len(table) == 12


def test_parts_of_another_grid_are_refused(interrupted, make_spec, small_pair):
    with pytest.raises(DataError, match=r"part\.csv\.parts: left by a study of other data"):
        run_study(make_spec(grouping="released"), small_pair, interrupted, sink="csv")


def test_a_second_writer_is_refused(make_spec, make_options, small_pair, tmp_path):
    options = make_options(out=tmp_path / "one.csv")
    first = tgsr.study.grid.CsvSink(make_spec(), small_pair, options)
    with pytest.raises(LockedError, match="being written by another process"):
        tgsr.study.grid.CsvSink(make_spec(), small_pair, options)
    first.abort(KeyboardInterrupt())


def test_the_description_tells_what_the_table_was_made_from(whole, small_pair, tmp_path):
    stored = json.loads((tmp_path / "whole.csv.json").read_text())
    assert stored["source"] == {"name": "SMIC_VIS", "digest": small_pair.source.digest, "generated": True}
    assert stored["spec"]["method"] == "TGSR"
