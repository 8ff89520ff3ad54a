"""Fixtures shared by all tests: the released files where they are, and small generated databases."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import empty_postgres, postgres, server

from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.tracking.client import open_client

__all__ = ["empty_postgres", "postgres", "server"]


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
