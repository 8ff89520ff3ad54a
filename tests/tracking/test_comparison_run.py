"""A tracked comparison grows: methods are added, changed results replaced, nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tgsr.tracking.comparison_run as comparison_run
from tgsr.datasets import DatabasePair
from tgsr.evaluation.comparison import ComparisonResult, run_method
from tgsr.protocols import get_experiment
from tgsr.tracking.comparison_run import LOGGED, ComparisonRun, open_comparison
from tgsr.tracking.names import Tag
from tgsr.tracking.place import open_client, resolve_place
from tgsr.tracking.reading import find_run, read_artifact, search_children

VN = get_experiment("V-N")


@pytest.fixture
def opened(
    pair_factory: Callable[..., DatabasePair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], ComparisonRun]:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TGSR_HOME", str(tmp_path))
    pairs = {VN: pair_factory()}
    return lambda: open_comparison(resolve_place(), pairs, "region", "generated")


@pytest.fixture(scope="module")
def results(pair_factory: Callable[..., DatabasePair]) -> dict[str, ComparisonResult]:
    return {method: run_method(VN, pair_factory(), method, "default") for method in ("SVM", "SA", "GFK")}


def _stored(run: ComparisonRun) -> tuple[pd.DataFrame, dict[str, Any]]:
    client = open_client(resolve_place().tracking_uri)
    table = pd.read_csv(io.BytesIO(read_artifact(client, run.run_id, "comparison.csv")))
    children = list(search_children(client, find_run(client, run.run_id), "method"))
    named = {str(child.info.run_name): child for child in children}
    assert len(named) == len(children)  # none twice
    return table.set_index("method"), named


def test_methods_of_a_later_comparison_stand_beside_the_earlier(
    opened: Callable[[], ComparisonRun], results: dict[str, ComparisonResult]
) -> None:
    with opened() as first:
        first.log(results["SVM"])
        first.log(results["SA"])
    _, before = _stored(first)
    with opened() as second:
        second.log(results["SA"])
        second.log(results["GFK"])
    assert second.run_id == first.run_id
    table, children = _stored(second)
    assert set(table.index) == {"SVM", "SA", "GFK"}
    assert set(children) == {f"V-N {method} default" for method in table.index}
    assert children["V-N SA default"].info.run_id == before["V-N SA default"].info.run_id  # nothing had changed
    metrics = find_run(open_client(resolve_place().tracking_uri), first.run_id).data.metrics
    assert {"macro_f1_SVM_default", "macro_f1_GFK_default"} <= set(metrics)


@pytest.mark.parametrize("what", ["candidates", "params", "scores", "code"])
def test_what_has_changed_is_replaced(
    what: str,
    opened: Callable[[], ComparisonRun],
    results: dict[str, ComparisonResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = results["SVM"]
    with opened() as first:
        first.log(old)
    stored, before = _stored(first)
    changes: dict[str, Any] = {
        "candidates": {"n_candidates": 259, "seconds": 9.0},
        "params": {"params": {"C": 0.125}},
        "scores": {"scores": replace(old.scores, macro_f1=0.987)},
        "code": {},
    }
    if what == "code":
        monkeypatch.setattr(comparison_run, "code_version", lambda: "a later one")
    new = replace(old, **changes[what])
    with opened() as second:
        second.log(new)
    table, children = _stored(second)
    child = children["V-N SVM default"]
    assert child.info.run_id != before["V-N SVM default"].info.run_id
    assert child.data.metrics["candidates"] == new.n_candidates
    assert child.data.tags[Tag.CODE_VERSION] == comparison_run.code_version()
    assert table.loc["SVM", "macro_f1"] == new.scores.macro_f1
    assert table.loc["SVM", LOGGED] > stored.loc["SVM", LOGGED]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_comparison_that_fails_says_so_and_keeps_what_it_had(
    error: type[BaseException],
    status: str,
    opened: Callable[[], ComparisonRun],
    results: dict[str, ComparisonResult],
) -> None:
    run = opened()

    def compare() -> None:
        with run:
            run.log(results["SVM"])
            raise error

    with pytest.raises(error):
        compare()
    table, _ = _stored(run)
    assert set(table.index) == {"SVM"}
    client = open_client(resolve_place().tracking_uri)
    assert find_run(client, run.run_id).info.status == status
    with opened() as again:
        again.log(results["SA"])
    assert find_run(client, again.run_id).info.status == "FINISHED"
