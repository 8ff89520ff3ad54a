"""A registered model in use: seconds to load it, milliseconds a row from Python, rows a second from MLflow's server.

    mlflow models serve -m models:/tgsr-V-N@champion --env-manager local --port 5001
    python -m studies.bench.serving --model models:/tgsr-V-N@champion --address http://127.0.0.1:5001

The rows that are sent are drawn, and the client writes its bodies beforehand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import timeit
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median

import click
import numpy as np

from tgsr import load_model

_LOADING = "import time; t = time.perf_counter(); import tgsr; tgsr.load_model({!r}); print(time.perf_counter() - t)"


def send(address: str, body: bytes) -> None:
    """Send a body and read the predictions."""
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["predictions"]


@click.command()
@click.option("--model", "uri", required=True, help="Such as models:/tgsr-V-N@champion, or a model's folder.")
@click.option("--address", help="Of a server of this model; without one only Python is measured.")
@click.option("--rows", default=24, show_default=True, help="Rows a body.")
@click.option("--bodies", default=30, show_default=True, help="Bodies of each form.")
@click.option("--workers", default=1, show_default=True, help="Of the server.")
def main(uri: str, address: str | None, rows: int, bodies: int, workers: int) -> None:
    """Measure and print."""
    command = [sys.executable, "-c", _LOADING.format(uri)]
    first = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    again = timeit.repeat(partial(load_model, uri), number=1, repeat=2)[1]
    click.echo(f"loading: {median(first):.2f} s in a new process, {again:.3f} s again")
    model = load_model(uri)
    drawn = np.random.default_rng(0).random((rows, model.header.n_features)) / 59
    for given in (drawn[:1], drawn):
        seconds = median(timeit.repeat(partial(model.predict, given), number=1, repeat=30))
        click.echo(f"{len(given)} rows from Python: {1000 * seconds:.2f} ms")
    if address is None:
        return
    short = [[float(f"{value:.7g}") for value in row] for row in drawn.tolist()]
    # as many clients as workers: one alone would wait for itself
    with ThreadPoolExecutor(workers) as clients:
        for form, sent in (("JSON", drawn.tolist()), ("JSON, 7 digits", short)):
            body = json.dumps({"inputs": sent}).encode()
            send(address, body)
            started = time.perf_counter()
            list(clients.map(send, [address] * bodies, [body] * bodies))
            rate = rows * bodies / (time.perf_counter() - started)
            click.echo(f"{form}, {workers} workers: {rate:.0f} rows/s in bodies of {rows}")


if __name__ == "__main__":
    main()
