"""Generated results for the reports: numbers of no experiment, shaped like those of one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tgsr.protocols import CLASS_NAMES, XIS
from tgsr.reports._records import StudyRecord


def generated_trials(settings: list[dict[str, Any]], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(settings)
    hill = np.zeros(len(table))
    if "kappa" in table:
        hill = np.exp(-(((table["kappa"] - 30) / 25) ** 2)) * (1 + 0.1 * np.log10(table["xi"] + 1e-3))
    table["macro_f1"] = np.clip(0.3 + 0.4 * hill + rng.normal(0, 0.01, len(table)), 0, 1).round(4)
    table["accuracy"] = np.clip(table["macro_f1"] + 0.02, 0, 1)
    table["selection_value"] = table["macro_f1"]
    table["iterations"], table["converged"] = 90, 1.0
    if "kappa" in table:
        table["regions_kept"] = table["kappa"]
    for name in CLASS_NAMES:
        table[f"precision_{name}"], table[f"recall_{name}"] = rng.random((2, len(table)))
    table["predictions"] = "012012"
    table.insert(0, "trial", np.arange(len(table)))
    return table


def grid(**axes: Any) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


@pytest.fixture(scope="session")
def trials() -> Callable[..., pd.DataFrame]:
    """Generated trials over a grid, given by its axes."""
    return lambda **axes: generated_trials(grid(**axes))


@pytest.fixture(scope="session")
def paper_grid() -> pd.DataFrame:
    return generated_trials(grid(kappa=list(range(1, 86)), xi=XIS.tolist()))


@pytest.fixture
def record_factory() -> Callable[..., StudyRecord]:
    def make(table: pd.DataFrame, **changes: Any) -> StudyRecord:
        norms = np.where(np.arange(85) % 7 == 0, 1.0 + np.arange(85) / 85, 0.0)
        known: dict[str, Any] = {
            "title": "V-N TGSR grid oracle region",
            "pair": "V-N",
            "method": "TGSR",
            "selection": "oracle",
            "sampler": "grid",
            "table": table,
            "fixed": {"groups": "region"},
            "class_names": CLASS_NAMES,
            "facts": {"source": "SMIC_VIS, digest abc", "seed": "3"},
            "group_norms": norms,
            "confusion": np.array([[8, 1, 0], [2, 5, 1], [0, 3, 4]]),
            "n_groups": 85,
        }
        return StudyRecord(**(known | changes))

    return make
