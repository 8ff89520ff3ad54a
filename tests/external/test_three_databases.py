"""Real people of three databases by other extractors' features: their import, and the composite protocol on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score, recall_score

from tgsr.cli import cli
from tgsr.datasets import import_features, load_features

pytestmark = pytest.mark.external

KINDS = {"lbp_top": (708, 12), "hoof": (876, 24)}  # features, groups
DATABASES = {  # negative, positive, surprise; people
    "SMIC_HS": ((70, 51, 43), 16),
    "CASME2": ((88, 32, 25), 24),
    "SAMM": ((92, 26, 15), 28),
}


def run(*arguments):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_imported_as_it_is(external, tmp_path, kind, database):
    path = external / f"{kind}_{database}.npz"
    counts, n_people = DATABASES[database]
    assert f"{sum(counts)} rows" in run("features", "--database", database, "--import", path, "--out", tmp_path)
    data = load_features(tmp_path / f"{database}.tgsr.npz")
    assert (data.X.shape[1], data.n_groups) == KINDS[kind]
    assert tuple(data.counts.values()) == counts
    assert len(set(data.subjects)) == n_people
    assert data.digest == import_features(path, database).digest
    with np.load(path, allow_pickle=False) as content:
        np.testing.assert_array_equal(data.X, content["features"])
        assert data.sample_ids.tolist() == content["clips"].tolist()


@pytest.fixture(scope="module")
def protocol(external, tmp_path_factory):
    """Scores and predictions of the composite protocol, from files to tables, by the commands."""

    def evaluate(kind: str, preprocess: str, methods: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        folder = tmp_path_factory.mktemp("composite")
        for database in DATABASES:
            path = external / f"{kind}_{database}.npz"
            run("features", "--database", database, "--import", path, "--out", folder)
        scores, predictions = folder / "scores.csv", folder / "predictions.csv"
        data = ("--data", folder, "--home", folder, "--jobs", 1, "--quiet")
        files = ("--out", scores, "--predictions", predictions)
        run("protocol", *data, *files, "--methods", methods, "--preprocess", preprocess)
        return pd.read_csv(scores), pd.read_csv(predictions)

    return evaluate


@pytest.mark.parametrize("kind", KINDS)
def test_uf1_and_uar_are_scikit_learns_over_the_predictions_of_all_people(protocol, kind):
    scores, predictions = protocol(kind, "standard", "SVM,TGSR")
    assert (len(predictions), predictions["subject"].nunique()) == (442, 68)
    for _, row in scores.iterrows():
        inside = predictions if row["part"] == "all" else predictions[predictions["database"] == row["part"]]
        (column,) = (name for name in predictions if name == row["method"])
        true, predicted = inside["true"], inside[column]
        assert row["uf1"] == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-9)
        assert row["uar"] == pytest.approx(recall_score(true, predicted, average="macro"), abs=1e-9)
        assert predicted.nunique() == 3 or row["part"] != "all"


def test_one_class_for_all_is_said(protocol):
    scores, predictions = protocol("lbp_top", "none", "SVM")
    assert predictions["SVM"].unique().tolist() == ["negative"]
    assert scores["remark"][scores["part"] == "all"].item() == "predicts negative for all 442"
