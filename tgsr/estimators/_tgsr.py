"""Transfer Group Sparse Regression as a scikit-learn classifier."""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
from joblib import effective_n_jobs
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from tgsr.estimators._base import Array, Codes, TargetSamples, TransferClassifier
from tgsr.estimators._groups import feature_groups, group_scales
from tgsr.estimators.sweep import Outcome, Reverse, Settings, SweepTask
from tgsr.protocols import N_REGIONS, check_kappa, check_xi
from tgsr.solvers import BatchSolver, CellSolution, SolverSettings, project_simplex

__all__ = ["GroupRegression", "TGSRClassifier", "TiedGroupsWarning"]

_log = logging.getLogger(__name__)

_SLOW_RHO = 1.01
"""The penalty hardly grows below this, and the iteration may go on to its limit."""


class TiedGroupsWarning(UserWarning):
    """Fewer than κ groups were kept: the κ-th and the (κ + 1)-th norm are equal, and the threshold removes both."""


class GroupRegression(TransferClassifier):
    """A linear model whose matrix C has groups of rows: what TGSR and a consensus of it share."""

    coef_: Array
    groups_: Codes
    region_norms_: Array
    selected_regions_: Codes

    def _decide(self, X: Array) -> Array:
        decisions: Array = X @ self.coef_.T
        return decisions

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """C^T x projected on the probability simplex, Equ. (8): shape (n, n_classes)."""
        return project_simplex(self._scores(X))


class TGSRClassifier(GroupRegression):
    """Transfer Group Sparse Regression (Jiang et al., ICPR 2022), Algorithm 1 with the corrected sign.

    Parameters
    ----------
    kappa : int
        κ, the number of groups kept: 1 to 85 (with an array of groups: to their number).
    xi : float
        ξ ≥ 0, the weight of the distance between the domains' projected means.
    groups : {"region", "released"} or array of int, shape (n_features,)
        See `tgsr.estimators._groups.feature_groups`.
    scaling : {"none", "norm", "spread"}
        What each group's features are divided by before Algorithm 1, see `tgsr.estimators._groups.group_scales`; the
        paper's is "none".
    mu, rho, mu_max, tol, max_iter, init
        See `SolverSettings`; they are part of the result, because λ follows from κ anew in every iteration.
    n_jobs : int, optional
        Threads of `path`, each with columns of one ξ; −1 for all cores, 1 by default.

    Notes
    -----
    μ, the tolerance and the all-ones start are absolute: features should be of the size of histograms, or standardised.
    With features in the thousands the problem is ill-conditioned, whichever way it is solved.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (n_classes, n_features)
        C^T; it applies to the features as they are given, whatever the scaling.
    groups_ : array of int, shape (n_groups,)
        The groups' numbers, ascending.
    region_norms_ : array of shape (n_groups,)
        ‖C_i‖_F of each of ``groups_``; exactly 0 for those left out.
    selected_regions_ : array of int
        Numbers of the groups kept, ascending.
    complete_ : bool
        Whether κ groups were kept. With norms that are equal, if only up to rounding, it is fewer, and ``fit`` warns
        (`TiedGroupsWarning`).
    n_iter_ : int
    converged_ : bool
    objective_ : float
        Value of Equ. (2) at the solution.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> model = TGSRClassifier(kappa=1, xi=0.1, groups=[3, 7]).fit(X, ["a", "a", "b", "b"], X_target=X + 0.05)
    >>> model.selected_regions_.size
    1
    """

    complete_: bool
    objective_: float

    def __init__(
        self,
        kappa: int = 20,
        xi: float = 1.0,
        groups: str | npt.ArrayLike = "region",
        scaling: str = "none",
        mu: float = 1e-3,
        rho: float = 1.1,
        mu_max: float = 1e15,
        tol: float = 1e-8,
        max_iter: int = 1000,
        init: str = "ones",
        n_jobs: int | None = None,
    ) -> None:
        self.kappa = kappa
        self.xi = xi
        self.groups = groups
        self.scaling = scaling
        self.mu = mu
        self.rho = rho
        self.mu_max = mu_max
        self.tol = tol
        self.max_iter = max_iter
        self.init = init
        self.n_jobs = n_jobs

    def path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        kappas: Iterable[int],
        xis: Iterable[float],
        *,
        X_target: npt.ArrayLike | TargetSamples | None = None,
    ) -> list[Outcome]:
        """Solve every (κ, ξ) at once, with this estimator's other parameters, for a fraction of as many fits.

        Parameters
        ----------
        X, y, X_target
            As for `fit`.
        kappas, xis : iterables

        Returns
        -------
        list of Outcome
            In the order of ``itertools.product(kappas, xis)``; their codes are indices into ``np.unique(y)``. The
            regression matrix is made when ``coef()`` is called.
        """
        worker, kappas = clone(self), list(kappas)
        source, codes, target = worker._check_fit(X, y, X_target)
        sweep = worker._sweep(SweepTask(source, codes, target, None, len(worker.classes_)))
        columns = [[{"kappa": kappa, "xi": xi} for kappa in kappas] for xi in xis]
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(effective_n_jobs(self.n_jobs)) as pool:
            solved = list(pool.map(sweep, columns))
        return [outcome for row in zip(*solved, strict=True) for outcome in row]

    def prepare_reverse(self, X: Array, X_target: Array, *, n_classes: int) -> Reverse:
        """Prepare once for all labels of the target; see `tgsr.estimators.sweep.prepare_reverse`."""
        unknown = np.zeros(len(X_target), dtype=np.intp)
        sweep = clone(self)._sweep(SweepTask(X_target, unknown, X, None, n_classes))
        return lambda settings, codes: np.array([outcome.codes for outcome in sweep(settings, codes)])

    def _fit(self, X: Array, codes: Codes, X_target: Array | None) -> None:
        (outcome,) = self._sweep(SweepTask(X, codes, X_target, None, len(self.classes_)))([{}])
        assert outcome.coef is not None
        assert outcome.group_norms is not None
        self.coef_ = np.ascontiguousarray(outcome.coef().T)
        self.groups_ = np.unique(feature_groups(self.groups, X.shape[1]))
        self.region_norms_ = outcome.group_norms
        self.selected_regions_ = self.groups_[outcome.group_norms > 0]
        self.complete_ = bool(outcome.metrics["complete"])
        self.n_iter_ = int(outcome.metrics["iterations"])
        self.converged_ = bool(outcome.metrics["converged"])
        self.objective_ = outcome.metrics["objective"]
        if X_target is None and self.xi:
            warnings.warn(f"fitted without X_target: xi = {self.xi} has no effect", UserWarning, stacklevel=3)
        if not self.complete_:
            kept = len(self.selected_regions_)
            text = f"kappa = {self.kappa} groups were asked for, {kept} kept: norms are equal up to rounding"
            warnings.warn(text, TiedGroupsWarning, stacklevel=3)

    def _sweep(self, task: SweepTask) -> _TGSRSweep:
        if self.rho < _SLOW_RHO:
            _tell_slow(self.rho, self.max_iter)
        return _TGSRSweep(self, task)

    def _solver_settings(self) -> SolverSettings:
        return SolverSettings(self.mu, self.rho, self.mu_max, self.tol, self.max_iter, self.init)

    def _cell(self, n_groups: int) -> tuple[int, float]:
        """κ and ξ, checked; a named grouping of fewer features than the face has may have fewer groups than κ."""
        if not isinstance(self.groups, str):
            return check_kappa(self.kappa, n_groups), check_xi(self.xi)
        kappa = check_kappa(self.kappa, N_REGIONS)
        if kappa > n_groups:
            text = f"kappa = {kappa}, but groups = {self.groups!r} has {n_groups} here: all are kept"
            warnings.warn(text, UserWarning, stacklevel=2)
        return min(kappa, n_groups), check_xi(self.xi)


