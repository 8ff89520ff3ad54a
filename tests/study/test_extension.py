"""A method, a selection rule and a sink of one's own: one file each, and one line of registration."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import studies.sinks

from tgsr.evaluation import selection
from tgsr.models.loading import load_model
from tgsr.models.registry import register
from tgsr.study.comparing import ComparePlan, comparison_table
from tgsr.study.running import run_study
from tgsr.tracking.client import open_client
from tgsr.trials.trial import decode_predictions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a module of one's own; returns its name."""

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop(name, None)
        return name

    return write


def test_the_pages_method_of_ones_own_stands_in_tables_studies_and_registry(own, make_spec, make_options, small_pair):
    page = (ROOT / "tgsr/estimators/README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"\n(    from sklearn\.base import .*?)\n\n    PYTHONPATH", page, flags=re.DOTALL)
    module = own("shifted", example)
    name, options = f"{module}:ShiftedSVM", make_options()
    plan = ComparePlan(methods=("SVM", name), selections=("oracle", "source-cv", "fixed"))
    table = comparison_table([small_pair], plan, options).set_index(["method", "selection"])
    assert table["trials"][name, "source-cv"] == 9
    assert json.loads(table["params"][name, "fixed"]) == {"C": 1.0, "shift": 1.0}
    result = run_study(make_spec(method=name, selection="source-cv"), small_pair, options)
    client = open_client(options.config.tracking_uri)
    registered = register(client, result.run_id, small_pair)
    model = load_model(registered.uri, trusted=[name])
    rows = model.predict(small_pair.target.X)
    assert rows["label"].tolist() == [
        small_pair.class_names[int(code)] for code in decode_predictions(result.best.row["predictions"])
    ]


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
