"""How fast is the batched solver? Fits per second against the direct iteration, in the same run.

Run with one BLAS thread: ``OPENBLAS_NUM_THREADS=1 python -m studies.bench.solver --data FOLDER``. Fits per second
hardly depend on the values of the features: those of generated databases do as well.
"""

from __future__ import annotations

import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
from threadpoolctl import threadpool_limits

from tgsr.datasets import load_pair
from tgsr.evaluation import mask_target
from tgsr.protocols import get_experiment
from tgsr.regions import released_groups
from tgsr.solvers import BatchSolver, solve_direct

_KAPPAS = range(1, 86)
_XIS = (0.002, 0.3, 40.0)


def experiment_solver(name: str, data: Path) -> BatchSolver:
    """The solver of an experiment, on the groups of the released records."""
    experiment = get_experiment(name)
    task = mask_target(load_pair(experiment.source, experiment.target, data))
    return BatchSolver(task.X, task.y, 3, task.X_target, released_groups())


def gemm_rate() -> float:
    """Floating-point operations a second of a large matrix product on one thread."""
    matrix = np.random.default_rng(0).random((1200, 1200))
    return 2 * 1200**3 / min(timeit.repeat(lambda: matrix @ matrix, timer=time.process_time, number=1, repeat=5))


def measure(solver: BatchSolver, label: str, jobs: int, direct_fits: int) -> None:
    """Print a row: direct and batched milliseconds a fit, their ratio, and the share of the floating-point limit."""
    problem = solver.problem
    clock = time.process_time if jobs == 1 else time.perf_counter  # other work on the machine counts less
    cells = [(kappa, xi) for xi in _XIS for kappa in _KAPPAS]
    solver.solve([(3, 0.1), (40, 0.2)])  # compiles, warms up
    drawn = np.random.default_rng(1).choice(len(cells), direct_fits, replace=False)
    # direct and batched alternate, so that a slow moment of the machine hits both
    direct_seconds, direct_iterations, batched, iterations = 0.0, 0, 0.0, 0
    before = solver.n_products
    for index, xi in enumerate(_XIS):
        started = clock()
        direct_iterations += sum(solve_direct(problem, *cells[at]).n_iter for at in drawn[index :: len(_XIS)])
        direct_seconds += clock() - started
        part = [(kappa, xi) for kappa in _KAPPAS]
        started = clock()
        with ThreadPoolExecutor(jobs) as pool:
            solved = pool.map(solver.solve, (part[job::jobs] for job in range(jobs)))
            iterations += sum(solution.n_iter for solutions in solved for solution in solutions)
        batched += clock() - started
    products, n = solver.n_products - before, problem.rows.shape[1]
    direct_step, fit = direct_seconds / direct_iterations, batched / len(cells)
    direct_fit = direct_step * iterations / len(cells) / jobs  # the direct iteration on as many cores, perfectly split
    flops = 2 * n * n * problem.n_classes * problem.n_groups * iterations / len(cells)
    click.echo(
        f"{label:8s} {jobs:4d} {1e3 * direct_step:10.2f} {1e3 * fit:8.2f} {1 / fit:8.1f} {direct_fit / fit:8.1f} "
        f"{products / (problem.n_groups * iterations):9.2f} {flops / gemm_rate() / jobs / fit:9.2f}"
    )


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder with feature files.")
@click.option("--experiment", "names", multiple=True, default=("V-N", "C-V"), help="Experiments in that folder.")
@click.option("--jobs", default="1,2", help="Numbers of threads.")
@click.option("--direct-fits", default=9, help="Fits of the direct iteration to time.")
def main(data: Path, names: tuple[str, ...], jobs: str, direct_fits: int) -> None:
    """Measure the solver."""
    with threadpool_limits(limits=1, user_api="blas"):
        click.echo(f"one thread's matrix product: {gemm_rate() / 1e9:.1f} GFLOP/s")
        click.echo("problem  jobs  direct it   ms/fit   fits/s × direct  products  of limit")
        for name in names:
            solver = experiment_solver(name, data)
            for count in jobs.split(","):
                measure(solver, name, int(count), direct_fits)


if __name__ == "__main__":
    main()
