"""Methods side by side are a table over their studies; all pairs in one go, interrupted or not."""

from __future__ import annotations

import pytest
from tgsr.tracking.reading import list_studies, read_artifact

from studies.paper import run_paper
from tgsr.errors import MissingDataError, ParameterError
from tgsr.study.comparing import ComparePlan, comparison_table
from tgsr.study.pairs import choose_pairs
from tgsr.tracking.client import open_client

AXES = {"kappa": [3, 20], "xi": [0.1, 10.0]}
PLAN = ComparePlan(methods=("SVM", "SA", "TGSR"), axes=AXES, limits={"SA": 4})


def test_a_row_for_each_method_and_selection_and_a_partial_grid_says_so(make_options, small_pair):
    table = comparison_table([small_pair], PLAN, make_options())
    assert list(zip(table["method"], table["selection"], strict=True)) == [
        (method, selection) for method in ("SVM", "SA", "TGSR") for selection in ("oracle", "class-balance", "fixed")
    ]
    rows = table.set_index(["method", "selection"])
    assert rows["partial"]["SA", "oracle"] == "4 of 11 cells"
    assert rows["partial"]["TGSR", "class-balance"] == "4 of 23,035 cells"
    assert (rows["partial"][[("SVM", "oracle"), ("TGSR", "fixed")]] == "").all()
    assert rows["generated"].all()
    assert rows["paper_macro_f1"]["TGSR", "oracle"] == 0.6984


def test_a_label_free_study_serves_the_oracles_column_too(make_options, small_pair):
    plan = ComparePlan(methods=("SA",), selections=("oracle", "source-cv"), limits={"SA": 4})
    options = make_options()
    table = comparison_table([small_pair], plan, options).set_index("selection")
    assert table["macro_f1"]["oracle"] >= table["macro_f1"]["source-cv"]
    assert [study.selection for study in list_studies(open_client(options.config.tracking_uri))] == ["source-cv"]


@pytest.mark.parametrize(
    "wrong", [{"methods": ("NOPE",)}, {"selections": ("nope",)}, {"methods": ()}, {"limits": {"X": 1}}]
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(wrong):
    with pytest.raises(ParameterError):
        ComparePlan(**wrong)


def test_all_pairs_of_a_folder_in_one_go_and_run_again_nothing_is_added(make_options, data_folder):
    pairs = choose_pairs(data_folder, None, None, None, "paper")
    assert [pair.name for pair in pairs] == ["V-N", "N-V"]
    options = make_options()
    compare = ComparePlan(methods=("SVM",), axes=AXES)
    first = run_paper(pairs, options, compare, selection="oracle", axes=AXES)
    client = open_client(options.config.tracking_uri)
    assert b"V-N" in read_artifact(client, first.run_id, "report.html")
    versions = {model.name: model.latest_versions for model in client.search_registered_models()}
    assert set(versions) == {"tgsr-V-N", "tgsr-N-V"}
    again = run_paper(pairs, options, compare, selection="oracle", axes=AXES)
    assert again.run_id == first.run_id
    assert [study.run_id for study in again.studies] == [study.run_id for study in first.studies]
    assert {len(client.search_model_versions(f"name='{name}'")) for name in versions} == {1}


def test_every_ordered_pair_can_be_asked_for_and_an_empty_folder_says_what_it_lacks(data_folder, tmp_path):
    assert {pair.name for pair in choose_pairs(data_folder, None, None, None, "all")} == {"V-N", "N-V"}
    with pytest.raises(MissingDataError, match="holds no feature file"):
        choose_pairs(tmp_path, "all", None, None)
