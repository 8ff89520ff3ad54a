"""A registered model in use: seconds to load it, milliseconds a row from Python, rows a second from MLflow's server.

    python -m studies.bench.serving --model models:/tgsr-V-N@champion --workers 1

The server is MLflow's own (``mlflow models serve --env-manager local``) on the loopback interface; the rows that are
sent are drawn, and the client writes its bodies beforehand.
"""

from __future__ import annotations

import argparse
import io
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

import numpy as np
import numpy.typing as npt
import pandas as pd

_LOADING = "import time; t = time.perf_counter(); import tgsr; tgsr.load_model({!r}); print(time.perf_counter() - t)"


def time_loading(uri: str) -> tuple[float, float]:
    """Seconds from `import tgsr` to the loaded model in a new process, the median of three; and of a second loading."""
    import tgsr

    command = [sys.executable, "-c", _LOADING.format(uri)]
    seconds = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    return median(seconds), timeit.repeat(lambda: tgsr.load_model(uri), number=1, repeat=2)[1]


def time_rows(uri: str, rows: int) -> float:
    """Milliseconds of a prediction of so many rows, model loaded."""
    import tgsr

    model = tgsr.load_model(uri)
    given = np.random.default_rng(0).random((rows, model.header.n_features)) / 59
    return 1000 * median(timeit.repeat(lambda: model.predict(given), number=1, repeat=30))


@contextmanager
def serving(uri: str, workers: int = 1, patience: float = 120) -> Iterator[str]:
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
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + patience
        while not _answers(f"{address}/ping"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server for {uri} does not come up")
            time.sleep(0.1)
        yield f"{address}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except OSError:
        return False
    return True


def bodies_of(rows: npt.NDArray[np.float64]) -> dict[str, tuple[bytes, str]]:
    """The same rows in each form that the server takes: body and content type."""
    parquet = io.BytesIO()
    pd.DataFrame({"features": list(rows)}).to_parquet(parquet)
    short = [[float(f"{value:.7g}") for value in row] for row in rows.tolist()]
    return {
        "JSON, inputs": (json.dumps({"inputs": rows.tolist()}).encode(), "application/json"),
        "JSON, one column": (_one_column(rows.tolist()), "application/json"),
        "JSON, one column, 7 digits": (_one_column(short), "application/json"),
        "Parquet": (parquet.getvalue(), "application/vnd.apache.parquet"),
    }


def _one_column(rows: list[list[float]]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["features"], "data": [[row] for row in rows]}}).encode()


def time_serving(uri: str, body_rows: int, n_bodies: int, workers: int) -> tuple[float, dict[str, float]]:
    """Seconds until the server answers, and rows a second in bodies of so many rows, by their form."""
    import tgsr

    drawn = np.random.default_rng(0).random((body_rows, tgsr.load_model(uri).header.n_features)) / 59
    rates = {}
    started = time.perf_counter()
    with serving(uri, workers) as address:
        up = time.perf_counter() - started
        for form, (body, kind) in bodies_of(drawn).items():
            send(address, body, kind)
            started = time.perf_counter()
            # as many clients as workers: one alone would wait for itself
            with ThreadPoolExecutor(workers) as clients:
                list(clients.map(lambda _, body=body, kind=kind: send(address, body, kind), range(n_bodies)))
            rates[form] = body_rows * n_bodies / (time.perf_counter() - started)
    return up, rates


def send(address: str, body: bytes, kind: str) -> list[dict[str, object]]:
    """Send a body and give the predictions."""
    request = urllib.request.Request(address, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions: list[dict[str, object]] = json.load(answer)["predictions"]
    return predictions


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="such as models:/tgsr-V-N@champion, or a model's folder")
    parser.add_argument("--rows", type=int, default=24, help="rows a body")
    parser.add_argument("--bodies", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    first, again = time_loading(given.model)
    print(f"loading: {first:.2f} s in a new process, {again:.3f} s again")
    for rows in (1, given.rows):
        print(f"{rows} rows from Python: {time_rows(given.model, rows):.2f} ms")
    up, rates = time_serving(given.model, given.rows, given.bodies, given.workers)
    print(f"served by {given.workers} workers, up after {up:.1f} s; rows/s in bodies of {given.rows}:")
    for form, rate in rates.items():
        print(f"  {form}: {rate:.0f}")


if __name__ == "__main__":
    main()
