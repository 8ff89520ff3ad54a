"""Oracle studies on the released files end at the paper's cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studies.space import Space
from studies.spec import StudySpec
from studies.study import run_study
from tgsr.datasets import load_pair
from tgsr.protocols import get_experiment


@pytest.mark.released
@pytest.mark.parametrize(
    ("experiment", "kappas", "xis", "cell", "macro_f1", "accuracy"),
    [
        ("V-N", (11, 12, 13), (42.0, 44.0, 46.0), (12, 44.0), 0.6984, 70.42),
        ("N-V", (11, 12, 13), (260.0, 280.0, 300.0), (12, 280.0), 0.8403, 84.51),
    ],
)
def test_the_oracle_ends_at_the_papers_cell(
    released: Path,
    make_options: Callable[..., Any],
    experiment: str,
    kappas: tuple[int, ...],
    xis: tuple[float, ...],
    cell: tuple[int, float],
    macro_f1: float,
    accuracy: float,
) -> None:
    pair = load_pair(get_experiment(experiment), released)
    digests = pair.source.digest, pair.target.digest
    spec = StudySpec(experiment, *digests, Space(kappas, xis), selection="oracle", grouping="released")
    best = run_study(spec, pair, make_options(batch=9)).best
    assert (best["kappa"], best["xi"]) == cell
    assert round(best["macro_f1"], 4) == macro_f1
    assert round(100 * best["accuracy"], 2) == accuracy
