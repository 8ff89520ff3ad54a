"""What is said beside a choice."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from tgsr.evaluation.choice import choose
from tgsr.evaluation.remarks import choice_remarks, one_class_remark, show_settings


def _table(values: list[float], **metrics: float) -> pd.DataFrame:
    cells = [{"kappa": kappa, "xi": xi} for kappa in (1, 5, 85) for xi in (0.1, 1.0, 10.0)]
    table = pd.DataFrame(cells).add_prefix("params.").assign(**{"rules.circular": values})
    table = table.assign(**{f"metrics.{name}": value for name, value in metrics.items()})
    return table.assign(number=range(len(table)), settings=[json.dumps(cell) for cell in cells])


def remarks(table: pd.DataFrame, **options: Any) -> list[str]:
    return choice_remarks(table, choose(table, "circular"), **options)


def test_ties_say_how_many_and_which_was_taken() -> None:
    (remark,) = remarks(_table([0, 0, 0, 0, 0.7236, 0, 0, 0.7236, 0]))
    assert remark == "2 trials tie at 0.7236; the first was taken (the smallest κ, then ξ)."
    assert "All 9 trials tie" in remarks(_table([0.5] * 9))[0]


def test_the_edge_of_a_grid_is_named_unless_nothing_lies_beyond() -> None:
    (remark,) = remarks(_table([0, 0, 1, *[0] * 6]), n_groups=85)  # κ = 1, ξ = 10
    assert remark.startswith("ξ = 10 is at the edge")
    (remark,) = remarks(_table([*[0] * 7, 1, 0]))  # κ = 85 of unknown many
    assert remark.startswith("κ = 85 is at the edge")
    assert remarks(_table([*[0] * 7, 1, 0]), sampler="tpe") == []


def test_a_selection_that_selects_nothing_and_a_solver_that_did_nothing_are_named() -> None:
    table = _table([*[0] * 7, 1, 0], regions_kept=85, iterations=1, converged=0.0)
    text = " ".join(remarks(table, n_groups=85))
    assert "keeps all 85 groups" in text
    assert "one iteration" in text
    assert "limit of iterations" in text
    assert "edge" not in text


def test_fixed_settings_choose_nothing() -> None:
    (remark,) = remarks(_table([0.0] * 9), sampler="fixed")
    assert "fixed beforehand" in remark


def test_settings_are_shown_with_symbols_and_four_digits() -> None:
    assert show_settings({"xi": 0.25}) == "ξ = 0.25"
    assert show_settings({"kernel": "rbf", "kappa": 12, "xi": 1 / 3}) == "kernel = rbf, κ = 12, ξ = 0.3333"


def test_predictions_of_one_class_are_named() -> None:
    assert one_class_remark("1111", ("negative", "positive")) == "predicts positive for all 4"
    assert one_class_remark("1101", ("negative", "positive")) == one_class_remark("", ("negative",)) == ""
