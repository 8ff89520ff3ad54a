from __future__ import annotations

import pandas as pd

from tgsr.evaluation.remarks import choice_remarks, show_setting


def _table(values: list[float], **more: object) -> pd.DataFrame:
    cells = [(kappa, xi) for kappa in (1, 5, 85) for xi in (0.1, 1.0, 10.0)]
    table = pd.DataFrame(cells, columns=["kappa", "xi"]).assign(selection_value=values, **more)
    return table.assign(trial=range(len(table)))


def test_ties_say_how_many_and_which_was_taken() -> None:
    (remark,) = choice_remarks(_table([0, 0, 0, 0, 0.7236, 0, 0, 0.7236, 0]))
    assert remark == "2 trials tie at 0.7236; the first was taken (the smallest κ, then ξ)."
    assert "All 9 trials tie" in choice_remarks(_table([0.5] * 9))[0]


def test_the_edge_of_a_grid_is_named_unless_nothing_lies_beyond() -> None:
    (remark,) = choice_remarks(_table([0, 0, 1, *[0] * 6]), n_groups=85)  # κ = 1, ξ = 10
    assert remark.startswith("ξ = 10 is at the edge")
    (remark,) = choice_remarks(_table([*[0] * 7, 1, 0]))  # κ = 85 of unknown many
    assert remark.startswith("κ = 85 is at the edge")
    assert choice_remarks(_table([*[0] * 7, 1, 0]), sampler="tpe") == []


def test_a_selection_that_selects_nothing_and_a_solver_that_did_nothing_are_named() -> None:
    table = _table([*[0] * 7, 1, 0], regions_kept=85, iterations=1, converged=0.0)
    text = " ".join(choice_remarks(table, n_groups=85))
    assert "keeps all 85 groups" in text
    assert "one iteration" in text
    assert "limit of iterations" in text
    assert "edge" not in text


def test_fixed_settings_and_empty_tables_choose_nothing() -> None:
    assert "fixed beforehand" in choice_remarks(_table([0.0] * 9), selection="fixed")[0]
    assert choice_remarks(_table([float("nan")] * 9)) == []
    assert show_setting("xi", 0.25) == "ξ = 0.25"
    assert show_setting("kernel", "rbf") == "kernel = rbf"
