"""How fast is the batched solver? Fits per second against the direct iteration, in the same run.

Generated histograms stand for the data (fits per second hardly depend on their values); with ``--data`` a released or
own experiment is measured instead. Run with one BLAS thread: ``OPENBLAS_NUM_THREADS=1 python -m studies.bench.solver``.
"""

from __future__ import annotations

import itertools
import resource
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.datasets import load_pair
from tgsr.estimators._groups import feature_groups
from tgsr.evaluation.task import mask_target
from tgsr.protocols import get_experiment
from tgsr.solvers import BatchSolver, solve_direct

__all__: list[str] = []

_KAPPAS = range(1, 86)
_XIS = (0.002, 0.3, 40.0)


def generated_solver(n_source: int, n_target: int) -> BatchSolver:
    """A solver on generated histograms: 85 regions × 3 planes × 59 bins."""
    rng = np.random.default_rng(0)
    codes = np.arange(n_source) % 3
    shapes = rng.gamma(0.5, size=(4, 85, 3, 59))

    def sample(labels: npt.NDArray[np.intp], shift: float) -> npt.NDArray[np.float64]:
        values = shapes[3] + 0.2 * shapes[labels] + shift * rng.gamma(0.5, size=(85, 3, 59))
        values = values + 0.3 * rng.gamma(0.5, size=(len(labels), 85, 3, 59))
        return np.asarray(values / values.sum(axis=-1, keepdims=True)).reshape(len(labels), -1)

    source, target = sample(codes, 0.0), sample(np.arange(n_target) % 3, 0.3)
    return BatchSolver(source, codes, 3, target, np.arange(source.shape[1]) // (3 * 59))


def released_solver(name: str, data: Path, grouping: str, held_out: slice | None = None) -> BatchSolver:
    """The solver of an experiment; with samples held out, as cross-validation on the source has it."""
    experiment = get_experiment(name)
    task = mask_target(load_pair(experiment.source, experiment.target, data))
    groups = feature_groups(grouping, task.X.shape[1])
    if held_out is None:
        return BatchSolver(task.X, task.y, 3, task.X_target, groups)
    kept = np.delete(np.arange(len(task.X)), held_out)
    return BatchSolver(task.X[kept], task.y[kept], 3, task.X_target, groups, X_new=task.X[held_out])


def gemm_rate() -> float:
    """Floating-point operations a second of a large matrix product on one thread."""
    matrix = np.random.default_rng(0).random((1200, 1200))
    return 2 * 1200**3 / min(timeit.repeat(lambda: matrix @ matrix, timer=time.process_time, number=1, repeat=5))


def measure(solver: BatchSolver, label: str, jobs: int, direct_fits: int) -> None:
    """Print a row: direct and batched milliseconds a fit, their ratio, and the share of the floating-point limit."""
    problem = solver.problem
    clock = time.process_time if jobs == 1 else time.perf_counter  # other work on the machine counts less
    rng = np.random.default_rng(1)
    cells = [(kappa, xi) for xi in _XIS for kappa in _KAPPAS]
    solver.solve([(3, 0.1), (40, 0.2)])  # compiles, warms up
    sample = [cells[index] for index in rng.choice(len(cells), direct_fits, replace=False)]
    # direct and batched alternate, so that a slow moment of the machine hits both
    direct_seconds, direct_iterations, batched, iterations = 0.0, 0, 0.0, 0
    before = solver.n_products
    for index, xi in enumerate(_XIS):
        for kappa, its_xi in sample[index :: len(_XIS)]:
            started = clock()
            direct_iterations += solve_direct(problem, kappa, its_xi).n_iter
            direct_seconds += clock() - started
        part = [(kappa, xi) for kappa in _KAPPAS]
        parts = [part[job::jobs] for job in range(jobs)]
        started = clock()
        with ThreadPoolExecutor(jobs) as pool:
            solutions = [solution for found in pool.map(solver.solve, parts) for solution in found]
        batched += clock() - started
        iterations += sum(solution.n_iter for solution in solutions)
    products = solver.n_products - before
    n = problem.rows.shape[1]
    flops = 2 * n * n * problem.n_classes
    direct_step = direct_seconds / direct_iterations
    direct_fit = direct_step * iterations / len(cells) / jobs  # the direct iteration on as many cores, perfectly split
    fit = batched / len(cells)
    limit = flops * problem.n_groups * iterations / len(cells) / gemm_rate() / jobs
    click.echo(
        f"{label:24s} {jobs:4d} {1e3 * direct_step:10.2f} {1e3 * fit:8.2f} {1 / fit:8.1f} {direct_fit / fit:8.1f} "
        f"{products / (problem.n_groups * iterations):9.2f} {limit / fit:9.2f}"
    )


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with feature files; default: generated data.")
@click.option("--experiment", "names", multiple=True, default=("V-N", "C-V"), help="Experiments in that folder.")
@click.option("--grouping", default="released", help="Grouping for those.")
@click.option("--jobs", default="1,2", help="Numbers of threads.")
@click.option("--direct-fits", default=9, help="Fits of the direct iteration to time.")
@click.option("--folds", is_flag=True, help="What cross-validation on the source costs, in fits of the whole source.")
def main(data: Path | None, names: tuple[str, ...], grouping: str, jobs: str, direct_fits: int, folds: bool) -> None:
    """Measure the solver."""
    with threadpool_limits(limits=1, user_api="blas"):
        if folds and data:
            for name in names:
                _cost_of_folds(name, data, grouping)
            return
        click.echo(f"one thread's matrix product: {gemm_rate() / 1e9:.1f} GFLOP/s")
        click.echo(
            f"{'problem':24s} {'jobs':>4s} {'direct it':>10s} {'ms/fit':>8s} {'fits/s':>8s} {'× direct':>8s} "
            f"{'products':>9s} {'of limit':>9s}"
        )
        solvers = (
            {name: released_solver(name, data, grouping) for name in names}
            if data
            else {f"generated, N_s = {n}": generated_solver(n, 71) for n in (71, 130, 164)}
        )
        for label, solver in solvers.items():
            for count in jobs.split(","):
                measure(solver, label, int(count), direct_fits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    click.echo(f"peak memory of this process: {peak:.2f} GiB")


def _cost_of_folds(name: str, data: Path, grouping: str, n_folds: int = 5, rounds: int = 5) -> None:
    """Processor time of a cell with its folds, against the cell alone, in alternating rounds."""
    whole = released_solver(name, data, grouping)
    edges = np.linspace(0, whole.problem.rows.shape[1] - 1, n_folds + 1).astype(int)
    folds = [released_solver(name, data, grouping, slice(*ends)) for ends in itertools.pairwise(edges)]
    cells = [(kappa, 0.3) for kappa in _KAPPAS]
    seconds = np.zeros((rounds, n_folds + 1))
    for row in seconds:
        for index, solver in enumerate((whole, *folds)):
            started = time.process_time()
            solver.solve(cells)
            row[index] = time.process_time() - started
    alone, *of_folds = seconds.min(axis=0)
    ratio = 1 + sum(of_folds) / alone
    click.echo(f"{name}: {1e3 * alone / len(cells):.2f} ms a cell, with {n_folds} folds {ratio:.2f} times that")


if __name__ == "__main__":
    main()
