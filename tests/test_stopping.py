"""A stop that is requested ends every solver, whichever thread it runs in and however long it would go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from tgsr.estimators import METHODS, prepare_sweep
from tgsr.solvers import BatchSolver, SolverSettings, solve_direct
from tgsr.solvers.quadratic import bounded_budget_qp, mixture_likelihood
from tgsr.solvers.sparse_regression import Resolvents, Schedule, sparse_regression
from tgsr.stopping import Interrupted, clear_stop, raise_if_stopped, request_stop, stop_requested

ENDLESS = SolverSettings(rho=1.0, tol=1e-300, max_iter=10**9)


@pytest.fixture(autouse=True)
def _no_stop_remains():
    clear_stop()
    yield
    clear_stop()


def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 80)), np.arange(30) % 3, rng.normal(size=(20, 80)) + 0.3


def batch(cells=((2, 0.3),), group_size=20):
    X, codes, target = samples()
    solver = BatchSolver(X, codes, 3, target, np.arange(80) // group_size)
    return lambda: solver.solve(cells, ENDLESS)


def direct():
    X, codes, target = samples()
    problem = BatchSolver(X, codes, 3, target, np.arange(80) // 20).problem
    return lambda: solve_direct(problem, 2, 0.3, ENDLESS)


def regression(width):
    X, _, target = samples()
    kernel = np.vstack([X, target]) @ X.T / 100
    schedule = Schedule(kappa=1.0, growth=1.0, tol=-1.0, max_iter=10**9)
    responses = np.random.default_rng(1).normal(size=(len(X), width))
    resolvents = Resolvents(kernel, kernel.mean(axis=1), 1.0, schedule)
    return lambda: sparse_regression(resolvents, responses, [0.1, 0.2])


def repeated(function, *arguments):
    def work():
        while True:
            function(*arguments)

    return work


def sweep(estimator):
    X, codes, target = samples()
    prepared = prepare_sweep(estimator, X, codes, target)
    return lambda: prepared([{}] * 10**6)


KINDS = {
    "one cell": batch,
    "many cells": lambda: batch([(kappa, xi) for kappa in (1, 2, 3) for xi in (0.0, 0.1, 1, 2, 3, 4, 5, 6)]),
    "small groups": lambda: batch(group_size=2),
    "direct": direct,
    "regression": lambda: regression(3),
    "regression of many responses": lambda: regression(60),
    "weights": lambda: repeated(bounded_budget_qp, np.eye(5), np.ones(5), 1.0, 1.0, 2.0),
    "mixture": lambda: repeated(mixture_likelihood, np.random.default_rng(0).random((9, 4))),
    "SVM": lambda: sweep(METHODS["SVM"].make()),
    "GFK": lambda: sweep(METHODS["GFK"].make()),
    "STM": lambda: sweep(METHODS["STM"].make(tol=1e-300, max_iter=10**9)),
    "a method of one's own": lambda: sweep(DummyClassifier()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_thread_ends_soon_after_a_stop_is_requested(kind):
    work, ended = KINDS[kind](), []

    def run():
        try:
            work()
        except BaseException as error:
            ended.append(type(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive(), ended
    request_stop()
    thread.join(5.0)
    assert ended == [Interrupted]


def test_a_stop_is_kept_until_it_is_cleared():
    raise_if_stopped()
    request_stop()
    assert stop_requested()
    with pytest.raises(KeyboardInterrupt):
        raise_if_stopped()
    clear_stop()
    raise_if_stopped()
    assert not issubclass(Interrupted, Exception)  # `except Exception` would go on


@pytest.mark.parametrize("handled", [False, True], ids=["Python's handler", "a handler that requests a stop"])
def test_an_interrupt_is_heard_in_the_main_thread(handled, tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(
        "import signal, sys\nimport numpy as np\n"
        "from tgsr.solvers import BatchSolver, SolverSettings\nfrom tgsr.stopping import request_stop\n"
        "X = np.random.default_rng(0).normal(size=(30, 80))\n"
        "solver = BatchSolver(X, np.arange(30) % 3, 3, X + 0.3, np.arange(80) // 20)\n"
        "solver.solve([(2, 0.3)])\n"
        f"handler = (lambda *_: request_stop()) if {handled} else signal.default_int_handler\n"
        "signal.signal(signal.SIGINT, handler)\n"
        "print('ready', flush=True)\n"
        "try:\n    solver.solve([(2, 0.3)], SolverSettings(rho=1.0, tol=1e-300, max_iter=10**9))\n"
        "except KeyboardInterrupt as error:\n    print(type(error).__name__)\n    sys.exit(7)\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, said) == (7, "Interrupted\n" if handled else "KeyboardInterrupt\n")
