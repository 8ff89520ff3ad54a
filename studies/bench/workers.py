"""How a study grows with its workers on PostgreSQL, and whether kills leave a trace.

    python -m studies.bench.workers --data FOLDER --home FOLDER --postgres postgresql+psycopg://user@host/
    python -m studies.bench.workers --data FOLDER --home FOLDER --kills 10

Workers: the same part of the V→N grid with 1, 2, … worker processes of one thread, Optuna and MLflow in PostgreSQL
(an empty database each is made for every count). Kills: a study of 500 cells, killed (SIGKILL) at random moments
and started again, compared with an undisturbed one.
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

from studies.space import Space
from studies.spec import StudySpec
from studies.study import StudyOptions, run_study
from tgsr.datasets import DatabasePair, load_pair
from tgsr.protocols import XIS, get_experiment
from tgsr.tracking.place import open_client, resolve_place
from tgsr.tracking.reading import list_studies, read_artifact, read_trials


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--postgres", help="URL of a server on which databases can be made")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--every", type=int, default=15, help="take every n-th ξ for the workers")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pair = load_pair(get_experiment("V-N"), given.data)
    if given.kills:
        _kills(pair, given)
    if given.postgres:
        for count in given.workers:
            _grow(pair, given, count)


def _kills(pair: DatabasePair, given: argparse.Namespace) -> None:
    spec = _spec(pair, Space(tuple(range(1, 51)), tuple(XIS[::28].tolist())))
    plain = resolve_place(Path(given.home) / "undisturbed")
    expected = run_study(spec, pair, StudyOptions(plain, given.data, batch=10, progress=False))
    home = Path(given.home) / "killed"
    command = ["study", "--experiment", "V-N", "--data", given.data, "--selection", "oracle", "--home", str(home)]
    command += ["--grouping", "released", "--kappas", "1-50", "--quiet", "--batch", "10"]
    command += ["--xis", ",".join(map(repr, spec.space.xis))]
    rng = random.Random(given.seed)
    moments = sorted(rng.sample(range(len(spec.space.cells())), given.kills))
    killed = 0
    for moment in moments:
        process = _start(command)
        while _finished(home / "optuna.journal") <= moment and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is None:
            time.sleep(rng.uniform(0.0, 0.3))
            process.kill()
            killed += 1
        process.wait()
    _start(command).wait()
    client = open_client(resolve_place(home).tracking_uri)
    (study,) = list_studies(client)
    table = read_trials(client, study.run_id, stored_table=False)
    columns = [name for name in table.columns if name not in ("trial", "run_id", "fit_seconds")]
    mine, theirs = (frame[columns].sort_values(["kappa", "xi"], ignore_index=True) for frame in (table, expected.table))
    same = read_artifact(client, str(study.best_run_id), "coefficients.npz") == read_artifact(
        open_client(plain.tracking_uri), str(expected.best["run_id"]), "coefficients.npz"
    )
    exact = mine.drop(columns="objective").equals(theirs.drop(columns="objective"))
    difference = (mine["objective"] / theirs["objective"] - 1).abs().max()
    print(f"{killed} kills: {len(table)} trials; tables equal: {exact} (objective to {difference:.1e}), matrix: {same}")


def _finished(journal: Path) -> int:
    """Finished trials, by the journal's records of a trial's end."""
    return journal.read_bytes().count(b'"op_code":6') if journal.exists() else 0


def _grow(pair: DatabasePair, given: argparse.Namespace, count: int) -> None:
    import psycopg

    server = given.postgres.rstrip("/")
    names = [f"{kind}_{count}_{os.getpid()}" for kind in ("optuna", "mlflow")]
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")
    storage, tracking = (f"{server}/{name}" for name in names)
    spec = _spec(pair, Space(xis=tuple(XIS[:: given.every].tolist())))
    place = resolve_place(Path(given.home) / f"workers-{count}", tracking)
    client = open_client(tracking)
    options = StudyOptions(place, given.data, storage=storage, progress=False, jobs=1, batch=16)
    # the study is set up without a trial, so that only the workers' time counts
    _set_up(spec, pair, options, client)
    command = ["worker", "--study", spec.name, "--storage", storage, "--tracking-uri", tracking]
    command += ["--data", given.data, "--batch", "16", "--quiet", "--home", str(place.home)]
    started = time.perf_counter()
    for process in [_start(command) for _ in range(count)]:
        process.wait()
    seconds = time.perf_counter() - started
    (study,) = list_studies(client)
    table = read_trials(client, study.run_id, stored_table=False)
    cells = set(zip(table["kappa"].tolist(), table["xi"].tolist(), strict=True))
    exact = cells == set(spec.space.cells()) and len(table) == len(cells)
    print(f"{count} workers: {len(table)} trials, every cell once: {exact}, {len(table) / seconds:.1f} trials/s")


def _set_up(spec: StudySpec, pair: DatabasePair, options: StudyOptions, client: Any) -> None:
    from studies.storage import open_storage
    from studies.study import open_study, open_study_run

    open_study_run(spec, pair, open_study(spec, open_storage(options.storage_url)), client, options)


def _spec(pair: DatabasePair, space: Space) -> StudySpec:
    return StudySpec("V-N", pair.source.digest, pair.target.digest, space, selection="oracle", grouping="released")


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "tgsr", *command], env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
