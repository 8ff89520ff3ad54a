"""The coordinator's own ceiling: how many ready-made trials a second it can write, and what limits it.

    python -m studies.bench.tracking --home FOLDER [--trials 5000] [--uri postgresql+psycopg://…]

Trials as of TGSR's grid, κ = 1 … 85 groups kept in turn, are written in batches of 256, as the engine does: with matrix
and mask, and without files. Then they are read and checked as at the start of a finished study. Seconds of a processor
are printed besides those of the clock: on a busy machine they are what stays the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tgsr.protocols import N_REGIONS
from tgsr.tracking._files import write_trial_files
from tgsr.tracking._runs import ParentSpec, start_parent
from tgsr.tracking._store import TrialStore
from tgsr.trials.trial import StudyRun, Trial, cell_id, source_tags
from tgsr.tracking.config import open_client, resolve_config
from tgsr.tracking.names import Tag

_BATCH = 256
_METRICS = (
    *("selection_value", "macro_f1", "accuracy", "recall"),
    *(f"{kind}_{name}" for kind in ("precision", "recall") for name in "abc"),
    *("objective", "iterations", "converged", "regions_kept", "fit_seconds"),
)


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True, help="folder for database and artifacts; 200 kB a trial")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--uri", help="tracking database; SQLite in the home folder by default")
    given = parser.parse_args()
    for with_files in (True, False):
        store = _store(given.home, given.uri)
        print(f"{'with matrix and mask' if with_files else 'without files'}, {store.writer}")
        _write(store, given.trials, with_files=with_files)
        with _measured("  read as a table", given.trials):
            assert len(store.table()) == given.trials
        with _measured("  checked at a start", given.trials):
            assert store.clean() == 0
    with _measured("files alone, one thread", 1000):
        for trial in _trials(1000, with_files=True):
            write_trial_files(Path(given.home) / "files" / trial.cell, trial, "released")


def _store(home: str, uri: str | None) -> TrialStore:
    config = resolve_config(home, uri)
    config.home.mkdir(parents=True, exist_ok=True)
    client = open_client(config.tracking_uri)
    run_id = start_parent(client, ParentSpec("tgsr/bench", "ceiling", "", {Tag.KIND: "study"}), config.artifact_root)
    experiment_id = client.get_run(run_id).info.experiment_id
    location = client.get_experiment(experiment_id).artifact_location
    params = dict.fromkeys(("groups", "mu", "rho", "mu_max", "tol", "max_iter", "selection", "scaling"), "0.001")
    keys = (Tag.EXPERIMENT, Tag.SELECTION, Tag.METHOD, Tag.GROUPING)
    tags = {**dict.fromkeys(keys, "released"), **source_tags()}
    return TrialStore(client, StudyRun(run_id, experiment_id, location, "TGSR oracle", "released", params, tags))


def _trials(n: int, *, with_files: bool) -> Iterator[Trial]:
    rng = np.random.default_rng(0)
    blocks = rng.normal(size=(N_REGIONS, 177, 3))
    predictions = rng.integers(0, 3, size=164)
    for number in range(n):
        kept = (np.arange(N_REGIONS) <= number % N_REGIONS) * 1.0
        settings = {"kappa": number % N_REGIONS + 1, "xi": 0.002 * (number // N_REGIONS + 1)}
        coef = (blocks * kept[:, None, None]).reshape(-1, 3) if with_files else None
        metrics = dict(zip(_METRICS, rng.random(len(_METRICS)).tolist(), strict=True))
        norms = kept * rng.random(N_REGIONS) if with_files else None
        yield Trial(number, cell_id(settings), settings, metrics, predictions, norms, coef, 1_000, 2_000)


def _write(store: TrialStore, n: int, *, with_files: bool) -> None:
    seconds, processor, batch = [], 0.0, []
    for trial in _trials(n, with_files=with_files):
        batch.append(trial)
        if len(batch) == _BATCH or trial.number == n - 1:
            started, busy = time.perf_counter(), time.process_time()
            store.write(batch)
            seconds.append((time.perf_counter() - started) / len(batch))
            processor += time.process_time() - busy
            batch = []
    early, late = np.median(seconds[1:5]), np.median(seconds[-5:])
    print(f"  {1 / np.mean(seconds):.0f} trials/s, median {1 / np.median(seconds):.0f}; best {1 / min(seconds):.0f}")
    print(
        f"  {1e3 * processor / n:.2f} ms of a processor a trial; first batches {1e3 * early:.2f}, last {1e3 * late:.2f}"
    )


@contextmanager
def _measured(what: str, n: int) -> Iterator[None]:
    started, busy = time.perf_counter(), time.process_time()
    yield
    elapsed, processor = time.perf_counter() - started, time.process_time() - busy
    print(f"{what}: {elapsed:.2f} s, {1e3 * processor / n:.3f} ms of a processor a trial")


if __name__ == "__main__":
    main()
