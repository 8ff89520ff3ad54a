"""What says that it has converged has the labels of a thousandth of its tolerances: all methods, one property.

README.md of tgsr/estimators has the table for whole grids; here they are thinned.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from tgsr.datasets import import_features, load_pair
from tgsr.estimators import METHODS, TaskShape, prepare_sweep
from tgsr.estimators.methods import expand_grid
from tgsr.evaluation import mask_target
from tgsr.protocols import get_experiment
from tgsr.solvers import sparse_regression

TIE = {"TGSR": 1e-4, "DRLS": 2e-4}
"""Both iterations are published with a tolerance, which settles scores to this: of closer ones the label is open."""

each_method = pytest.mark.parametrize("name", METHODS)


@dataclass
class Compared:
    """How many settings were tried and say they have converged, and those of these whose labels change."""

    tried: int = 0
    converged: int = 0
    silent: list[Any] = field(default_factory=list)


def compare_tolerances(monkeypatch, name, X, y, X_target, groups, n_cells, published=True) -> Compared:
    """A method's grid, thinned to at most so many settings, at its tolerances and at a thousandth of all of them."""
    method = METHODS[name]
    grid = expand_grid(method.param_grid(TaskShape(len(X), len(X_target), int(np.max(groups)) + 1, published)))
    grid = grid[:: -(-len(grid) // n_cells)]
    fixed = {"groups": groups} if name == "TGSR" else {}

    def outcomes(grid, **tolerance):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return prepare_sweep(method.make(**fixed, **tolerance), X, y, X_target)(grid)

    with monkeypatch.context() as sooner:
        sooner.setattr("tgsr.estimators._kernel_svm._MAX_ITER", 1_000_000)  # what needs more need not be waited for
        usual = [one for one in outcomes(grid) if one.metrics["converged"]]
    settled = [one.settings for one in usual]
    defaults = method.estimator().get_params()
    with monkeypatch.context() as tighter:
        tighter.setattr("tgsr.estimators._kernel_svm._TOL", 1e-9)
        tighter.setattr("tgsr.solvers.quadratic._QP_TOL", 1e-13)
        tighter.setattr("tgsr.solvers.quadratic._GAP", 1e-14)
        schedule = partial(sparse_regression.Schedule, tol=sparse_regression.Schedule.tol / 1000)
        tighter.setattr(sparse_regression, "Schedule", schedule)
        tight = outcomes(settled, **({"tol": defaults["tol"] / 1000} if "tol" in defaults else {}))
    found = Compared(len(grid), len(settled))
    for one, reference in zip(usual, tight, strict=True):
        best_two = np.sort(reference.decisions, axis=1)[:, -2:]
        clear = np.diff(best_two, axis=1)[:, 0] > TIE.get(name, 0.0)
        if (one.codes != reference.codes)[clear].any():
            found.silent.append(one.settings)
    return found


@each_method
def test_on_generated_domains(monkeypatch, domains, name):
    X, y, X_target = domains
    found = compare_tolerances(monkeypatch, name, X, y, X_target, np.arange(200) // 20, 12)
    assert found.silent == []
    assert found.converged >= 1


@pytest.mark.slow
@pytest.mark.released
@each_method
def test_on_the_released_features(monkeypatch, released, name):
    if name == "TSRG":
        pytest.skip("a fit of TSRG on 15,045 features takes a minute: it is on the external features")
    for experiment in map(get_experiment, ("V-N", "N-V", "V-C")):
        task = mask_target(load_pair(experiment.source, experiment.target, released))
        groups = np.repeat(np.arange(85), 177)
        assert compare_tolerances(monkeypatch, name, task.X, task.y, task.X_target, groups, 12).silent == []


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.parametrize("kind", ["lbp_top", "hoof"])
@pytest.mark.parametrize("scaled", [False, True], ids=["raw", "standardised"])
@each_method
def test_on_features_of_other_extractors(monkeypatch, external, name, kind, scaled):
    source, target = (import_features(external / f"{kind}_{database}.npz", database) for database in ("SAMM", "CASME2"))
    X, X_target = (StandardScaler().fit_transform(side.X) if scaled else side.X for side in (source, target))
    found = compare_tolerances(monkeypatch, name, X, source.known_labels, X_target, source.groups, 10, published=False)
    assert found.silent == []
