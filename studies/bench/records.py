"""Every row of the authors' records, solved again: equal or not.

A record holds κ, ξ, accuracy and macro-F1 of one experiment's whole grid (some ξ twice); grouping ``released``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import scipy.io
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tgsr.datasets import load_pair
from tgsr.errors import MissingDataError
from tgsr.evaluation import mask_target, score_batch
from tgsr.protocols import EXPERIMENTS, Experiment
from tgsr.regions import released_groups
from tgsr.solvers import BatchSolver


def is_equal(experiment: Experiment, record_path: Path, data: Path, every: int, jobs: int) -> bool:
    """Solve a record's cells at every n-th ξ; print how many rows are equal, and return whether all are."""
    record = scipy.io.loadmat(record_path)["Acc"]
    pair = load_pair(experiment.source, experiment.target, data)
    task, labels = mask_target(pair), pair.target.known_labels
    solver = BatchSolver(task.X, task.y, 3, task.X_target, released_groups())

    def equal_rows(xi: float) -> tuple[int, int, int]:
        rows = record[record[:, 1] == xi]
        solutions = solver.solve([(int(kappa), float(xi)) for kappa in rows[:, 0]])
        scores = score_batch(labels, np.array([solution.target_decisions.argmax(axis=1) for solution in solutions]), 3)
        found = np.column_stack([scores.accuracy, scores.macro_f1])
        equal = np.isclose(found, rows[:, 2:4], rtol=0, atol=1e-12)
        return len(rows), int(equal[:, 0].sum()), int(equal[:, 1].sum())

    xis = np.unique(record[:, 1])[::every]
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(jobs) as pool:
        counts = np.array(list(tqdm(pool.map(equal_rows, xis), total=len(xis), unit="ξ", desc=experiment.name)))
    total, accuracies, macro_f1s = counts.sum(axis=0)
    click.echo(f"{experiment.name}: {total} rows, accuracy equal in {accuracies}, macro-F1 in {macro_f1s}")
    return bool(accuracies == macro_f1s == total)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with features and records.")
@click.option("--every", default=1, help="Compare every n-th ξ only.")
@click.option("--jobs", default=2, help="Threads.")
def main(data: Path, every: int, jobs: int) -> None:
    """Compare every record of the folder whose databases are there."""
    equal = {}
    for experiment in EXPERIMENTS:
        for path in data.glob(f"Acc_record_*_{experiment.source}_{experiment.target}_*.mat"):
            try:
                equal[experiment.name] = is_equal(experiment, path, data, every, jobs)
            except MissingDataError as error:
                click.echo(f"{experiment.name}: left out ({error})")
    different = [name for name, same in equal.items() if not same]
    if not equal:
        raise SystemExit(f"{data} holds no record (Acc_record_…_<source>_<target>_….mat) with its databases")
    raise SystemExit(f"different: {', '.join(different)}" if different else 0)


if __name__ == "__main__":
    main()
