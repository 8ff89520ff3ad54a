"""Domain-regenerated label-space regression, DRLS (Zong, Zheng, Hong, Tang, Cui and Zhao, ICMR 2018)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from tgsr.estimators.kernel_svm import Array, Codes
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Fitted, SweepClassifier, check_positive
from tgsr.solvers.sparse_regression import GAP_LIMIT, Resolvents, sparse_regression

__all__ = ["DRLSClassifier", "RegressionProblem"]


@dataclass(frozen=True)
class RegressionProblem:
    """What TSRG and DRLS regress on: the linear kernel of all samples with the source, and the gap of its means."""

    samples: Array
    K_source: Array
    delta: Array

    @classmethod
    def of(cls, span: Span) -> RegressionProblem:
        """Set up the problem on span coordinates."""
        samples = span.samples
        K_source = samples @ span.source.T
        return cls(samples, K_source, K_source.mean(axis=1) - (samples @ span.target.T).mean(axis=1))


@dataclass(frozen=True)
class _ArgmaxRule:
    coefficients: Array  # (r, n_classes)

    def __call__(self, z: Array) -> Codes:
        codes: Codes = np.argmax(z @ self.coefficients, axis=1)
        return codes


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
        the objective at P = 0 above it. Otherwise ``fit`` warns (`sklearn.exceptions.ConvergenceWarning`).
    """

    def __init__(self, lam: float = 1.0, mu: float = 0.1) -> None:
        self.lam = lam
        self.mu = mu

    def _rules(self, span: Span, codes: Codes, grid: Sequence[Mapping[str, Any]]) -> Iterable[Fitted]:
        problem = RegressionProblem.of(span)
        one_hot = np.eye(int(codes.max()) + 1)[codes]
        by_lam: dict[float, list[tuple[int, float]]] = defaultdict(list)
        for index, params in enumerate(grid):
            settings = clone(self).set_params(**params)
            lam = check_positive("lam", settings.lam, zero=True)
            by_lam[lam].append((index, check_positive("mu", settings.mu, zero=True)))
        for lam, cells in by_lam.items():
            mus = [mu for _, mu in cells]
            resolvents = Resolvents(problem.K_source, problem.delta, lam)
            solution = sparse_regression(problem.K_source, one_hot, mus, resolvents)
            near = solution.converged & (solution.gaps <= GAP_LIMIT * len(codes))  # ‖L‖² is the number of samples
            for cell, (index, _) in enumerate(cells):
                rule = _ArgmaxRule(problem.samples.T @ solution.P[cell])
                yield Fitted(index, rule, int(solution.n_iter[cell]), bool(near[cell]))
