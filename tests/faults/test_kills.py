"""`kill -9` at any moment of a study, in each kind of store: the same trials, files and choice as undisturbed.

With ``TGSR_FAULTS=full`` 50 kills in a study of 200 cells, otherwise 2 in one of 12.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from servers import tracking_server

from tgsr.tracking.client import open_client
from tgsr.tracking.records import list_studies, trial_table

FULL = os.environ.get("TGSR_FAULTS") == "full"
KILLS, KAPPAS, N_XIS = (50, "20,85", 100) if FULL else (2, "20,85", 6)
XIS = ",".join(f"{10 ** (index / N_XIS * 4 - 2):.4g}" for index in range(N_XIS))

_NURSERY = """
import json, os, sys
import mlflow, numba, pandas, tgsr.tracking.study_store, tgsr.study.running, tgsr.solvers._kernel, tgsr.cli.study
from tgsr.cli import cli
from tgsr.study import running
from tgsr.tracking import lock
# tasks of two cells that are written at once, so that fifty lives do not end the study too soon
grid_tasks, running._BATCH = running.grid_tasks, 1
running.grid_tasks = lambda *given: [task[i : i + 2] for task in grid_tasks(*given) for i in range(0, len(task), 2)]
# the lease on a server runs out sooner than in a minute, so that fifty kills do not take an hour
lock.LEASE_SECONDS, lock._RENEW_SECONDS, lock._SETTLE_SECONDS = 4.0, 1.0, 0.1
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        out = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        cli(json.loads(line))
    print(process, flush=True)
    print(os.waitpid(process, 0)[1], flush=True)
"""


class Nursery:
    """Starts the command line in processes that have imported everything already: fifty starts take no ten minutes."""

    def __init__(self, folder: Path, uri: str) -> None:
        root = Path(__file__).parents[2]
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": uri},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, arguments: list[str]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> int:
        """Wait for the command; its status."""
        return self._read()

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        with self._process:
            self._process.kill()


def study(data: Path) -> list[str]:
    slow = ["--tol", "1e-300", "--max-iter", "2000" if FULL else "200"]
    grid = ["--kappas", KAPPAS, "--xis", XIS, "--jobs", "1", *slow]
    return ["study", "--experiment", "V-N", "--data", str(data), "--quiet", *grid]


def n_trials(uri: str) -> int:
    """Runs that are there by now."""
    client = open_client(uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return len(client.search_runs(ids, max_results=1000))


def content(uri: str, artifacts: Path) -> dict[str, Any]:
    """All that a study has left, without what names this store or tells the time."""
    client = open_client(uri)
    (found,) = list_studies(client)
    parent = client.get_run(found.run_id)
    table = trial_table(client, found.run_id, found.experiment_id)
    runs = client.search_runs([parent.info.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == len(table) + 1
    folders = {path.parent.name: path for path in artifacts.rglob("artifacts") if path.is_dir()}
    files = [{path.name: path.read_bytes() for path in folders[run_id].iterdir()} for run_id in table["run_id"]]
    return {
        "table": table.drop(columns=["metrics.fit_seconds", "run_id"]).to_dict("list"),
        "files": files,
        "best": found.choose().row["number"],
        "metrics": {name: value for name, value in parent.data.metrics.items() if "second" not in name},
    }


@pytest.fixture(scope="module")
def undisturbed(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with closing(Nursery(folder, uri)) as nursery:
        nursery.start(study(data_folder))
        assert nursery.end() == 0, nursery.output
    return content(uri, folder)


def finish(nursery: Nursery, command: list[str]) -> None:
    """Run a study to its end; a lease that a killed process held runs out in between."""
    patience = time.monotonic() + 60
    while True:
        nursery.start(command)
        if nursery.end() == 0:
            return
        assert "works on the study" in nursery.output, nursery.output
        assert time.monotonic() < patience
        time.sleep(0.5)


def kill(nursery: Nursery, command: list[str], uri: str, dice: random.Random) -> bool:
    """Start the study and kill it, every third time while it opens, otherwise when it has written; whether it was."""
    before = n_trials(uri)
    process = nursery.start(command)
    if dice.random() < 1 / 3 or before > len(KAPPAS.split(",")) * N_XIS:
        time.sleep(dice.uniform(0, 1.0))
    else:
        begun = time.monotonic()
        while n_trials(uri) <= before and time.monotonic() - begun < 20:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.1))
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(nursery.end())


@pytest.mark.parametrize(
    "store", ["embedded", *(pytest.param(name, marks=pytest.mark.faults) for name in ("PostgreSQL", "tracking server"))]
)
def test_a_study_that_is_killed_again_and_again_ends_like_an_undisturbed_one(
    store: str, data_folder: Path, undisturbed: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if store == "tracking server":
        with tracking_server(tmp_path) as address:
            assert_equal_after_kills(address, tmp_path, data_folder, undisturbed)
        return
    embedded = f"sqlite:///{tmp_path / 'mlflow.db'}"
    uri = embedded if store == "embedded" else request.getfixturevalue("empty_postgres")
    assert_equal_after_kills(uri, tmp_path, data_folder, undisturbed)


def assert_equal_after_kills(uri: str, folder: Path, data: Path, undisturbed: dict[str, Any]) -> None:
    open_client(uri)
    with closing(Nursery(folder, uri)) as nursery:
        kill_and_finish(nursery, uri, data, len(undisturbed["files"]))
    found = content(uri, folder)
    assert len(found["files"]) == len(undisturbed["files"]) == len(KAPPAS.split(",")) * N_XIS
    assert found == undisturbed


def kill_and_finish(nursery: Nursery, uri: str, data: Path, n_cells: int) -> None:
    """Kill the study at many moments, then run it to its end."""
    dice, kills, starts = random.Random(0), 0, 0
    while kills < KILLS and starts < 3 * KILLS:
        kills += kill(nursery, study(data), uri, dice)
        starts += 1
        if FULL:
            print(kills, starts, n_trials(uri), flush=True)
    left = n_cells + 1 - n_trials(uri)
    finish(nursery, study(data))
    print(f"{kills} kills in {starts} starts, {left} cells left for the end")
    assert kills == KILLS
