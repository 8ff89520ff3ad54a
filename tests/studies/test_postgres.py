"""A team's set-up on the loopback interface: PostgreSQL for Optuna and MLflow, a study, two workers."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studies.study import StudyOptions
from tgsr.tracking.place import open_client
from tgsr.tracking.reading import list_studies, read_trials

Make = Callable[..., Any]


def _binaries() -> Path | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found and shutil.which("postgres") else None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty server on a free port, without its database's name."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed: pip install 'tgsr[postgres]'")
    folder = _binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server found: install the package postgresql")
    user: list[str] = []
    base = tmp_path_factory.mktemp("postgres")
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user postgres to run the server as")
        user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        for folder_above in base.parents:  # pytest keeps its folders private
            if folder_above.owner() == "root" and folder_above.name.startswith(("pytest-", "popen-")):
                folder_above.chmod(folder_above.stat().st_mode | 0o755)
        os.chown(base, account.pw_uid, account.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        done = subprocess.run([*user, *command], capture_output=True, text=True, cwd=base)
        if done.returncode:
            pytest.skip(f"the PostgreSQL server cannot be started: {done.stderr[-300:]}")

    cluster = str(base / "cluster")
    run(str(folder / "initdb"), "-D", cluster, "-U", "tgsr", "--auth=trust", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base} -c fsync=off"
    run(str(folder / "pg_ctl"), "-D", cluster, "-w", "-o", settings, "-l", str(base / "log"), "start")
    try:
        yield f"postgresql+psycopg://tgsr@127.0.0.1:{port}"
    finally:
        subprocess.run([*user, str(folder / "pg_ctl"), "-D", cluster, "-m", "immediate", "stop"], capture_output=True)


def _create(server: str, *names: str) -> None:
    import psycopg

    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]


def test_a_study_and_two_workers_run_every_cell_once(
    postgres: str,
    make_options: Make,
    run_tgsr: Callable[..., subprocess.Popen[str]],
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _create(postgres, "optuna", "mlflow")
    options: StudyOptions = make_options()
    storage, tracking = f"{postgres}/optuna", f"{postgres}/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("TGSR_HOME", str(options.place.home))
    study = ["study", "--experiment", "V-N", "--data", str(data_folder), "--selection", "oracle", "--storage", storage]
    study += ["--kappas", "1-30", "--xis", "0.01,1,30,200", "--batch", "4", "--jobs", "1", "--quiet", "--share-data"]
    first = run_tgsr(*study)
    client = open_client(tracking)
    name = ""
    while not name and first.poll() is None:
        name = next((entry.tags["tgsr.study"] for entry in list_studies(client) if "data" in _files(client, entry)), "")
    # without --data: they fetch the databases by digest
    workers = [run_tgsr("worker", "--study", name, "--storage", storage, "--batch", "4", "--quiet") for _ in range(2)]
    outputs = [process.communicate()[0] for process in (first, *workers)]
    assert [process.returncode for process in (first, *workers)] == [0, 0, 0], "\n".join(outputs)
    (stored,) = list_studies(client)
    table = read_trials(client, stored.run_id, stored_table=False)
    cells = sorted(zip(table["kappa"], table["xi"], strict=True))
    assert cells == sorted((kappa, xi) for kappa in range(1, 31) for xi in (0.01, 1.0, 30.0, 200.0))


def _files(client: Any, study: Any) -> list[str]:
    return [entry.path for entry in client.list_artifacts(study.run_id)]
