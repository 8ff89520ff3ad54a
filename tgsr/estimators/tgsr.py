"""Transfer Group Sparse Regression as a scikit-learn classifier."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from tgsr.errors import ParameterError
from tgsr.estimators.base import TransferClassifier
from tgsr.protocols import N_REGIONS, check_kappa, check_xi
from tgsr.regions import N_BINS, N_PLANES, released_groups
from tgsr.solvers import BatchSolver, SolverSettings, project_simplex

__all__ = ["GROUPINGS", "TGSRClassifier", "feature_groups"]

GROUPINGS: tuple[str, ...] = ("region", "released")
"""Named groupings: the facial regions of the paper, and the groups that its released records were computed with."""

_REGION_SIZE = N_PLANES * N_BINS


def feature_groups(groups: str | npt.ArrayLike, n_features: int) -> npt.NDArray[np.intp]:
    """Resolve a grouping to one group number for every feature.

    Parameters
    ----------
    groups : {"region", "released"} or array of int, shape (n_features,)
        ``"region"``: every 177 consecutive features are one facial region (three planes × 59 bins); up to 177
        features are one region. ``"released"``: the grouping of the released records, see
        `tgsr.regions.released_groups`.
    n_features : int

    Returns
    -------
    array of int, shape (n_features,)

    Raises
    ------
    ParameterError
        If the grouping is unknown or does not fit the number of features.
    """
    if isinstance(groups, str):
        if groups == "region":
            if n_features > _REGION_SIZE and n_features % _REGION_SIZE:
                raise ParameterError(
                    f"groups='region' needs a multiple of {_REGION_SIZE} features "
                    f"(the face: {N_REGIONS * _REGION_SIZE}), got {n_features}; "
                    "pass an array with a group for every feature"
                )
            return np.arange(n_features) // _REGION_SIZE
        if groups == "released":
            if n_features != N_REGIONS * _REGION_SIZE:
                raise ParameterError(
                    f"groups='released' needs {N_REGIONS * _REGION_SIZE} features, got {n_features}; "
                    "pass an array with a group for every feature"
                )
            return released_groups()
        raise ParameterError(f"groups = {groups!r} is unknown; use {', '.join(map(repr, GROUPINGS))} or an array")
    numbers = np.asarray(groups)
    if numbers.shape != (n_features,) or numbers.dtype.kind not in "iu":
        raise ParameterError(
            f"groups must hold one integer for each of the {n_features} features, got {numbers.dtype} {numbers.shape}"
        )
    return numbers.astype(np.intp)


class TGSRClassifier(TransferClassifier):
    """Transfer Group Sparse Regression (Jiang et al., ICPR 2022), Algorithm 1 with the corrected sign.

    Parameters
    ----------
    kappa : int
        κ, the number of groups kept: 1 to 85 (with an array of groups: to their number).
    xi : float
        ξ ≥ 0, the weight of the distance between the domains' projected means.
    groups : {"region", "released"} or array of int, shape (n_features,)
        See `feature_groups`.
    mu, rho, mu_max, tol, max_iter
        See `SolverSettings`; they are part of the result, because λ follows from κ anew in every iteration.
    init : {"ones"}
        The matrix that the iteration starts from.

    Notes
    -----
    μ, the tolerance and the all-ones start are absolute: features should be of the size of histograms, or standardised.
    With features in the thousands the problem is ill-conditioned, whichever way it is solved.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (n_classes, n_features)
        C^T.
    region_norms_ : array of shape (n_groups,)
        ‖C_i‖_F; exactly 0 for the groups left out.
    selected_regions_ : array of int
        Indices of the groups kept, ascending.
    n_iter_ : int
    converged_ : bool
    objective_ : float
        Value of Equ. (2) at the solution.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> model = TGSRClassifier(kappa=1, xi=0.1, groups=[0, 1]).fit(X, ["a", "a", "b", "b"], X_target=X + 0.05)
    >>> model.selected_regions_.size
    1
    """

    coef_: npt.NDArray[np.float64]
    region_norms_: npt.NDArray[np.float64]
    selected_regions_: npt.NDArray[np.intp]
    n_iter_: int
    converged_: bool
    objective_: float

    def __init__(
        self,
        kappa: int = 20,
        xi: float = 1.0,
        groups: str | npt.ArrayLike = "region",
        mu: float = 1e-3,
        rho: float = 1.1,
        mu_max: float = 1e15,
        tol: float = 1e-8,
        max_iter: int = 1000,
        init: str = "ones",
    ) -> None:
        self.kappa = kappa
        self.xi = xi
        self.groups = groups
        self.mu = mu
        self.rho = rho
        self.mu_max = mu_max
        self.tol = tol
        self.max_iter = max_iter
        self.init = init

    def _fit(
        self, X: npt.NDArray[np.float64], codes: npt.NDArray[np.intp], X_target: npt.NDArray[np.float64] | None
    ) -> None:
        if self.init != "ones":
            raise ParameterError(f"init = {self.init!r} is unknown; Algorithm 1 starts from 'ones'")
        groups = feature_groups(self.groups, X.shape[1])
        n_groups = len(np.unique(groups))
        if isinstance(self.groups, str):
            # fewer features than the face has are fewer regions: keeping κ of them then means keeping all
            kappa = min(check_kappa(self.kappa, N_REGIONS), n_groups)
        else:
            kappa = check_kappa(self.kappa, n_groups)
        settings = SolverSettings(self.mu, self.rho, self.mu_max, self.tol, self.max_iter)
        solver = BatchSolver(X, codes, len(self.classes_), X_target, groups, settings)
        solution = solver.solve([(kappa, check_xi(self.xi))])[0]
        self.coef_ = np.ascontiguousarray(solution.coef().T)
        self.region_norms_ = solution.group_norms
        self.selected_regions_ = np.flatnonzero(solution.group_norms)
        self.n_iter_ = solution.n_iter
        self.converged_ = solution.converged
        self.objective_ = solution.objective
        if not self.converged_:
            warnings.warn(
                f"Algorithm 1 has not converged in max_iter = {self.max_iter} iterations; raise max_iter",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _project(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        checked: npt.NDArray[np.float64] = validate_data(self, X, dtype=np.float64, reset=False)
        return checked @ self.coef_.T

    def _decide(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        codes: npt.NDArray[np.intp] = np.argmax(X @ self.coef_.T, axis=1)
        return codes

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """C^T x: shape (n, n_classes); for two classes the difference of the second and the first, shape (n,)."""
        scores = self._project(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """C^T x projected on the probability simplex, Equ. (8): shape (n, n_classes)."""
        return project_simplex(self._project(X))
