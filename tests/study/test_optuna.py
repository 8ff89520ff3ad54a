"""A study is an `optuna.Study`: its values are the rule's, and Optuna's own tools work on the whole grid."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest

from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.study import Study, load_study
from tgsr.study.running import run_study

N_SUPPORT = """
    from sklearn.svm import SVC
    from sklearn.base import BaseEstimator
    from tgsr.estimators.sweep import Outcome

    class Counting(BaseEstimator):
        def __init__(self, C=1.0, kernel="rbf", shrinking=True):
            self.C, self.kernel, self.shrinking = C, kernel, shrinking

        def fit(self, X, y):
            return self

        def predict(self, X):
            raise NotImplementedError

        def prepare_sweep(self, X, codes, X_target, X_new=None, *, n_classes):
            def outcome(settings):
                kernel = settings.get("kernel") or "rbf"
                model = SVC(**{**settings, "kernel": kernel}).fit(X, codes)
                new = None if X_new is None else model.decision_function(X_new)
                return Outcome.of_scores(settings, model.decision_function(X_target), new,
                                         metrics={"n_support": float(model.n_support_.sum())})

            return lambda settings: [outcome(one) for one in settings]
    """
AXES = {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear", None], "shrinking": [True, False]}


@pytest.fixture
def study(make_spec, make_options, small_pair):
    return run_study(make_spec(), small_pair, make_options())


def test_values_are_the_rules_and_scores_and_rules_are_attributes(study):
    assert isinstance(study, optuna.Study)
    assert study.direction.name == "MAXIMIZE"
    assert [trial.value for trial in study.trials] == study.table["rules.circular"].tolist()
    assert study.best_value == study.choose().value
    assert study.best_trial.params == study.best_params == study.choose().settings
    for trial, row in zip(study.trials, study.table.to_dict("records"), strict=True):
        assert trial.params == json.loads(row["settings"])
        assert trial.user_attrs["metrics.macro_f1"] == row["metrics.macro_f1"]
        assert trial.user_attrs["run_id"] == row["run_id"]
    frame = study.trials_dataframe()
    assert len(frame) == 12
    assert frame["params_kappa"].tolist() == study.table["params.kappa"].tolist()
    assert frame["user_attrs_rules.vote"].tolist() == study.table["rules.vote"].tolist()


def test_the_same_study_ranked_by_another_rule_fits_nothing(study):
    for by in ("oracle", "class-balance", "discrepancy", "vote"):
        other = Study(study.record, by)
        assert isinstance(other, Study)
        assert other.best_value == study.choose(by).value
        # of equal values Optuna, too, has the first
        assert other.best_params == study.choose(by).settings


@pytest.mark.parametrize("plot", ["contour", "slice", "param_importances", "parallel_coordinate", "rank"])
def test_optunas_pictures_show_the_whole_grid(study, plot):
    # a value of its own each: importances of a constant are nothing to draw
    figure = getattr(optuna.visualization, f"plot_{plot}")(Study(study.record, "discrepancy"))
    assert figure.data
    assert "xi" in figure.to_json()
    if plot == "slice":
        assert sum(len(trace.x) for trace in figure.data) == 2 * 12


def test_a_study_is_read_back_by_run_name_and_pair(study, make_options, make_spec, small_pair):
    config = make_options().config
    other = run_study(make_spec(method="SVM"), small_pair, make_options())
    for given in (study.record.run_id, study.record.name, study.study_name):
        again = load_study(given, config=config)
        assert again.study_name == study.study_name
        assert [trial.value for trial in again.trials] == [trial.value for trial in study.trials]
    assert load_study(config=config).record.run_id == other.record.run_id
    assert load_study(study.study_name, config=config, by="oracle").best_value == study.choose("oracle").value
    with pytest.raises(MissingDataError, match="no such study"):
        load_study(pair="N-V", config=config)


def test_a_methods_own_metric_is_never_a_parameter(own, make_spec, make_options, small_pair):
    module = own("counting", N_SUPPORT)
    spec = make_spec(method=f"{module}:Counting", axes={"C": [0.1, 1.0, 10.0]})
    study = run_study(spec, small_pair, make_options(matrices="none"))
    assert study.best_params.keys() == study.choose().settings.keys() == {"C"}
    assert study.table["metrics.n_support"].min() > 0
    assert study.record.metrics["n_support"] == study.choose().metrics["n_support"]
    assert "n_support" not in study.record.tags["mlflow.note.content"].partition("| ---")[0]
    assert "n_support" not in study.record.tags["tgsr.best_settings"]


def test_a_method_with_its_own_metric_is_sampled_without_matrices(own, make_spec, make_options, small_pair):
    own(
        "counted",
        N_SUPPORT
        + """
    from optuna.distributions import FloatDistribution
    from tgsr.estimators.methods import Method

    COUNTED = Method("Counted", Counting, {"C": 1.0}, lambda _: [{"C": [0.1, 10.0]}],
                     lambda _: {"C": FloatDistribution(0.1, 10.0, log=True)})
    """,
        {"tgsr.methods": "Counted = counted:COUNTED"},
    )
    spec = make_spec(method="Counted", sampler="tpe")
    study = run_study(spec, small_pair, make_options(matrices="none", n_trials=10))
    assert len(study.trials) == 10
    assert study.best_params.keys() == {"C"}
    assert 0.1 <= study.best_params["C"] <= 10


def test_none_texts_truths_and_numbers_survive_as_settings(own, make_spec, make_options, small_pair, tmp_path):
    module = own("counting", N_SUPPORT)
    spec = make_spec(method=f"{module}:Counting", axes=AXES)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = run_study(spec, small_pair, make_options(storage=url))
    assert len(study.trials) == 18
    tried = [settings for _, settings in spec.cells()]
    assert [trial.params for trial in study.trials] == tried
    for row, settings in zip(study.table.to_dict("records"), tried, strict=True):
        found = json.loads(row["settings"])
        assert [(type(value), value) for value in found.values()] == [(type(v), v) for v in settings.values()]
    assert study.choose("oracle").settings in tried
    again = run_study(spec, small_pair, make_options(storage=url))
    assert [trial.params for trial in again.trials] == tried
    stored = optuna.load_study(study_name=f"{spec.name} by circular", storage=url)
    assert [trial.params for trial in stored.trials] == tried


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_storage_of_optunas_is_filled_and_brought_up_to_date(make_spec, make_options, small_pair, tmp_path, kind):
    path, spec = tmp_path / "optuna.store", make_spec(axes={"kappa": [3, 20, 85], "xi": [1, 0.5, 30, 200.5]})
    url = f"sqlite:///{path}" if kind == "sqlite" else str(path)
    run_study(spec, small_pair, make_options(storage=url, n_trials=5))
    backup = path.read_bytes()
    for _ in range(2):
        study = run_study(spec, small_pair, make_options(storage=url))
    path.write_bytes(backup)  # as from a backup: it lacks what came later
    study = run_study(spec, small_pair, make_options(storage=url))
    run_study(spec, small_pair, make_options(storage=url, choose="oracle"))
    storage = (
        url if kind == "sqlite" else optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    )
    for by in ("circular", "oracle"):
        stored = optuna.load_study(study_name=f"{spec.name} by {by}", storage=storage)
        assert len(stored.trials) == 12
        assert stored.best_value == study.choose(by).value
        assert {tuple(trial.params.values()) for trial in stored.trials} == {
            tuple(settings.values()) for _, settings in spec.cells()
        }


def test_mlflows_own_database_is_refused_as_a_storage(make_spec, make_options, small_pair):
    options = make_options()
    url = options.config.tracking_uri
    with pytest.raises(ParameterError, match=r"MLflow's own database.*sqlite:///optuna.db"):
        run_study(make_spec(), small_pair, make_options(storage=url))
    assert len(run_study(make_spec(), small_pair, options).table) == 12, "nothing was left locked"


def test_a_storage_that_cannot_be_filled_is_one_line_and_mlflow_has_all(make_spec, make_options, small_pair, tmp_path):
    (tmp_path / "notes.db").write_text("my notes\n" * 1000)
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    with pytest.raises(TrackingError, match=r"cannot be filled.*MLflow has all trials"):
        run_study(make_spec(), small_pair, make_options(storage=url))
    record = load_study(config=make_options().config).record
    assert (record.status, len(record.table)) == ("FINISHED", 12)
    assert np.isfinite(record.table["rules.circular"]).all()
