"""A registered model in use: seconds to load it, milliseconds a row from Python, rows a second from MLflow's server.

    python -m studies.bench.serving --model models:/tgsr-V-N@champion --workers 1

The server is MLflow's own (``mlflow models serve --env-manager local``) on the loopback interface; the rows that are
sent are drawn, and the client writes its bodies beforehand.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import timeit
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
import numpy as np

from tgsr import load_model

_LOADING = "import time; t = time.perf_counter(); import tgsr; tgsr.load_model({!r}); print(time.perf_counter() - t)"
_PATIENCE = 120


@contextmanager
def serving(uri: str, workers: int) -> Iterator[str]:
    """MLflow's server in processes of its own; gives the address of its predictions."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # MLflow looks for uvicorn in PATH, where an environment that is not activated is missing
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    # a group of its own: the server starts a shell, which starts the workers
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, start_new_session=True, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server for {uri} does not come up")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except OSError:
        return False
    return True


def send(address: str, body: bytes) -> None:
    """Send a body and read the predictions."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["predictions"]


@click.command()
@click.option("--model", "uri", required=True, help="Such as models:/tgsr-V-N@champion, or a model's folder.")
@click.option("--rows", default=24, show_default=True, help="Rows a body.")
@click.option("--bodies", default=30, show_default=True, help="Bodies of each form.")
@click.option("--workers", default=1, show_default=True, help="Of the server.")
def main(uri: str, rows: int, bodies: int, workers: int) -> None:
    """Measure and print."""
    command = [sys.executable, "-c", _LOADING.format(uri)]
    first = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    again = timeit.repeat(lambda: load_model(uri), number=1, repeat=2)[1]
    click.echo(f"loading: {median(first):.2f} s in a new process, {again:.3f} s again")
    model = load_model(uri)
    drawn = np.random.default_rng(0).random((rows, model.header.n_features)) / 59
    for given in (drawn[:1], drawn):
        seconds = median(timeit.repeat(lambda given=given: model.predict(given), number=1, repeat=30))  # type: ignore[misc]
        click.echo(f"{len(given)} rows from Python: {1000 * seconds:.2f} ms")
    started = time.perf_counter()
    with serving(uri, workers) as address, ThreadPoolExecutor(workers) as clients:
        up = time.perf_counter() - started
        click.echo(f"served by {workers} workers, up after {up:.1f} s; rows/s in bodies of {rows}:")
        short = [[float(f"{value:.7g}") for value in row] for row in drawn.tolist()]
        for form, sent in (("JSON", drawn.tolist()), ("JSON, 7 digits", short)):
            body = json.dumps({"inputs": sent}).encode()
            send(address, body)
            started = time.perf_counter()
            # as many clients as workers: one alone would wait for itself
            list(clients.map(send, [address] * bodies, [body] * bodies))
            click.echo(f"  {form}: {rows * bodies / (time.perf_counter() - started):.0f}")


if __name__ == "__main__":
    main()
