"""How fast is the batched solver? Fits per second against the direct iteration, in the same run.

Generated histograms stand for the data (fits per second hardly depend on their values); with ``--data`` experiments of
a folder are measured instead. Run with one BLAS thread: ``OPENBLAS_NUM_THREADS=1 python -m studies.bench.solver``.
"""

from __future__ import annotations

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
from tgsr.evaluation import mask_target
from tgsr.protocols import get_experiment
from tgsr.regions import released_groups
from tgsr.solvers import BatchSolver, solve_direct

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
        f"{label:24s} {jobs:4d} {1e3 * direct_step:10.2f} {1e3 * fit:8.2f} {1 / fit:8.1f} {direct_fit / fit:8.1f} "
        f"{products / (problem.n_groups * iterations):9.2f} {flops / gemm_rate() / jobs / fit:9.2f}"
    )


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with feature files; default: generated data.")
@click.option("--experiment", "names", multiple=True, default=("V-N", "C-V"), help="Experiments in that folder.")
@click.option("--jobs", default="1,2", help="Numbers of threads.")
@click.option("--direct-fits", default=9, help="Fits of the direct iteration to time.")
def main(data: Path | None, names: tuple[str, ...], jobs: str, direct_fits: int) -> None:
    """Measure the solver."""
    with threadpool_limits(limits=1, user_api="blas"):
        click.echo(f"one thread's matrix product: {gemm_rate() / 1e9:.1f} GFLOP/s")
        click.echo("problem                  jobs  direct it   ms/fit   fits/s × direct  products  of limit")
        if data:
            solvers = {name: experiment_solver(name, data) for name in names}
        else:
            solvers = {f"generated, N_s = {n}": generated_solver(n, 71) for n in (71, 130, 164)}
        for label, solver in solvers.items():
            for count in jobs.split(","):
                measure(solver, label, int(count), direct_fits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    click.echo(f"peak memory of this process: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
