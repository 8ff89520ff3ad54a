"""The batched solver gives the direct iteration's answers, whatever else is in the batch."""

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import collinear, duplicates, low_rank, near_duplicate_groups

import tgsr.solvers._batch as batch_module
from tgsr.errors import DataError
from tgsr.evaluation.task import mask_target
from tgsr.regions import released_groups
from tgsr.solvers import BatchSolver, SolverSettings, solve_direct


def make_solver(pair, groups=None):
    task = mask_target(pair)
    groups = np.repeat(np.arange(85), 177) if groups is None else groups
    return BatchSolver(task.X, task.y, 3, task.X_target, groups)


CELLS = [(1, 1000.0), (7, 5.0), (20, 0.0), (50, 0.3), (84, 2.0), (85, 0.01)]


@pytest.mark.parametrize("grouping", ["region", "released"])
def test_equals_the_direct_iteration(pair_factory, grouping):
    solver = make_solver(pair_factory(), released_groups() if grouping == "released" else None)
    for (kappa, xi), solution in zip(CELLS, solver.solve(CELLS), strict=True):
        direct = solve_direct(solver.problem, kappa, xi)
        assert (solution.kappa, solution.xi) == (kappa, xi)
        assert solution.n_iter == direct.n_iter
        assert solution.converged == direct.converged
        np.testing.assert_array_equal(solution.group_norms > 0, direct.group_norms > 0)
        scale = np.abs(direct.coef()).max()
        np.testing.assert_allclose(solution.coef(), direct.coef(), rtol=0, atol=2e-9 * scale)
        np.testing.assert_allclose(solution.group_norms, direct.group_norms, rtol=1e-6, atol=1e-10)
        assert solution.objective == pytest.approx(direct.objective, rel=1e-4, abs=1e-9)


def test_decisions_are_the_coefficients_applied_to_the_target(pair_factory):
    pair = pair_factory()
    for solution in make_solver(pair).solve(CELLS):
        np.testing.assert_allclose(solution.target_decisions, pair.target.X @ solution.coef(), atol=1e-8)


def test_equals_the_direct_iteration_with_uneven_groups_and_two_classes():
    rng = np.random.default_rng(5)
    X, target, codes = rng.normal(size=(21, 33)), rng.normal(size=(8, 33)) + 0.5, np.arange(21) % 2
    groups = rng.choice([3, 7, 8, 100, 101], size=33)
    solver = BatchSolver(X, codes, 2, target, groups)
    for kappa in range(1, 6):
        solution, direct = solver.solve([(kappa, 0.7)])[0], solve_direct(solver.problem, kappa, 0.7)
        assert solution.n_iter == direct.n_iter
        np.testing.assert_allclose(solution.coef(), direct.coef(), atol=1e-9 * np.abs(direct.coef()).max())


