"""The batched solver gives the direct iteration's answers, whatever else is in the batch."""

import numpy as np
import pytest

import tgsr.solvers.batch as batch_module
from tgsr.evaluation.runner import mask_target
from tgsr.regions import released_groups
from tgsr.solvers import BatchSolver, Problem, SolverSettings, solve_direct


def make_solver(pair, groups=None, **settings):
    task = mask_target(pair)
    groups = np.repeat(np.arange(85), 177) if groups is None else groups
    return BatchSolver(task.X, task.y, 3, task.X_target, groups, SolverSettings(**settings))


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
        scale = np.abs(direct.coef).max()
        np.testing.assert_allclose(solution.coef(), direct.coef, rtol=0, atol=2e-9 * scale)
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
        np.testing.assert_allclose(solution.coef(), direct.coef, atol=1e-9 * np.abs(direct.coef).max())


@pytest.mark.parametrize("kappa", [3, 19, 20])
def test_correlated_features_far_from_the_size_of_histograms_get_the_direct_iterations_answer(kappa):
    """The running sum behind a group's norm starts from the all-ones matrix, and loses what is far smaller."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(70, 1))
    features = 1e3 * (rng.normal(size=(70, 400)) + 30 * common)
    X, target, codes = features[:40], features[40:], (common[:40, 0] > 0).astype(int)
    solver = BatchSolver(X, codes, 2, target, np.arange(400) // 20)
    assert solver.system is not None
    solution, direct = solver.solve([(kappa, 1.0)])[0], solve_direct(solver.problem, kappa, 1.0)
    assert solution.n_iter == direct.n_iter
    np.testing.assert_array_equal(solution.group_norms > 0, direct.group_norms > 0)
    np.testing.assert_allclose(solution.coef(), direct.coef, rtol=0, atol=1e-9 * np.abs(direct.coef).max())


def test_lost_pairs_leave_the_others_of_their_batch_alone(pair_factory, monkeypatch):
    solver = make_solver(pair_factory())
    expected = solver.solve(CELLS)
    step = batch_module.Slots.step

    def lose(slots):
        step(slots)
        slots.lost[: slots.width] = slots.kappa[: slots.width] == 20

    monkeypatch.setattr(batch_module.Slots, "step", lose)
    for (kappa, xi), given, solution in zip(CELLS, expected, solver.solve(CELLS), strict=True):
        reference = solve_direct(solver.problem, kappa, xi).coef if kappa == 20 else given.coef()
        np.testing.assert_allclose(solution.coef(), reference, rtol=0, atol=1e-9 * np.abs(reference).max())
        assert solution.n_iter == given.n_iter


def test_groups_too_small_for_gram_matrices_are_solved_directly():
    rng = np.random.default_rng(1)
    X, target, codes = rng.normal(size=(40, 60)), rng.normal(size=(30, 60)) + 0.5, np.arange(40) % 3
    solver = BatchSolver(X, codes, 3, target, np.arange(60) // 2)
    assert solver.system is None
    cells = [(30, 1.0), (5, 0.1)]
    for (kappa, xi), solution in zip(cells, solver.solve(cells), strict=True):
        direct = solve_direct(solver.problem, kappa, xi)
        assert (solution.kappa, solution.xi, solution.n_iter) == (kappa, xi, direct.n_iter)
        np.testing.assert_array_equal(solution.coef(), direct.coef)
        np.testing.assert_allclose(solution.target_decisions, target @ direct.coef, atol=1e-12)


def test_what_else_is_in_the_batch_does_not_matter(pair_factory, monkeypatch):
    solver = make_solver(pair_factory())
    cells = [(kappa, xi) for xi in (0.002, 3.0, 500.0) for kappa in (1, 5, 18, 40, 70)]
    together = solver.solve(cells)
    backwards = solver.solve(cells[::-1])[::-1]
    monkeypatch.setattr(batch_module, "BATCH_SIZE", 3)
    in_threes = solver.solve(cells)
    alone = [solver.solve([cell])[0] for cell in cells]
    for reference, *others in zip(alone, together, backwards, in_threes, strict=True):
        for other in others:
            assert other.n_iter == reference.n_iter
            np.testing.assert_array_equal(other.target_codes, reference.target_codes)
            expected = reference.coef()
            np.testing.assert_allclose(other.coef(), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_same_call_gives_the_same_bytes(pair_factory):
    pair = pair_factory()
    first, second = ([s.coef().tobytes() for s in make_solver(pair).solve(CELLS)] for _ in range(2))
    assert first == second


def test_products_are_left_out_and_the_answer_is_the_same(pair_factory):
    """The bound saves products; without any saving the result is the same to the last digit that matters."""
    solver = make_solver(pair_factory())
    sparing = solver.solve([(2, 0.5)])[0]
    spared = solver.n_products
    assert spared < 0.8 * 85 * sparing.n_iter
    solver.system._reach[:] = np.inf  # no bound excludes anything
    full = solver.solve([(2, 0.5)])[0]
    assert solver.n_products - spared == 85 * full.n_iter
    assert full.n_iter == sparing.n_iter
    np.testing.assert_allclose(full.coef(), sparing.coef(), atol=1e-12 * np.abs(full.coef()).max())


def test_the_bound_on_a_groups_norm_holds(pair_factory):
    """G_i ⪯ γ_i²(T + δI): no direction lets a group grow faster than its reach."""
    solver = make_solver(pair_factory())
    rng = np.random.default_rng(0)
    n = solver.system.gram.shape[1]
    candidates = [rng.normal(size=n) for _ in range(20)]
    for gram, reach in zip(solver.system.gram, solver.system.reach, strict=True):
        candidates_here = [*candidates, np.linalg.eigh(gram)[1][:, -1]]
        for direction in candidates_here:
            whole = direction @ solver.system.total @ direction + solver.system.ridge * direction @ direction
            assert direction @ gram @ direction <= reach**2 * whole * (1 + 1e-9)


def test_running_out_of_iterations_is_told(pair_factory):
    solution = make_solver(pair_factory(), max_iter=4).solve([(5, 1.0)])[0]
    assert (solution.n_iter, solution.converged) == (4, False)


def test_long_runs_outgrow_the_first_history(pair_factory):
    # with a slower schedule a fit takes more iterations than the history starts with
    solver = make_solver(pair_factory(), rho=1.03)
    solution, direct = solver.solve([(1, 0.1)])[0], solve_direct(solver.problem, 1, 0.1, solver.settings)
    assert solution.n_iter == direct.n_iter > 256
    np.testing.assert_allclose(solution.coef(), direct.coef, atol=1e-9 * np.abs(direct.coef).max())


def test_identical_groups_tie_and_none_is_kept():
    # the (κ + 1)-th norm equals the first: the threshold removes both
    block = np.random.default_rng(0).normal(size=(6, 4))
    X = np.hstack([block, block])
    solver = BatchSolver(X, np.arange(6) % 2, 2, None, np.repeat([0, 1], 4))
    solution, direct = (
        solver.solve([(1, 0.0)])[0],
        solve_direct(Problem.build(X, np.arange(6) % 2, 2, None, np.repeat([0, 1], 4)), 1, 0.0),
    )
    assert solution.n_iter == direct.n_iter
    np.testing.assert_array_equal(solution.group_norms, direct.group_norms)
    np.testing.assert_array_equal(solution.target_decisions, np.empty((0, 2)))


def test_solutions_are_reported_as_they_are_found(pair_factory):
    seen = []
    solver = make_solver(pair_factory())
    solutions = solver.solve(CELLS, on_solved=seen.append)
    assert {id(solution) for solution in seen} == {id(solution) for solution in solutions}
