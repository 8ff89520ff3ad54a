"""One coordinator a study, with real processes: beside a file, on PostgreSQL, on a tracking server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tgsr.tracking._lock import LockedError, study_lock
from tgsr.tracking._runs import ParentSpec, start_parent
from tgsr.tracking._store import TrialStore

from tgsr.tracking import _lock as lock
from tgsr.tracking.config import TrackingConfig, ensure_experiment, open_client, resolve_config
from tgsr.tracking.names import Tag
from tgsr.trials.trial import StudyRun, Trial, cell_id

ROOT = Path(__file__).parents[2]
NAME = "V-N TGSR grid oracle region 01234567"

_HOLD = """
import sys, time
from pathlib import Path
from tgsr.tracking import _lock as lock
from tgsr.tracking.config import TrackingConfig, open_client
home, uri, experiment_id, name, lease = sys.argv[1:]
lock.LEASE_SECONDS, lock._RENEW_SECONDS, lock._SETTLE_SECONDS = float(lease), float(lease) / 4, 0.1
config = TrackingConfig(Path(home), uri)
try:
    with lock.study_lock(config, open_client(uri), experiment_id, name) as held:
        print("held", flush=True)
        while True:
            held.check()
            time.sleep(0.1)
except lock.LockedError as error:
    print(f"stopped: {error}", flush=True)
"""

Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start a process that holds the study until it is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(config: TrackingConfig, experiment_id: str, lease: float = 60.0) -> subprocess.Popen[str]:
        arguments = [str(config.home), config.tracking_uri, experiment_id, NAME, str(lease)]
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def _experiment(uri: str, home: Path) -> tuple[TrackingConfig, Any, str]:
    config = TrackingConfig(home, uri)
    client = open_client(uri)
    return config, client, ensure_experiment(client, f"tgsr/{time.time_ns()}", config.artifact_root)


def _is_refused(config: TrackingConfig, client: Any, experiment_id: str, holder: int) -> None:
    begun = time.monotonic()
    told = rf"process {holder}\) since \d{{4}}-\d\d-\d\d .*works on the study '{NAME}'"
    with pytest.raises(LockedError, match=told), study_lock(config, client, experiment_id, NAME):
        pass
    assert time.monotonic() - begun < 10


def _goes_with_its_process(config: TrackingConfig, client: Any, experiment_id: str, hold: Hold) -> None:
    process = hold(config, experiment_id)
    _is_refused(config, client, experiment_id, process.pid)
    with study_lock(config, client, experiment_id, "another study") as other:
        other.check()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with study_lock(config, client, experiment_id, NAME) as held:
        held.check()
        _is_refused(config, client, experiment_id, os.getpid())
    assert not [key for key in client.get_experiment(experiment_id).tags if key.startswith(Tag.LOCK)]


def test_a_lock_beside_a_sqlite_database_goes_with_its_process(tmp_path: Path, hold: Hold) -> None:
    _goes_with_its_process(*_experiment(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path), hold)


def test_what_the_block_raises_is_passed_on_and_frees_the_study(tmp_path: Path) -> None:
    config, client, experiment_id = _experiment(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    with pytest.raises(ZeroDivisionError), study_lock(config, client, experiment_id, NAME):
        raise ZeroDivisionError
    with study_lock(config, client, experiment_id, NAME):
        pass


def test_a_lock_on_postgresql_goes_with_its_process(postgres: str, tmp_path: Path, hold: Hold) -> None:
    _goes_with_its_process(*_experiment(postgres, tmp_path), hold)


def test_a_lost_connection_to_postgresql_stops_the_holder(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(lock, "_RENEW_SECONDS", 0.1)
    config, client, experiment_id = _experiment(postgres, tmp_path)
    with study_lock(config, client, experiment_id, NAME) as held:
        held.check()
        with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        time.sleep(1)
        with pytest.raises(LockedError, match="dropped the connection"):
            held.check()


def test_a_lease_on_a_server_is_taken_over_when_it_has_run_out(server: str, tmp_path: Path, hold: Hold) -> None:
    config, client, experiment_id = _experiment(server, tmp_path)
    process = hold(config, experiment_id, lease=6.0)
    time.sleep(8)  # it is renewed
    _is_refused(config, client, experiment_id, process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _is_refused(config, client, experiment_id, process.pid)
    time.sleep(7)
    with study_lock(config, client, experiment_id, NAME):
        pass
    assert not [key for key in client.get_experiment(experiment_id).tags if key.startswith(Tag.LOCK)]


def test_a_holder_that_slept_through_its_lease_stops(server: str, tmp_path: Path, hold: Hold) -> None:
    config, client, experiment_id = _experiment(server, tmp_path)
    process = hold(config, experiment_id, lease=3.0)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    with study_lock(config, client, experiment_id, NAME) as held:
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert f"process {os.getpid()}" in process.stdout.readline()
        held.check()


def _trials(n: int) -> list[Trial]:
    settings = [{"kappa": number, "xi": 0.5} for number in range(n)]
    norms = np.arange(85) % 2 * 1.0
    return [
        Trial(i, cell_id(s), s, {"macro_f1": i / n}, np.arange(9) % 3, norms, np.ones((15045, 3)), 1_000, 2_000)
        for i, s in enumerate(settings)
    ]


def _store(uri: str, home: Path) -> tuple[Any, TrialStore, StudyRun]:
    config, client, experiment_id = _experiment(uri, home)
    title = client.get_experiment(experiment_id).name
    run_id = start_parent(client, ParentSpec(title, "a study", "", {Tag.KIND: "study"}), config.artifact_root)
    location = client.get_experiment(experiment_id).artifact_location
    study = StudyRun(run_id, experiment_id, location, "TGSR oracle", "region", {}, {Tag.METHOD: "TGSR"})
    return client, TrialStore(client, study), study


def _keeps_its_word(client: Any, store: TrialStore, study: StudyRun) -> None:
    store.write(_trials(6))
    store.write(_trials(6))
    table = store.table()
    assert table["kappa"].tolist() == list(range(6))
    client.delete_run(table["run_id"][4])
    # what a call leaves whose answer was lost: the client made it again
    client.create_run(study.experiment_id, tags=study.trial_tags(_trials(3)[2]))
    again = TrialStore(client, study)
    assert (again.clean(), again.clean()) == (1, 0)
    again.write_coef(_trials(1)[0].cell, np.zeros((15045, 3)))
    again.write(_trials(8))
    assert again.deleted() == {_trials(5)[4].cell}
    assert again.table()["trial"].tolist() == [0, 1, 2, 3, 5, 6, 7]
    files = {entry.path for entry in client.list_artifacts(again.table()["run_id"][6])}
    assert files == {"coefficients.npz", "regions.json", "regions.png"}
    assert again.restore() == 1
    assert len(again.table()) == 8


def test_trials_on_postgresql_are_written_in_bulk(postgres: str, tmp_path: Path) -> None:
    client, store, study = _store(postgres, tmp_path)
    assert store.writer == "bulk"
    _keeps_its_word(client, store, study)


def test_trials_on_a_server_are_written_by_its_api(server: str, tmp_path: Path) -> None:
    client, store, study = _store(server, tmp_path)
    assert store.writer == "client"
    _keeps_its_word(client, store, study)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "TGSR_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert resolve_config().option == ""
