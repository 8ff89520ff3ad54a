"""DRLS, domain regeneration in the label space.

Zong, Zheng, Huang, Shi, Cui and Zhao: Domain Regeneration for Cross-Database Micro-Expression Recognition, IEEE
Transactions on Image Processing, 2018.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from tgsr.estimators._base import Array, Codes, Fitted, SweepClassifier
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Settings
from tgsr.protocols import check_number
from tgsr.solvers.simplex import project_simplex
from tgsr.solvers.sparse_regression import GAP_LIMIT, Resolvents, sparse_regression

__all__ = ["DRLSClassifier", "RegressionProblem", "by_lam"]


class RegressionProblem:
    """What TSRG and DRLS regress on: the linear kernel of all samples with the source, and the gap of its means."""

    def __init__(self, span: Span) -> None:
        self.span, self.samples = span, span.samples
        self.K_source = self.samples @ span.source.T
        self.delta: Array = self.K_source.mean(axis=1) - (self.samples @ span.target.T).mean(axis=1)


@dataclass(frozen=True)
class _LinearScores:
    coefficients: Array  # (r, n_classes)

    def __call__(self, z: Array) -> Array:
        decisions: Array = z @ self.coefficients
        return decisions


class DRLSClassifier(SweepClassifier):
    """Regression of one-hot labels on the kernel of all samples, with the domains' means pulled together.

    min_P ‖L − P^T K_s‖_F² + λ‖P^T(mean source column − mean target column of K)‖² + μ‖P‖₁; a sample x is given the
    class of the largest entry of P^T k(x). The published iteration stops on its own schedule, whose numbers are made
    for histograms, as λ and μ are; see `tgsr.solvers.sparse_regression`. Bring other features to a common scale of
    about 1 (`StandardScaler`): where they differ by orders of magnitude, the small ones are hardly fitted.

    Parameters
    ----------
    lam : float, default=1.0
        λ ≥ 0, the weight of the distance between the means; 0 leaves a lasso in label space.
    mu : float, default=0.1
        μ ≥ 0, the weight of ‖P‖₁.

    Attributes
    ----------
    n_iter_ : int
    converged_ : bool
        Whether the iteration stopped by itself and, which its rule does not ask for, near the minimum: at most 5 % of
        the objective at P = 0 above it. Otherwise ``fit`` warns (`sklearn.exceptions.ConvergenceWarning`). The
        published tolerance settles scores to about 1e-4: of closer ones the label is open.
    """

    def __init__(self, lam: float = 1.0, mu: float = 0.1) -> None:
        self.lam = lam
        self.mu = mu

    def _prepare(self, span: Span) -> RegressionProblem:
        return RegressionProblem(span)

    def _rules(self, prepared: RegressionProblem, codes: Codes, grid: Sequence[Settings]) -> Iterable[Fitted]:
        one_hot = np.eye(int(codes.max()) + 1)[codes]
        for lam, cells in by_lam(self, grid).items():
            mus = [check_number("mu", settings.mu) for _, settings in cells]
            resolvents = Resolvents(prepared.K_source, prepared.delta, lam)
            solution = sparse_regression(resolvents, one_hot, mus)
            near = solution.converged & (solution.gaps <= GAP_LIMIT * len(codes))  # ‖L‖² is the number of samples
            for cell, (index, _) in enumerate(cells):
                rule = _LinearScores(prepared.samples.T @ solution.P[cell])
                yield Fitted(index, rule, int(solution.n_iter[cell]), bool(near[cell]))

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Regressed labels, projected on the probability simplex: shape (n, n_classes)."""
        return project_simplex(self._scores(X))


def by_lam(estimator: Any, grid: Sequence[Settings]) -> dict[float, list[tuple[int, Any]]]:
    """Estimators with the settings of a grid, and their places in it, by λ: each λ has one eigensystem."""
    found: dict[float, list[tuple[int, Any]]] = defaultdict(list)
    for index, params in enumerate(grid):
        settings = clone(estimator).set_params(**params)
        found[check_number("lam", settings.lam)].append((index, settings))
    return found
