"""What tracking, rules and a cluster cost over the bare grid, and whether kills lose or repeat anything.

    python -m studies.bench.study cost  --data DIR --home DIR [--every 10] [--scheduler tcp://…]
    python -m studies.bench.study kills --data DIR --home DIR [--count 20]

``cost`` runs V→N's grid (released groups) three times: untracked with scores alone, tracked with every matrix and the
values of all rules that every trial has, and untracked again, so that the ratio does not depend on how busy the machine
is; then the finished study once more, and with another choice. ``kills`` kills the command (SIGKILL) at random moments
of a study of 4,607 cells, and then of a pass that adds a rule, starts it again, and compares the end with an
undisturbed one.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from tgsr.datasets import load_pair
from tgsr.protocols import XIS
from tgsr.study import RunOptions, TrackingConfig, grid_table, make_spec, resolve_config, run_studies
from tgsr.study.loading import load_study
from tgsr.tracking.client import open_client

_KILLS: dict[str, list[Any]] = {"kappa": list(range(1, 86, 5)), "xi": [float(xi) for xi in XIS]}
"""The grid of `kills`: trials are written some 256 at a time, and each kill should find some new ones and some left."""


@click.group()
def main() -> None:
    """Run one of the benchmarks and print its figures."""


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--home", required=True, type=click.Path(path_type=Path))
@click.option("--every", default=1, help="Take every n-th ξ.")
@click.option("--scheduler", help="Fit the tracked study on a cluster instead of threads.")
def cost(data: Path, home: Path, every: int, scheduler: str | None) -> None:
    """Tracked against untracked."""
    config, pair = resolve_config(home), load_pair("V", "N", data)
    spec = make_spec(pair, grouping="released", axes={"xi": [float(xi) for xi in XIS[::every]]})
    n_trials = len(spec.cells())

    def timed(name: str, call: Any) -> tuple[float, float]:
        # processor time of all threads: on a busy machine it is what stays the same
        started, used = time.perf_counter(), time.process_time()
        call()
        seconds, used = time.perf_counter() - started, time.process_time() - used
        click.echo(f"{name:28s} {seconds:7.1f} s  {1e3 * seconds / n_trials:6.2f} ms a trial; processor {used:7.1f} s")
        return seconds, used

    def track(**more: Any) -> Any:
        return lambda: run_studies([(spec, pair, RunOptions(config, str(data), progress=False, **more))])

    before = timed("untracked", lambda: grid_table(spec, pair, home / "before.csv", progress=False))
    tracked = timed("tracked, with four rules", track(scheduler=scheduler))
    after = timed("untracked", lambda: grid_table(spec, pair, home / "after.csv", progress=False))
    timed("finished, started again", track())
    timed("finished, another choice", track(choose="oracle"))
    ratios = [2 * mine / (first + last) for mine, first, last in zip(tracked, before, after, strict=True)]
    click.echo(f"tracked / untracked: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} in seconds of a processor")


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--home", required=True, type=click.Path(path_type=Path))
@click.option("--count", default=20, help="Kills.")
@click.option("--seed", default=0)
def kills(data: Path, home: Path, count: int, seed: int) -> None:
    """Kill a study, and a pass that adds a rule, again and again."""
    pair = load_pair("V", "N", data)
    spec, draw = make_spec(pair, grouping="released", axes=_KILLS), random.Random(seed)
    plain = resolve_config(home / "whole")
    run_studies([(spec, pair, RunOptions(plain, str(data), rules=("source-cv",), page=False))])
    killed = resolve_config(home / "killed")
    axes = [text for name in ("kappa", "xi") for text in (f"--{name}s", ",".join(map(repr, _KILLS[name])))]
    command = [sys.executable, "-m", "tgsr", "study", "--experiment", "V-N", "--data", str(data), "--quiet"]
    command += ["--grouping", "released", *axes, "--home", str(killed.home)]
    open_client(killed.tracking_uri)
    for extra, key in (([], "macro_f1"), (["--rules", "source-cv"], "rules.source-cv")):
        n_met = 0
        for kill in range(count):
            there = _n_values(killed, key)
            process = subprocess.Popen([*command, *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and _n_values(killed, key) == there:
                time.sleep(0.02)
            time.sleep(draw.random())
            n_met += process.poll() is None
            process.kill()
            process.wait()
            click.echo(f"kill {kill + 1}: {_n_values(killed, key)} values of {key}")
        click.echo(f"{n_met} of {count} kills met the command at work")
        subprocess.run([*command, *extra], check=True)
    drop = ["run_id", "metrics.fit_seconds"]
    table, expected = (load_study(pair="V-N", config=config).table.drop(columns=drop) for config in (killed, plain))
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    with sqlite3.connect(killed.home / "mlflow.db") as connection:
        twice = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM metrics WHERE key LIKE 'rules.%' GROUP BY run_uuid, key "
            "HAVING count(*) > 1)"
        ).fetchone()[0]
    click.echo(f"{len(table)} trials of {len(spec.cells())}, the table exactly equal; values written twice: {twice}")


def _n_values(config: TrackingConfig, key: str) -> int:
    """Runs that have a metric, straight from the database."""
    with sqlite3.connect(f"file:{config.home / 'mlflow.db'}?mode=ro", uri=True, timeout=30) as connection:
        return int(connection.execute("SELECT count(*) FROM latest_metrics WHERE key = ?", (key,)).fetchone()[0])


if __name__ == "__main__":
    main()
