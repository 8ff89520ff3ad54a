"""Generated results for the reports: numbers of no experiment, shaped like those of one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tgsr.estimators.methods import TaskShape
from tgsr.protocols import CLASS_NAMES, XIS
from tgsr.tracking.names import CONSENSUS, Tag
from tgsr.tracking.records import StudyRecord, trial_columns
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import settings_json

LABELS = np.array([0, 1, 2, 0, 1, 2])


def generated_trials(settings: list[dict[str, Any]], seed: int = 0) -> pd.DataFrame:
    """A table of trials with the columns that one read from MLflow has."""
    rng, n = np.random.default_rng(seed), len(settings)
    params, metrics = pd.DataFrame(settings, index=range(n)), pd.DataFrame(index=range(n))
    hill = np.zeros(n)
    if "kappa" in params:
        hill = np.exp(-(((params["kappa"] - 30) / 25) ** 2)) * (1 + 0.1 * np.log10(params["xi"] + 1e-3))
        metrics["regions_kept"] = params["kappa"]
    metrics["macro_f1"] = np.clip(0.3 + 0.4 * hill + rng.normal(0, 0.01, n), 0, 1).round(4)
    metrics["accuracy"] = np.clip(metrics["macro_f1"] + 0.02, 0, 1)
    metrics["iterations"], metrics["converged"] = 90, 1.0
    for name in CLASS_NAMES:
        metrics[f"precision_{name}"], metrics[f"recall_{name}"] = rng.random((2, n))
    metrics["rules.circular"] = (0.9 - metrics["macro_f1"]).round(4)
    facts = pd.DataFrame(
        {
            "number": range(n),
            "run_id": [f"trial{number}" for number in range(n)],
            "settings": [settings_json(one) for one in settings],
            "predictions": "012012",
        }
    )
    return trial_columns(facts, metrics)


def grid(**axes: Any) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class GeneratedRecord(StudyRecord):
    """A study whose files are in memory."""

    def __init__(
        self,
        spec: StudySpec,
        table: pd.DataFrame,
        *,
        norms: npt.NDArray[np.float64] | None,
        labels: npt.NDArray[np.intp] | None,
        artifacts: dict[str, Any],
        tags: dict[str, str],
        run_id: str,
    ) -> None:
        known = {"run_name": spec.title, "status": "FINISHED", "experiment_id": "1", "start_time": 0}
        info = SimpleNamespace(run_id=run_id, artifact_uri="mlflow-artifacts:/nowhere", **known)
        data, inputs = SimpleNamespace(tags=tags, params={}, metrics={}), SimpleNamespace(dataset_inputs=[])
        super().__init__(None, SimpleNamespace(info=info, data=data, inputs=inputs), table)  # type: ignore[arg-type]
        self.__dict__["spec"], self.__dict__["classes"] = spec, (CLASS_NAMES, labels)
        self._norms, self._artifacts = norms, artifacts

    def group_norms(self, run_id: str) -> npt.NDArray[np.float64] | None:
        return self._norms if self.spec.grouping else None

    def artifact(self, name: str) -> bytes | None:
        return json.dumps(self._artifacts[name]).encode() if name in self._artifacts else None


@pytest.fixture(scope="session")
def trials() -> Callable[..., pd.DataFrame]:
    """Generated trials over a grid, given by its axes."""
    return lambda **axes: generated_trials(grid(**axes))


@pytest.fixture(scope="session")
def paper_grid() -> pd.DataFrame:
    return generated_trials(grid(kappa=list(range(1, 86)), xi=XIS.tolist()))


@pytest.fixture(scope="session")
def record_factory() -> Callable[..., StudyRecord]:
    """Make a record of a table: ``record_factory(table, method="SVM", fixed={}, choose="oracle")``."""

    def make(
        table: pd.DataFrame,
        *,
        choose: str = "oracle",
        generated: bool = False,
        labels: npt.NDArray[np.intp] | None = LABELS,
        consensus: dict[str, Any] | None = None,
        run_id: str = "run of the study",
        **changes: Any,
    ) -> StudyRecord:
        known: dict[str, Any] = {
            "pair": "V-N",
            "source_digest": "abc",
            "target_digest": "def",
            "method": "TGSR",
            "shape": TaskShape(71, 71, 85),
            "fixed": {"groups": "region"},
            "grid": [{"kappa": [1, 30, 85], "xi": [0.1, 1.0, 10.0]}],
            "seed": 3,
        }
        spec = StudySpec(**(known | changes))
        tags = {Tag.EXPERIMENT: spec.pair, Tag.METHOD: spec.method, Tag.CHOOSE: choose}
        tags |= {Tag.GENERATED: "true"} if generated else {}
        norms = np.where(np.arange(85) % 7 == 0, 1.0 + np.arange(85) / 85, 0.0)
        artifacts = {} if consensus is None else {CONSENSUS: consensus}
        return GeneratedRecord(spec, table, norms=norms, labels=labels, artifacts=artifacts, tags=tags, run_id=run_id)

    return make


@pytest.fixture(scope="session")
def consensus_facts() -> dict[str, Any]:
    """What a study's run says of its consensus."""
    frequency = np.zeros(85)
    frequency[[3, 10, 20, 30]] = [1.0, 0.5, 0.25, 1.0]
    return {
        "by": "circular",
        "share": 0.05,
        "trials": [3, 1],
        "grouping": "region",
        "frequency": frequency.tolist(),
        "predictions": "012011",
        "macro_f1.consensus": 0.8222,
        "accuracy.consensus": 0.8333,
    }
