"""Generated results for the reports: numbers of no experiment, shaped like those of one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tgsr.protocols import CLASS_NAMES, KAPPAS, XIS
from tgsr.reports.records import StudyRecord


def generated_trials(kappas: list[int], xis: list[float], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cells = [(kappa, xi) for kappa in kappas for xi in xis]
    table = pd.DataFrame(cells, columns=["kappa", "xi"])
    hill = np.exp(-(((table["kappa"] - 30) / 25) ** 2)) * (1 + 0.1 * np.log10(table["xi"] + 1e-3))
    table["macro_f1"] = np.clip(0.3 + 0.4 * hill + rng.normal(0, 0.01, len(table)), 0, 1).round(4)
    table["accuracy"] = np.clip(table["macro_f1"] + 0.02, 0, 1)
    table["n_iter"] = 90
    table["n_selected"] = table["kappa"]
    table["converged"] = True
    for name in CLASS_NAMES:
        table[f"precision_{name}"] = rng.random(len(table))
        table[f"recall_{name}"] = rng.random(len(table))
    table.insert(0, "trial", np.arange(len(table)))
    return table


@pytest.fixture(scope="session")
def paper_grid() -> pd.DataFrame:
    return generated_trials(list(KAPPAS), XIS.tolist())


@pytest.fixture
def record_factory() -> Callable[..., StudyRecord]:
    def make(table: pd.DataFrame, **changes: object) -> StudyRecord:
        norms = np.where(np.arange(85) % 7 == 0, 1.0 + np.arange(85) / 85, 0.0)
        settings: dict[str, object] = {
            "title": "V-N grid oracle region",
            "experiment": "V-N",
            "selection": "oracle",
            "grouping": "region",
            "sampler": "grid",
            "table": table,
            "facts": {"source": "SMIC_VIS, digest abc", "seed": "3"},
            "group_norms": norms,
            "confusion": np.array([[8, 1, 0], [2, 5, 1], [0, 3, 4]]),
        }
        return StudyRecord(**(settings | changes))  # type: ignore[arg-type]

    return make
