"""A method, a selection rule and a sink of one's own: one file each, and one line of registration."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import studies.sinks
from studies.study import run_study
from tgsr.evaluation import selection


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a module of one's own; returns its name."""

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop(name, None)
        return name

    return write


def test_a_method_is_a_class_with_fit_and_predict(own, make_spec, make_options, small_pair):
    module = own(
        "nearest",
        """
        import numpy as np
        from sklearn.base import BaseEstimator, ClassifierMixin
        from sklearn.neighbors import NearestCentroid

        class Shifted(ClassifierMixin, BaseEstimator):
            param_grid = {"shift": [0.0, 0.5, 1.0]}

            def __init__(self, shift=1.0):
                self.shift = shift

            def fit(self, X, y, *, X_target):
                self.offset_ = self.shift * (X_target.mean(axis=0) - X.mean(axis=0))
                self.inner_ = NearestCentroid().fit(X + self.offset_, y)
                self.classes_ = self.inner_.classes_
                return self

            def predict(self, X):
                return self.inner_.predict(X)
        """,
    )
    spec = make_spec(method=f"{module}:Shifted", selection="source-cv")
    result = run_study(spec, small_pair, make_options())
    assert result.table["shift"].tolist() == [0.0, 0.5, 1.0]
    assert result.spec.method == "nearest:Shifted"


def test_a_rule_is_a_function_of_outcomes(own, make_spec, make_options, small_pair):
    module = own(
        "luck",
        """
        import numpy as np
        from tgsr.evaluation.selection import SelectionRule

        LUCK = SelectionRule("luck", "the last cell", prepare=lambda context: lambda outcomes: np.array(
            [outcome.settings["kappa"] for outcome in outcomes], dtype=float))
        """,
    )
    selection.register_rule(__import__(module).LUCK)
    try:
        result = run_study(make_spec(selection="luck"), small_pair, make_options())
        assert result.best.settings == {"kappa": 85, "xi": 0.01}
        assert result.best.n_ties == 4
    finally:
        del selection.RULES["luck"]


def test_a_sink_is_a_class_that_writes_trials(own, make_spec, make_options, small_pair, monkeypatch):
    module = own(
        "memory",
        """
        import pandas as pd

        class MemorySink:
            def __init__(self, spec, pair, options):
                self.table, self.deleted, self.trials = pd.DataFrame(columns=["cell"]), set(), []

            def write(self, trials):
                self.trials += trials

            def finish(self, seconds):
                return sorted(self.trials, key=lambda trial: trial.number)

            def abort(self, error):
                pass
        """,
    )
    monkeypatch.setitem(studies.sinks.SINKS, "memory", f"{module}:MemorySink")
    trials = run_study(make_spec(), small_pair, make_options(), sink="memory")
    assert [trial.number for trial in trials] == list(range(12))
    whole = run_study(make_spec(), small_pair, make_options())
    assert [trial.metrics["macro_f1"] for trial in trials] == whole.table["macro_f1"].tolist()
    assert np.isfinite(pd.Series([trial.metrics["objective"] for trial in trials])).all()
