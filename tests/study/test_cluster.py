"""A real Dask scheduler and its workers on the loopback interface: lost workers, a lost scheduler, the same table."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from tgsr.errors import TrackingError
from tgsr.study.running import run_studies, run_study
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.tasks import grid_tasks

pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'tgsr[cluster]'")

# a client whose scheduler was killed leaves sockets to the garbage collector
pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parents[2]


class Cluster:
    """A scheduler at a fixed port, and workers that are started and killed."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._folder = folder
        self.processes = []
        self.scheduler = None

    def start_scheduler(self):
        self.scheduler = self._start(
            "dask", "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )

    def start_worker(self):
        worker = self._start(
            "dask", "worker", self.address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny",
            "--local-directory", str(self._folder),
        )  # fmt: skip
        self.processes.append(worker)
        return worker

    def _start(self, *command):
        variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **variables},
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self):
        for process in [*self.processes, self.scheduler]:
            if process is not None:
                process.kill()
                process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    made.start_scheduler()
    made.start_worker()
    yield made
    made.stop()
    gc.collect()


def _same(table, other):
    drop = ["metrics.fit_seconds", "run_id"]
    pd.testing.assert_frame_equal(table.drop(columns=drop), other.drop(columns=drop), rtol=1e-9)


def _in_small_tasks(*arguments):
    return [task[start : start + 2] for task in grid_tasks(*arguments) for start in range(0, len(task), 2)]


def test_workers_are_lost_and_no_trial_is_and_a_lost_scheduler_is_an_interruption(
    cluster, make_spec, make_options, small_pair, monkeypatch
):
    axes = {"kappa": list(range(5, 86, 20)), "xi": [10.0 ** (n / 4 - 2) for n in range(16)]}
    expected = run_study(make_spec(axes=axes), small_pair, make_options("threads"))
    done = []
    write = StudyStore.write
    monkeypatch.setattr(StudyStore, "write", lambda self, trials: (write(self, trials), done.append(len(trials)))[0])
    # what is finished is written at once, and a task is small, so that workers are lost in the middle
    monkeypatch.setattr("tgsr.study.running._BATCH", 1)
    monkeypatch.setattr("tgsr.study.running.grid_tasks", _in_small_tasks)

    def wait_for_more():
        count, give_up = sum(done), time.monotonic() + 60
        while sum(done) <= count and time.monotonic() < give_up:
            time.sleep(0.02)

    def disturb():
        for _ in range(2):  # a worker goes, another comes
            wait_for_more()
            cluster.processes[-1].kill()
            cluster.start_worker()
        wait_for_more()
        cluster.scheduler.kill()
        cluster.scheduler.wait()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    options = make_options("cluster", scheduler=cluster.address)
    with pytest.raises(TrackingError, match=r"no Dask scheduler answers .* the same command goes on"):
        run_study(make_spec(axes=axes), small_pair, options)
    disturbing.join()
    assert 3 <= sum(done) < 80
    cluster.start_scheduler()
    cluster.start_worker()
    result = run_study(make_spec(axes=axes), small_pair, options)
    _same(result.table, expected.table)
    assert len(result.table) == 80 == sum(done)


def test_several_studies_are_handed_to_one_scheduler(cluster, make_spec, make_options, small_pair):
    options = make_options(scheduler=cluster.address)
    specs = [make_spec(), make_spec(method="SVM")]
    results = run_studies([(spec, small_pair, options) for spec in specs])
    assert [len(record.table) for record in results] == [12, 1]