@cache
def _tell_slow(rho: float, max_iter: int) -> None:
    """Say it once a process: a sweep is prepared for each fold of a rule, too."""
    _log.warning(
        "rho = %g: the penalty hardly grows, and a cell may take all of max_iter = %d iterations (with rho = 1.1 about "
        "100): this can take many times as long; use a larger rho, or a smaller max_iter",
        rho,
        max_iter,
    )


@dataclass(frozen=True, eq=False)
class _TGSRSweep:
    """Cells of any (κ, ξ) by one solver for each grouping and scaling: its Gram matrices serve all cells."""

    worker: TGSRClassifier
    task: SweepTask
    systems: dict[tuple[str, ...], _System] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._system(self.worker)  # what is common to all cells is paid before the first

    def __call__(self, settings: Sequence[Settings], codes: Sequence[Codes] | Codes | None = None) -> list[Outcome]:
        """Outcomes; ``codes`` are class indices of the source for each of the settings, in place of the task's."""
        batches: dict[tuple[_System, SolverSettings], list[tuple[int, tuple[int, float]]]] = defaultdict(list)
        for index, params in enumerate(settings):
            worker = clone(self.worker).set_params(**params) if params else self.worker
            system = self._system(worker)
            cell = worker._cell(system.solver.problem.n_groups)
            batches[system, worker._solver_settings()].append((index, cell))
        outcomes: dict[int, Outcome] = {}
        for (system, solver_settings), members in batches.items():
            own = None if codes is None else [codes[index] for index, _ in members]
            solutions = system.solver.solve([cell for _, cell in members], solver_settings, own)
            for (index, _), solution in zip(members, solutions, strict=True):
                outcomes[index] = system.outcome(settings[index], solution)
        return [outcomes[index] for index in range(len(settings))]

    def _system(self, worker: TGSRClassifier) -> _System:
        key = repr(np.asarray(worker.groups).tolist()), repr(worker.scaling)
        if key not in self.systems:
            self.systems[key] = _System(worker, self.task)
        return self.systems[key]


class _System:
    """A solver on scaled groups, and the way back to the features as they were given."""

    def __init__(self, worker: TGSRClassifier, task: SweepTask) -> None:
        groups = feature_groups(worker.groups, task.X.shape[1])
        self.positions = np.unique(groups, return_inverse=True)[1]
        self.scales = group_scales(worker.scaling, task.X, task.X_target, self.positions)
        self.new_is_source = task.X_new is task.X
        samples = [task.X, task.X_target, None if self.new_is_source else task.X_new]
        if self.scales is not None:
            samples = [None if part is None else part / self.scales[self.positions] for part in samples]
        X, X_target, X_new = samples
        self.solver = BatchSolver(X, task.codes, task.n_classes, X_target, groups, X_new)

    def outcome(self, settings: Settings, solution: CellSolution) -> Outcome:
        metrics = {
            "iterations": float(solution.n_iter),
            "converged": float(solution.converged),
            "objective": solution.objective,
            "regions_kept": float(np.count_nonzero(solution.group_norms)),
            "complete": float(solution.complete),
        }
        norms = solution.group_norms if self.scales is None else solution.group_norms / self.scales
        return Outcome.of_scores(
            settings,
            solution.target_decisions,
            solution.source_decisions if self.new_is_source else solution.new_decisions,
            metrics=metrics,
            group_norms=norms,
            coef=lambda: self._coef(solution),
        )

    def _coef(self, solution: CellSolution) -> Array:
        coef = solution.coef()
        return coef if self.scales is None else coef / self.scales[self.positions, None]
