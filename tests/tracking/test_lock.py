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

from tgsr.datasets import DatabasePair
from tgsr.tracking import lock
from tgsr.tracking.client import ensure_experiment, open_client
from tgsr.tracking.config import TrackingConfig, resolve_config
from tgsr.tracking.lock import LockedError, study_lock
from tgsr.tracking.names import Tag
from tgsr.tracking.study_store import StudyStore
from tgsr.trials.spec import make_spec
from tgsr.trials.trial import Trial, cell_id, settings_json

ROOT = Path(__file__).parents[2]
NAME = "V-N TGSR grid oracle region 01234567"

_HOLD = """
import sys, time
from pathlib import Path
from tgsr.tracking import lock
from tgsr.tracking.client import open_client
from tgsr.tracking.config import TrackingConfig
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
    return config, client, ensure_experiment(client, f"tgsr/{time.time_ns()}", config)


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


@pytest.mark.faults
def test_a_lock_on_postgresql_goes_with_its_process(postgres: str, tmp_path: Path, hold: Hold) -> None:
    _goes_with_its_process(*_experiment(postgres, tmp_path), hold)


@pytest.mark.faults
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


@pytest.mark.faults
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


@pytest.mark.faults
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
    norms = np.arange(85) % 2 * 1.0
    return [
        Trial(i, {"kappa": i, "xi": 0.5}, {"macro_f1": i / n}, np.arange(9) % 3, {"circular": 0.5}, norms, None, 1, 2)
        for i in range(n)
    ]


def _keeps_its_word(config: TrackingConfig, pair: DatabasePair, writer: str) -> None:
    client, spec = open_client(config.tracking_uri), make_spec(pair, seed=time.time_ns() % 10**9)

    def open_store(restore: bool = False) -> StudyStore:
        return StudyStore(spec, pair, config, data_folder="", restore=restore)

    store = open_store()
    assert store._writer.name == writer
    store.write(_trials(6))
    store.write(_trials(6))
    table = store.read_table()
    assert table["params.kappa"].tolist() == list(range(6))
    client.delete_run(table["run_id"][4])
    # what a call leaves whose answer was lost: the client made it again
    cell = {"kappa": 2, "xi": 0.5}
    tags = {Tag.PARENT: store.run_id, Tag.KIND: "trial", Tag.CELL: cell_id(cell), Tag.SETTINGS: settings_json(cell)}
    client.create_run(client.get_run(store.run_id).info.experiment_id, tags=tags)
    store.abort(KeyboardInterrupt())
    again = open_store()
    assert again.deleted == {_trials(5)[4].cell}
    assert again.table["number"].tolist() == [0, 1, 2, 3, 5]
    again.write(_trials(8))
    again.add_values({trial.cell: {"mine": 1.5} for trial in _trials(8)})
    again.add_values({trial.cell: {"mine": 2.5} for trial in _trials(2)})
    table = again.read_table()
    assert table["number"].tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert table["rules.mine"].tolist() == [2.5, 2.5, *[1.5] * 5]
    files = {entry.path for entry in client.list_artifacts(table["run_id"][6])}
    assert files == {"regions.json", "regions.png"}
    again.abort(KeyboardInterrupt())
    restored = open_store(restore=True)
    assert len(restored.table) == 8
    assert restored.deleted == set()
    restored.abort(KeyboardInterrupt())


def test_trials_on_postgresql_are_written_in_bulk(postgres: str, tmp_path: Path, small_pair: DatabasePair) -> None:
    _keeps_its_word(TrackingConfig(tmp_path, postgres), small_pair, "bulk")


@pytest.mark.faults
def test_trials_on_a_server_are_written_by_its_api(server: str, tmp_path: Path, small_pair: DatabasePair) -> None:
    _keeps_its_word(TrackingConfig(tmp_path, server), small_pair, "client")


def test_trials_beside_a_database_are_written_in_bulk(tmp_path: Path, small_pair: DatabasePair) -> None:
    assert resolve_config().option == ""
    _keeps_its_word(resolve_config(tmp_path), small_pair, "bulk")
