"""Fixtures shared by all tests: the released files where they are, small generated databases, a place of its own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: BLAS threads of each would only wait
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np
import pytest
from servers import empty_postgres, postgres, server

import tgsr.trials.spec
from tgsr.datasets import DatabasePair, FeatureDataset, save_features
from tgsr.study.options import RunOptions
from tgsr.tracking.client import open_client
from tgsr.tracking.config import resolve_config
from tgsr.trials.spec import StudySpec

__all__ = ["empty_postgres", "postgres", "server"]

ROOT = Path(__file__).parents[1]
AXES = {"kappa": [3, 20, 85], "xi": [0.01, 1.0, 30.0, 200.0]}
MLFLOW_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")
CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".git"}


def _files_of_the_checkout() -> set[str]:
    found: set[str] = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in CACHES and not name.endswith(".egg-info")]
        found |= {f"{folder}/{name}" for name in names}
    return found


@pytest.fixture(scope="session", autouse=True)
def _checkout_stays_as_it_is() -> Iterator[None]:
    """Tests write below their temporary folders only."""
    before = _files_of_the_checkout()
    yield
    written = sorted(_files_of_the_checkout() - before)
    assert not written, f"tests have written into the checkout: {written}"


@pytest.fixture(autouse=True)
def _no_place_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the tests may keep results somewhere: the tests do not go there, and MLflow tells nobody."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for variable in (*MLFLOW_VARIABLES, "TGSR_HOME", "TGSR_STORAGE", "TGSR_ARTIFACT_ROOT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the figures that are always there, which take seconds to draw."""
    monkeypatch.setattr("tgsr.reports._figures.FIGURES", [])


@pytest.fixture(autouse=True)
def _plain_logging() -> Iterator[None]:
    """What the command line does to the loggers ends with its test: the next one may look at what is logged."""
    yield
    for name in ("tgsr", "studies"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _folder(variable: str, content: str) -> Path:
    """The folder that a variable names; the test is skipped, saying so, when it is not given."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is unset: it names the folder of {content}")
    return Path(folder)


@pytest.fixture(scope="session")
def released() -> Path:
    """The folder of the authors' released files."""
    return _folder("TGSR_RELEASED", "the authors' released .mat files")


@pytest.fixture(scope="session")
def external() -> Path:
    """The folder of features that others extracted, of three databases and of Office-Caltech."""
    return _folder("TGSR_EXTERNAL", "features of other extractors (SMIC-HS, CASME II, SAMM, Office-Caltech)")


def generated_database(name: str, n_samples: int, seed: int, shift: float = 0.3) -> FeatureDataset:
    """Histogram-like features in which a few regions carry the class; ``shift`` moves the whole domain."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_samples) % 3
    base = np.random.default_rng(0).gamma(0.5, size=(85, 3, 59))
    signal = np.random.default_rng(1).gamma(0.5, size=(3, 85, 3, 59))
    signal[:, 10:] = signal[:1, 10:]  # only the first ten regions differ between classes
    domain = shift * rng.gamma(0.5, size=(85, 3, 59))
    histograms = base + domain + 0.5 * signal[labels] + 0.3 * rng.gamma(0.5, size=(n_samples, 85, 3, 59))
    histograms /= histograms.sum(axis=-1, keepdims=True)
    return FeatureDataset(
        name=name,
        features=histograms.reshape(n_samples, 85, 177),
        labels=labels,
        subjects=np.array([f"s{index // 6:02d}" for index in range(n_samples)]),
        parameters={"origin": "generated"},
    )


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with its tables: making them takes MLflow a second each time."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def pair_factory() -> Callable[..., DatabasePair]:
    """Make a generated pair: ``pair_factory(n_source=24, n_target=18, seed=0)``."""

    def make(n_source: int = 24, n_target: int = 18, seed: int = 0) -> DatabasePair:
        return DatabasePair(
            generated_database("SMIC_VIS", n_source, seed), generated_database("SMIC_NIR", n_target, seed + 1)
        )

    return make


@pytest.fixture(scope="session")
def small_pair(pair_factory: Callable[..., DatabasePair]) -> DatabasePair:
    return pair_factory(n_source=15, n_target=12)


@pytest.fixture(scope="session")
def data_folder(small_pair: DatabasePair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small pair on disk."""
    folder = tmp_path_factory.mktemp("features")
    for data in (small_pair.source, small_pair.target):
        save_features(data, folder / f"{data.name}.tgsr.npz")
    return folder


@pytest.fixture
def make_spec(small_pair: DatabasePair) -> Callable[..., StudySpec]:
    """Make a study of the small pair, of twelve cells if it is TGSR's."""

    def make(pair: DatabasePair = small_pair, method: str = "TGSR", **changes: Any) -> StudySpec:
        return tgsr.trials.spec.make_spec(pair, method, **{"axes": AXES if method == "TGSR" else {}, **changes})

    return make


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a module of one's own, and entry points: ``own("mine", "RULE = …", {"tgsr.rules": "r = mine:RULE"})``."""
    written = []

    def write(name: str, text: str, entry_points: Mapping[str, str] | None = None) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        if entry_points:
            folder = tmp_path / f"{name}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            groups = (f"[{group}]\n{line}\n" for group, line in entry_points.items())
            (folder / "entry_points.txt").write_text("\n".join(groups))
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop(name, None)
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def make_options(data_folder: Path, empty_store: Path, tmp_path: Path) -> Callable[..., RunOptions]:
    """Options of a study in a home folder of the test's own: ``make_options("home", jobs=2)``."""

    def make(home: str = "home", **changes: Any) -> RunOptions:
        config = resolve_config(tmp_path / home)
        config.home.mkdir(exist_ok=True)
        if not (config.home / "mlflow.db").exists():
            shutil.copy(empty_store, config.home / "mlflow.db")
        return RunOptions(config, str(data_folder), **{"progress": False, "jobs": 1, "page": False, **changes})

    return make


@contextmanager
def sigint_heard() -> Iterator[None]:
    """Processes that are started in the block hear SIGINT: those of tests in the background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def run_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python in a process of its own, which ends with the test: ``run_python("-m", "tgsr", "study", …)``."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with sigint_heard():
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env=environment | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        processes.append(process)
        return process

    yield run
    for process in processes:
        with process:  # its pipe is closed, whoever has read it
            process.kill()


@pytest.fixture
def run_tgsr(run_python: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own, see `run_python`."""
    return lambda *arguments, **variables: run_python("-m", "tgsr", *arguments, **variables)
