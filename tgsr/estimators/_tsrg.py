"""Target sample re-generator, TSRG (Zong, Huang, Zheng, Cui and Zhao, ACM Multimedia 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, partial

import numpy as np
from threadpoolctl import threadpool_limits

from tgsr.estimators._base import Array, Codes, Fitted
from tgsr.estimators._drls import RegressionProblem, by_lam
from tgsr.estimators._kernel_svm import LinearRule, SVMSweepClassifier
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import Settings
from tgsr.protocols import check_number
from tgsr.solvers.sparse_regression import GAP_LIMIT, Resolvents, sparse_regression

__all__ = ["TSRGClassifier"]

_BLOCK = 512


class TSRGClassifier(SVMSweepClassifier):
    """The target is regenerated so that its mean comes close to the source's; the source's SVM predicts it.

    min_P ‖X_s − P^T K_s‖_F² + λ‖P^T(mean source column − mean target column of K)‖² + μ‖P‖₁; the linear SVM trained
    on X_s predicts on P^T k(x). The sparsity acts on raw features, so that no span coordinates help, and P has
    n × n_features entries: its columns (features) are problems of their own and are solved in blocks, in single
    precision unless the kernel is much larger than that of histograms. As for `DRLSClassifier`, features other than
    histograms should be scaled.

    Parameters
    ----------
    lam : float, default=1.0
        λ ≥ 0, the weight of the distance between the means.
    mu : float, default=0.1
        μ ≥ 0, the weight of ‖P‖₁.
    C : float, default=1.0

    Attributes
    ----------
    n_iter_ : int
        Iterations of the block of features that took most.
    converged_ : bool
        Whether all blocks stopped by themselves, together at most 5 % of the objective at P = 0 above the minimum.
        Otherwise ``fit`` warns (`sklearn.exceptions.ConvergenceWarning`).
    """

    def __init__(
        self,
        lam: float = 1.0,
        mu: float = 0.1,
        C: float = 1.0,
    ) -> None:
        self.lam = lam
        self.mu = mu
        self.C = C

    def _prepare(self, span: Span) -> RegressionProblem:
        return RegressionProblem(span)

    def _rules(self, prepared: RegressionProblem, codes: Codes, grid: Sequence[Settings]) -> Iterable[Fitted]:
        span = prepared.span
        for lam, cells in by_lam(self, grid).items():
            resolvents = Resolvents(prepared.K_source, prepared.delta, lam, dtype=np.float32)
            regenerate = cache(partial(self._regenerate, span, resolvents))  # for all C the same
            for index, settings in cells:
                kernel, n_iter, converged = regenerate(check_number("mu", settings.mu))
                base = settings._fit_svm(span.source, codes)
                # the SVM's kernel between a regenerated sample P^T k(x) and the source is k(x)^T (P X_s^T)
                rule = LinearRule(base.svc, base.order, np.eye(len(span.source)), prepared.samples.T @ kernel)
                yield Fitted(index, rule, n_iter, converged and settings.converged_)

    def _regenerate(self, span: Span, resolvents: Resolvents, mu: float) -> tuple[Array, int, bool]:
        """P X_s^T (n, n_source), solved feature block by feature block; iterations; whether all converged."""
        n_features = span.source.shape[1] if span.basis is None else len(span.basis)

        def solve(first: int) -> tuple[Array, float, int, bool]:
            block = slice(first, first + _BLOCK)
            features = span.source[:, block] if span.basis is None else span.source @ span.basis[block].T
            solution = sparse_regression(resolvents, features, [mu])
            product: Array = (solution.P[0] @ features.T.astype(resolvents.dtype)).astype(np.float64)
            return product, float(solution.gaps[0]), int(solution.n_iter[0]), bool(solution.converged[0])

        with threadpool_limits(limits=1, user_api="blas"):
            products, gaps, n_iters, stopped = zip(*map(solve, range(0, n_features, _BLOCK)), strict=True)
        near = sum(gaps) <= GAP_LIMIT * float((span.source**2).sum())
        return np.sum(products, axis=0), max(n_iters), near and all(stopped)