def test_groups_too_small_for_gram_matrices_are_solved_directly():
    rng = np.random.default_rng(1)
    X, target, codes = rng.normal(size=(40, 60)), rng.normal(size=(30, 60)) + 0.5, np.arange(40) % 3
    solver = BatchSolver(X, codes, 3, target, np.arange(60) // 2)
    assert solver.system is None
    cells = [(30, 1.0), (5, 0.1)]
    for (kappa, xi), solution in zip(cells, solver.solve(cells), strict=True):
        direct = solve_direct(solver.problem, kappa, xi)
        assert (solution.kappa, solution.xi, solution.n_iter) == (kappa, xi, direct.n_iter)
        np.testing.assert_array_equal(solution.coef(), direct.coef())
        np.testing.assert_allclose(solution.target_decisions, target @ direct.coef(), atol=1e-12)


@pytest.mark.parametrize(("n_source", "n_classes"), [(24, 3), (57, 3), (45, 2), (99, 5)])
def test_what_else_is_in_the_batch_does_not_change_a_bit(n_source, n_classes, monkeypatch):
    rng = np.random.default_rng(0)
    X, target = rng.normal(size=(n_source, 120)), rng.normal(size=(9, 120))
    solver = BatchSolver(X, np.arange(n_source) % n_classes, n_classes, target, np.arange(120) // 20)
    cells = [(kappa, xi) for xi in (0.002, 3.0, 500.0) for kappa in (1, 2, 4, 5)]
    together = solver.solve(cells)
    backwards = solver.solve(cells[::-1])[::-1]
    monkeypatch.setattr(batch_module, "BATCH_SIZE", 3)
    in_threes = solver.solve(cells)
    alone = [solver.solve([cell])[0] for cell in cells]
    for reference, *others in zip(alone, together, backwards, in_threes, strict=True):
        for other in others:
            assert (other.n_iter, other.objective) == (reference.n_iter, reference.objective)
            np.testing.assert_array_equal(other.coef(), reference.coef())
            np.testing.assert_array_equal(other.target_decisions, reference.target_decisions)


@pytest.mark.parametrize("kernels", [pytest.param(name, marks=pytest.mark.faults) for name in ("Haswell", "Nehalem")])
def test_nor_does_it_with_the_kernels_of_other_processors(kernels):
    """OpenBLAS has kernels that treat the last columns of a product apart: here those of older x86 processors."""
    test = f"{__file__}::{test_what_else_is_in_the_batch_does_not_change_a_bit.__name__}[57-3]"
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("group_size", [2, 20], ids=["small groups", "groups"])
def test_labels_of_a_cells_own_give_the_bits_of_a_fresh_problem(group_size):
    rng = np.random.default_rng(2)
    X, target, groups = rng.normal(size=(40, 80)), rng.normal(size=(13, 80)), np.arange(80) // group_size
    cells = [(kappa, xi) for xi in (0.0, 0.3, 40.0) for kappa in (1, 2, 4)]
    # each with another draw of labels, some of two classes only
    codes = [rng.integers(0, 2 + index % 2, 40) for index in range(len(cells))]
    shared = BatchSolver(X, np.zeros(40, dtype=int), 3, target, groups).solve(cells, codes=codes)
    for cell, own, solution in zip(cells, codes, shared, strict=True):
        (fresh,) = BatchSolver(X, own, 3, target, groups).solve([cell])
        assert (solution.n_iter, solution.objective, solution.lam) == (fresh.n_iter, fresh.objective, fresh.lam)
        np.testing.assert_array_equal(solution.target_decisions, fresh.target_decisions)
        np.testing.assert_array_equal(solution.source_decisions, fresh.source_decisions)
        np.testing.assert_array_equal(solution.coef(), fresh.coef())


@pytest.mark.parametrize("wrong", [np.zeros(39, dtype=int), np.full(40, 3), np.full(40, -1)])
def test_labels_of_a_cells_own_that_do_not_fit_are_refused(wrong):
    X = np.random.default_rng(0).normal(size=(40, 80))
    solver = BatchSolver(X, np.arange(40) % 3, 3, None, np.arange(80) // 20)
    with pytest.raises(DataError, match=r"40 integers in 0…2"):
        solver.solve([(1, 0.0)], codes=[wrong])


@pytest.mark.parametrize("kind", [low_rank, duplicates, collinear, near_duplicate_groups])
def test_decisions_for_the_source_are_the_coefficients_applied_to_it(kind):
    X, codes, target, groups = kind(np.random.default_rng(3))
    solver = BatchSolver(X, codes, 3, target, groups)
    assert solver.system is not None
    for solution in solver.solve([(1, 0.1), (2, 3.0), (len(np.unique(groups)), 0.5)]):
        size = max(np.abs(X).max() * np.abs(solution.coef()).max(), 1e-300)
        np.testing.assert_allclose(solution.source_decisions, X @ solution.coef(), rtol=0, atol=1e-9 * size)


def test_threads_get_what_one_thread_gets(pair_factory):
    solver = make_solver(pair_factory())
    with ThreadPoolExecutor(2) as pool:
        threaded = [found[0] for found in pool.map(lambda cell: solver.solve([cell]), CELLS)]
    for solution, expected in zip(threaded, solver.solve(CELLS), strict=True):
        np.testing.assert_array_equal(solution.coef(), expected.coef())


def test_same_call_gives_the_same_bytes(pair_factory):
    pair = pair_factory()
    first, second = ([s.coef().tobytes() for s in make_solver(pair).solve(CELLS)] for _ in range(2))
    assert first == second


def test_products_are_left_out_and_the_answer_is_the_same(pair_factory, monkeypatch):
    """The bound saves products; without any saving the result is the same to the last bit."""
    solver = make_solver(pair_factory())
    cells = [(2, xi) for xi in np.geomspace(0.1, 1, 8)]
    sparing = solver.solve(cells)
    spared = solver.n_products
    iterations = sum(solution.n_iter for solution in sparing)
    assert spared < 0.8 * 85 * iterations
    monkeypatch.setattr(solver.system, "_reach", np.full(85, np.inf))  # no bound excludes anything
    full = solver.solve(cells)
    assert solver.n_products - spared == 85 * iterations
    for one, other in zip(sparing, full, strict=True):
        np.testing.assert_array_equal(one.coef(), other.coef())


def test_coordinates_are_orthonormal_and_the_bound_on_a_groups_norm_holds(pair_factory):
    system = make_solver(pair_factory()).system
    loose, tight = (system.arrays(tight=tight) for tight in (False, True))
    width = np.linalg.matrix_rank(tight.gram.sum(axis=0))
    np.testing.assert_allclose(tight.gram.sum(axis=0)[:width, :width], np.eye(width), atol=1e-12)
    norms = [np.linalg.norm(system.basis[first:end], 2) for first, end in itertools.pairwise(tight.starts)]
    np.testing.assert_allclose(tight.reach, norms, rtol=1e-9)
    assert (loose.reach >= tight.reach * (1 - 1e-12)).all()


def test_norms_are_computed_anew_where_their_sums_are_spoilt(pair_factory):
    task = mask_target(pair_factory())
    solver = BatchSolver(1e4 * task.X, task.y, 3, 1e4 * task.X_target, np.repeat(np.arange(85), 177))
    for (kappa, xi), solution in zip(CELLS, solver.solve(CELLS), strict=True):
        direct = solve_direct(solver.problem, kappa, xi)
        assert solution.n_iter == direct.n_iter
        np.testing.assert_array_equal(solution.group_norms > 0, direct.group_norms > 0)
        np.testing.assert_allclose(solution.coef(), direct.coef(), rtol=0, atol=1e-7 * np.abs(direct.coef()).max())


def test_running_out_of_iterations_is_told(pair_factory):
    solution = make_solver(pair_factory()).solve([(5, 1.0)], SolverSettings(max_iter=4))[0]
    assert (solution.n_iter, solution.converged) == (4, False)


def test_long_runs_outgrow_the_first_history(pair_factory):
    # with a slower schedule a fit takes more iterations than the history starts with
    solver, slower = make_solver(pair_factory()), SolverSettings(rho=1.03)
    solution, direct = solver.solve([(1, 0.1)], slower)[0], solve_direct(solver.problem, 1, 0.1, slower)
    assert solution.n_iter == direct.n_iter > 256
    np.testing.assert_allclose(solution.coef(), direct.coef(), atol=1e-9 * np.abs(direct.coef()).max())


def test_identical_groups_tie_and_none_is_kept():
    # the (κ + 1)-th norm equals the first: the threshold removes both
    block = np.random.default_rng(0).normal(size=(6, 4))
    X = np.hstack([block, block])
    solver = BatchSolver(X, np.arange(6) % 2, 2, None, np.repeat([0, 1], 4))
    solution = solver.solve([(1, 0.0)])[0]
    assert not solution.complete
    assert not solution.group_norms.any()
    assert not solution.coef().any()
    np.testing.assert_array_equal(solution.target_decisions, np.empty((0, 2)))
