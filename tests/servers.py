"""Servers that tests run against, each with a database of its own: PostgreSQL, MLflow's tracking server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tgsr.tracking.client import open_client


def _binaries() -> Path | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found and shutil.which("postgres") else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty database on a server of its own."""
    psycopg = pytest.importorskip("psycopg", reason="the driver psycopg is not installed: pip install 'tgsr[postgres]'")
    folder = _binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server found: install the package postgresql")
    user: list[str] = []
    # not in pytest's folders: these are private, and each session that starts makes them so again
    base = Path(tempfile.mkdtemp(prefix="tgsr-postgres-"))
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user postgres to run the server as")
        user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        os.chown(base, account.pw_uid, account.pw_gid)

    def run(*command: str) -> None:
        done = subprocess.run([*user, *command], capture_output=True, text=True, cwd=base)
        if done.returncode:
            pytest.skip(f"the PostgreSQL server cannot be started: {done.stderr[-300:]}")

    cluster, port = str(base / "cluster"), free_port()
    run(str(folder / "initdb"), "-D", cluster, "-U", "tgsr", "--auth=trust", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base} -c fsync=off"
    run(str(folder / "pg_ctl"), "-D", cluster, "-w", "-o", settings, "-l", str(base / "log"), "start")
    try:
        with psycopg.connect(f"postgresql://tgsr@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE mlflow")
        yield f"postgresql+psycopg://tgsr@127.0.0.1:{port}/mlflow"
    finally:
        subprocess.run([*user, str(folder / "pg_ctl"), "-D", cluster, "-m", "immediate", "stop"], capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def empty_postgres(postgres: str) -> str:
    """URL of an empty database on that server."""
    import psycopg

    plain, name = postgres.replace("+psycopg", ""), f"db{time.time_ns()}"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{postgres.rpartition('/')[0]}/{name}"


@contextmanager
def tracking_server(folder: Path, options: Sequence[str] = (), **variables: str) -> Iterator[str]:
    """Address of a tracking server that keeps its database and serves its artifacts from a folder."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    open_client(f"sqlite:///{folder / 'mlflow.db'}")
    command = f"server --workers 1 --host 127.0.0.1 --port {port} --backend-store-uri sqlite:///{folder}/mlflow.db"
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    arguments = [*command.split(), "--artifacts-destination", str(folder / "artifacts"), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            env=environment | variables,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    patience = time.monotonic() + 180
    try:
        while not _answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < patience
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a tracking server that serves its artifacts."""
    with tracking_server(tmp_path_factory.mktemp("server")) as address:
        yield address


def _answers(address: str) -> bool:
    try:
        urlopen(f"{address}/health", timeout=5).close()
    except OSError:
        return False
    return True
