"""What one adds oneself is one file and at most one line: a method with a metric, a rule, a figure, a loader."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from films import pictures, write_pictures

from tgsr.cli import cli
from tgsr.datasets import DatabasePair, load_features
from tgsr.estimators import TGSRClassifier
from tgsr.models import load_model, register
from tgsr.reports import render_study, study_figures
from tgsr.study import ComparePlan, compare_methods, load_study, run_study
from tgsr.tracking.client import open_client
from tgsr.tracking.records import read_artifact
from tgsr.trials.trial import decode_predictions

ROOT = Path(__file__).parents[2]

METHOD = """
    from optuna.distributions import FloatDistribution
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.svm import SVC
    from tgsr.estimators import Outcome

    class CountingSVM(ClassifierMixin, BaseEstimator):
        param_grid = {"C": [0.01, 0.1, 1.0, 10.0]}
        param_distributions = {"C": FloatDistribution(0.01, 10.0, log=True)}

        def __init__(self, C=1.0):
            self.C = C

        def fit(self, X, y):
            self.model_ = SVC(kernel="linear", C=self.C).fit(X, y)
            self.classes_ = self.model_.classes_
            return self

        def predict(self, X):
            return self.model_.predict(X)


        def prepare_sweep(self, X, codes, X_target, X_new=None, *, n_classes=None):
            def sweep(settings):
                outcomes = []
                for one in settings:
                    model = SVC(kernel="linear", **{"C": self.C, **one}).fit(X, codes)
                    outcomes.append(Outcome(
                        dict(one), model.predict(X_target), metrics={"n_support": float(model.n_support_.sum())},
                        new_codes=None if X_new is None else model.predict(X_new)))
                return outcomes
            return sweep
    """


@pytest.fixture
def counting(own):
    own("counting", METHOD, {"tgsr.methods": "Counting = counting:CountingSVM"})
    return "Counting"


def n_support(pair, C):
    from sklearn.svm import SVC

    return float(SVC(kernel="linear", C=C).fit(pair.source.X, pair.source.labels).n_support_.sum())


def test_a_methods_own_metric_is_a_metric_in_table_runs_choice_and_page(counting, make_spec, make_options, small_pair):
    options = make_options(page=True)
    study = run_study(make_spec(method=counting), small_pair, options)
    expected = [n_support(small_pair, C) for C in (0.01, 0.1, 1.0, 10.0)]
    assert study.table["metrics.n_support"].tolist() == expected
    assert study.table["params.C"].tolist() == [0.01, 0.1, 1.0, 10.0]
    assert "params.n_support" not in study.table
    choice = study.choose()
    assert choice.settings.keys() == {"C"}
    assert choice.metrics["n_support"] == expected[study.table["number"].tolist().index(choice.row["number"])]
    client = open_client(options.config.tracking_uri)
    run = client.get_run(study.table["run_id"][2])
    assert (run.data.metrics["n_support"], run.data.params["C"]) == (expected[2], "1.0")
    assert "n_support" not in run.data.params
    assert client.get_run(study.record.run_id).data.metrics["n_support"] == choice.metrics["n_support"]
    assert "n support" in read_artifact(client, study.record.run_id, "report.html").decode()
    read = load_study(study.record.run_id, config=options.config)
    assert read.best_params == choice.settings
    assert read.trials[0].user_attrs["metrics.n_support"] == expected[0]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sampler_searches_the_ranges_of_a_method_with_a_metric_of_its_own(
    counting, make_spec, make_options, small_pair, sampler
):
    options = make_options(n_trials=9, matrices="none")
    study = run_study(make_spec(method=counting, sampler=sampler), small_pair, options)
    assert len(study.table) == 9
    assert study.table["params.C"].between(0.01, 10).all()
    assert study.best_params.keys() == {"C"}
    again = run_study(make_spec(method=counting, sampler=sampler), small_pair, options)
    pd.testing.assert_frame_equal(again.table, study.table)


def test_a_method_of_ones_own_is_compared_with_its_rows_beside_the_others(counting, make_options, small_pair):
    plan = ComparePlan(methods=("SVM", counting), choices=("oracle", "circular", "fixed"))
    table = compare_methods([small_pair], plan, make_options()).set_index(["method", "choice"])
    assert table["trials"][counting, "circular"] == 4
    assert json.loads(table["params"][counting, "fixed"]) == {"C": 1.0}
    assert table["macro_f1"][counting, "oracle"] >= table["macro_f1"][counting, "circular"]


def test_the_pages_method_of_ones_own_is_studied_and_registered(own, make_spec, make_options, small_pair):
    page = (ROOT / "tgsr/estimators/README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(from sklearn\.base import [^`]*?)\n\nprint\(ShiftedSVM", page)
    module = own("shifted", example)
    name, options = f"{module}:ShiftedSVM", make_options()
    study = run_study(make_spec(method=name), small_pair, options)
    assert len(study.table) == 9
    registered = register(open_client(options.config.tracking_uri), study.record.run_id, small_pair)
    model = load_model(registered.uri, trusted=[name], tracking_uri=options.config.tracking_uri)
    rows = model.predict(small_pair.target.X)
    chosen = decode_predictions(study.choose().row["predictions"])
    assert rows["label"].tolist() == [small_pair.class_names[int(code)] for code in chosen]


RULE = """
    import numpy as np
    from tgsr.evaluation import Rule, decisions_of

    def prepare(context):
        return lambda outcomes: decisions_of(outcomes, "spread").std(axis=(1, 2))

    SPREAD = Rule("spread", "how far the decision values differ", prepare, needs="decisions")
    """


@pytest.mark.parametrize("name", ["spread:SPREAD", "Spread"])
def test_a_rule_of_ones_own_is_a_column_a_choice_and_a_line_on_the_page(
    own, make_spec, make_options, small_pair, no_figures, name
):
    own("spread", RULE, {"tgsr.rules": "spread = spread:SPREAD"})
    options = make_options(choose=name, page=True)
    study = run_study(make_spec(), small_pair, options)
    for row in study.table.iloc[[0, 7]].to_dict("records"):
        model = TGSRClassifier(**json.loads(row["settings"]))
        model.fit(small_pair.source.X, small_pair.source.labels, X_target=small_pair.target.X)
        assert row["rules.spread"] == pytest.approx(model.decision_function(small_pair.target.X).std())
    best = study.table.loc[study.table["rules.spread"].idxmax()]
    assert study.best_params == {"kappa": best["params.kappa"], "xi": best["params.xi"]}
    client = open_client(options.config.tracking_uri)
    assert client.get_run(best["run_id"]).data.metrics["rules.spread"] == best["rules.spread"]
    run = client.get_run(study.record.run_id)
    assert run.data.tags["tgsr.choose"] == "spread"
    assert run.data.metrics["macro_f1.spread"] == best["metrics.macro_f1"]
    assert "spread" in read_artifact(client, study.record.run_id, "report.html").decode()


FIGURE = """
    from tgsr.reports import new_figure, styled

    def draw_signs(view):
        table = view.record.table
        @styled
        def draw():
            figure = new_figure(3, 2)
            figure.add_subplot().plot(table["number"], table["rules.circular"])
            return figure

        yield view.figure("signs", "Signs and wonders", "Values by number", "In the order of trials.", draw())
    """


@pytest.mark.parametrize("way", ["list", "entry point"])
def test_a_figure_of_ones_own_is_on_the_page(own, make_spec, make_options, small_pair, no_figures, monkeypatch, way):
    module = own("signs", FIGURE, {"tgsr.figures": "signs = signs:draw_signs"} if way == "entry point" else None)
    if way == "list":
        drawing = __import__(module).draw_signs
        monkeypatch.setattr("tgsr.reports._figures.FIGURES", [drawing])
    options = make_options(page=True)
    study = run_study(make_spec(), small_pair, options)
    assert "signs" in [figure.name for figure in study_figures(study.record)]
    page = read_artifact(open_client(options.config.tracking_uri), study.record.run_id, "report.html").decode()
    for text in ("Signs and wonders", "Values by number", "In the order of trials."):
        assert text in page
    assert "Signs and wonders" in render_study(study.record)


LOADER = """
    from tgsr.datasets import Clip, ClipCollection

    def load(root, annotations, label_map):
        clips = []
        for folder in sorted(root.iterdir()):
            label, subject, _ = folder.name.split("-")
            frames = tuple(sorted(folder.iterdir()))
            clips.append(Clip(folder.name, "MYBASE", subject, label, frames))
        return ClipCollection("MYBASE", tuple(clips))
    """


def test_a_loader_of_ones_own_leads_from_clips_to_a_study(own, make_spec, make_options, small_pair, tmp_path):
    own("mybase", LOADER, {"tgsr.loaders": "MYBASE = mybase:load"})
    names = ("negative", "positive", "surprise")
    for number in range(6):
        write_pictures(tmp_path / "clips" / f"{names[number % 3]}-s{number // 3}-{number}", pictures(seed=number))
    out = tmp_path / "MYBASE.tgsr.npz"
    words = ["features", "--database", "mybase", "--root", str(tmp_path / "clips"), "--out", str(out), "--jobs", "1"]
    done = CliRunner().invoke(cli, [*words, "--crop", "none", "--no-cache"])
    assert done.exit_code == 0, done.output
    data = load_features(out)
    assert (data.name, data.counts) == ("MYBASE", dict.fromkeys(names, 2))
    assert np.unique(data.subjects).tolist() == ["s0", "s1"]
    pair, options = DatabasePair(data, small_pair.target), make_options(page=True)
    study = run_study(make_spec(pair), pair, options)
    run = open_client(options.config.tracking_uri).get_run(study.record.run_id)
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["MYBASE", "SMIC_NIR (generated)"]
    assert study.record.pair == "MYBASE-SMIC_NIR"
    assert "MYBASE-SMIC_NIR" in (study.record.artifact("report.html") or b"").decode()
