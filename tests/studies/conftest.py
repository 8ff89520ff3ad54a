"""A small pair on disk, its study, and a place of its own for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tgsr.trials.spec
from tgsr.study.options import StudyOptions
from tgsr.trials.spec import StudySpec
from tgsr.datasets import DatabasePair, save_features
from tgsr.tracking.config import resolve_config

AXES = {"kappa": [3, 20, 85], "xi": [0.01, 1.0, 30.0, 200.0]}


@pytest.fixture(scope="session")
def small_pair(pair_factory: Callable[..., DatabasePair]) -> DatabasePair:
    return pair_factory(n_source=15, n_target=12)


@pytest.fixture(scope="session")
def data_folder(small_pair: DatabasePair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    for data in (small_pair.source, small_pair.target):
        save_features(data, folder / f"{data.name}.tgsr.npz")
    return folder


@pytest.fixture
def make_spec(small_pair: DatabasePair) -> Callable[..., StudySpec]:
    def make(pair: DatabasePair = small_pair, method: str = "TGSR", **changes: Any) -> StudySpec:
        axes = AXES if method == "TGSR" else {}
        return tgsr.trials.spec.make_spec(pair, method, **{"selection": "oracle", "axes": axes, **changes})

    return make


@pytest.fixture
def make_options(
    data_folder: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StudyOptions]:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME", "TGSR_STORAGE"):
        monkeypatch.delenv(variable, raising=False)

    def make(home: str = "home", **changes: Any) -> StudyOptions:
        config = resolve_config(tmp_path / home)
        config.home.mkdir(exist_ok=True)
        if not (config.home / "mlflow.db").exists():
            shutil.copy(empty_store, config.home / "mlflow.db")
        return StudyOptions(config, str(data_folder), **{"progress": False, "jobs": 1, "page": False, **changes})

    return make


@pytest.fixture
def run_tgsr(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own: ``run_tgsr("study", "--experiment", "V-N", …)``."""
    root = Path(__file__).parents[2]

    def run(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "tgsr", *arguments],
            cwd=tmp_path,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run
