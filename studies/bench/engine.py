"""What tracking and a cluster cost over the bare grid, and whether kills lose or repeat a trial.

    python -m studies.bench.engine cost  --data DIR --home DIR [--every 10] [--scheduler tcp://…]
    python -m studies.bench.engine kills --data DIR --home DIR [--count 20] [--every 45]

``cost`` runs V→N's grid (oracle, released groups) untracked, tracked with every matrix, and untracked again, so that
the ratio does not depend on how busy the machine is; then the finished study once more. ``kills`` kills the command
(SIGKILL) at random moments of a study of 500 cells, starts it again, and compares the end with an undisturbed one.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from tgsr.study.options import StudyOptions
from tgsr.trials.spec import StudySpec, make_spec
from tgsr.study.running import run_study
from tgsr.datasets import DatabasePair, load_pair
from tgsr.protocols import XIS
from tgsr.tracking.config import open_client, resolve_config
from tgsr.tracking.reading import list_studies, read_artifact, read_trials

_KILLS: dict[str, list[Any]] = {"kappa": list(range(1, 86, 17)), "xi": [float(xi) for xi in XIS[:200:2]]}


def main() -> None:
    """Run one of the benchmarks and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cost", "kills"])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th ξ")
    parser.add_argument("--scheduler", help="fit the tracked study on a cluster instead of threads")
    parser.add_argument("--count", type=int, default=20, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pair = load_pair("V", "N", given.data)
    if given.what == "cost":
        _cost(pair, given)
    else:
        _kills(pair, given)


def _spec(pair: DatabasePair, axes: dict[str, list[Any]]) -> StudySpec:
    return make_spec(pair, selection="oracle", grouping="released", axes=axes)


def _cost(pair: DatabasePair, given: argparse.Namespace) -> None:
    config = resolve_config(given.home)
    spec = _spec(pair, {"xi": [float(xi) for xi in XIS[:: given.every]]})
    n_trials = len(spec.cells())

    def timed(name: str, sink: str, **more: Any) -> float:
        options = StudyOptions(config, str(given.data), progress=False, page=False, **more)
        started = time.perf_counter()
        run_study(spec, pair, options, sink)
        seconds = time.perf_counter() - started
        print(f"{name:28s} {seconds:7.1f} s  {1e3 * seconds / n_trials:6.2f} ms a trial", flush=True)
        return seconds

    before = timed("untracked", "csv", out=given.home / "before.csv")
    tracked = timed("tracked", "mlflow", scheduler=given.scheduler)
    after = timed("untracked", "csv", out=given.home / "after.csv")
    timed("finished, started again", "mlflow")
    print(f"tracked / untracked: {2 * tracked / (before + after):.2f}")


def _kills(pair: DatabasePair, given: argparse.Namespace) -> None:
    axes = ",".join(map(str, _KILLS["kappa"])), ",".join(map(repr, _KILLS["xi"]))
    spec = _spec(pair, _KILLS)
    whole = run_study(spec, pair, StudyOptions(resolve_config(given.home / "whole"), str(given.data), page=False))
    home, draw = given.home / "killed", random.Random(given.seed)
    command = [sys.executable, "-m", "tgsr", "study", "--experiment", "V-N", "--data", str(given.data), "--quiet"]
    command += ["--selection", "oracle", "--grouping", "released", "--kappas", axes[0], "--xis", axes[1]]
    command += ["--batch", "5", "--home", str(home)]
    client = open_client(resolve_config(home).tracking_uri)
    for kill in range(given.count):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        wanted = draw.randint(1, 2 * len(spec.cells()) // given.count)
        there = _n_trials(client)
        while process.poll() is None and _n_trials(client) < there + wanted:
            time.sleep(draw.random() / 20)
        process.kill()
        process.wait()
        print(f"kill {kill + 1}: {_n_trials(client)} trials", flush=True)
    subprocess.run(command, check=True)
    (study,) = list_studies(client)
    table = read_trials(client, study.run_id, stored_table=False)
    drop = ["run_id", "fit_seconds", "cell"]
    expected = whole.table.drop(columns=drop)
    pd.testing.assert_frame_equal(table.drop(columns=drop, errors="ignore"), expected, check_exact=True)
    runs = _states(client)
    plain = open_client(resolve_config(given.home / "whole").tracking_uri)
    same = read_artifact(client, str(study.best_run_id), "coefficients.npz") == read_artifact(
        plain, str(whole.best.row["run_id"]), "coefficients.npz"
    )
    print(
        f"{len(table)} trials of {len(spec.cells())}, the table exactly equal; states {runs}; best matrix equal: {same}"
    )


def _n_trials(client: Any) -> int:
    return sum(_states(client).values())


def _states(client: Any) -> dict[str, int]:
    """Active runs by state, straight from the database."""
    import sqlite3

    path = str(client.tracking_uri).removeprefix("sqlite:///")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as connection:
        rows = connection.execute("SELECT status, count(*) FROM runs WHERE lifecycle_stage='active' GROUP BY status")
        return {str(state): int(count) for state, count in rows}


if __name__ == "__main__":
    main()
