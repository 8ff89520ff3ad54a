from __future__ import annotations

import json

import pandas as pd
import pytest

from tgsr.evaluation.choice import choose
from tgsr.evaluation.remarks import choice_remarks, one_class_remark, regression_remark, show_settings, solver_remark


def _table(values: list[float], **metrics: object) -> pd.DataFrame:
    cells = [(kappa, xi) for kappa in (1, 5, 85) for xi in (0.1, 1.0, 10.0)]
    table = pd.DataFrame(cells, columns=["params.kappa", "params.xi"]).assign(**{"rules.circular": values})
    settings = [json.dumps({"kappa": kappa, "xi": xi}) for kappa, xi in cells]
    named = {f"metrics.{name}": value for name, value in metrics.items()}
    return table.assign(number=range(len(table)), settings=settings, **named)


def _remarks(table: pd.DataFrame, **how: object) -> list[str]:
    return choice_remarks(table, choose(table, "circular"), **how)  # type: ignore[arg-type]


def test_ties_say_how_many_and_which_was_taken() -> None:
    (remark,) = _remarks(_table([0, 0, 0, 0, 0.7236, 0, 0, 0.7236, 0]))
    assert remark == "2 trials tie at 0.7236; the first was taken (the smallest κ, then ξ)."
    (remark,) = _remarks(_table([0.5] * 9))
    assert remark.startswith("All 9 trials tie at 0.5: circular tells nothing")


def test_the_edge_of_a_grid_is_named_unless_nothing_lies_beyond() -> None:
    (remark,) = _remarks(_table([0, 0, 1, *[0] * 6]), n_groups=85)  # κ = 1, ξ = 10
    assert remark.startswith("ξ = 10 is at the edge")
    (remark,) = _remarks(_table([*[0] * 7, 1, 0]))  # κ = 85 of unknown many
    assert remark.startswith("κ = 85 is at the edge")
    assert _remarks(_table([*[0] * 7, 1, 0]), sampler="tpe") == []


def test_a_selection_that_selects_nothing_and_a_solver_that_did_nothing_are_named() -> None:
    table = _table([*[0] * 7, 1, 0], regions_kept=85, iterations=1, converged=0.0)
    text = " ".join(_remarks(table, n_groups=85))
    assert "keeps all 85 groups" in text
    assert "one iteration" in text
    assert "did not converge" in text
    assert "edge" not in text


def test_of_a_fixed_study_nothing_is_said_to_be_searched() -> None:
    assert _remarks(_table([0.5] * 9).head(1), sampler="fixed") == [
        "One trial, settings fixed beforehand: nothing was searched."
    ]


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ("0" * 133, "predicts negative for all 133"),
        ("1", "predicts positive for all 1"),
        ("0010", ""),
        ("", ""),
        (float("nan"), ""),  # of too many samples they are not kept
    ],
)
def test_one_class_for_all_is_named(predictions: str | float, said: str) -> None:
    assert one_class_remark(predictions, ["negative", "positive"]) == said


@pytest.mark.parametrize(
    ("kappa", "n_source", "n_features", "said"),
    [
        (12, 600, 708, True),
        (12, 2000, 256, True),
        (12, 400, 708, False),
        (11, 600, 708, False),
        (12, 164, 15045, False),
    ],
)
def test_a_regression_that_nothing_regularises_is_named(kappa: int, n_source: int, n_features: int, said: bool) -> None:
    remark = regression_remark({"kappa": kappa, "xi": 0.01}, n_source, n_features, 12)
    assert remark.startswith("All 12 groups are kept") == said
    assert bool(remark) == said


def test_solvers_that_did_not_converge_are_counted_with_a_remedy() -> None:
    assert solver_remark(_table([0.5] * 9)) == solver_remark(_table([0.5] * 9, converged=1.0)) == ""
    remark = solver_remark(_table([0.5] * 9, converged=[0.0, 0.0, *[1.0] * 7]))
    assert remark == "2 of 9 trials did not converge"


def test_settings_are_shown_with_their_symbols() -> None:
    assert show_settings({"xi": 0.25, "kernel": "rbf", "lam": 1 / 3}) == "ξ = 0.25, kernel = rbf, λ = 0.3333"
