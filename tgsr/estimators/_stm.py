"""Selective transfer machine (Chu, De la Torre and Cohn, CVPR 2013), one against the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tgsr.estimators._base import Array, Codes, SweepClassifier
from tgsr.estimators.span import Span, SpanKernel
from tgsr.protocols import check_choice, check_number
from tgsr.solvers.importance import gaussian, kmm, median_distance
from tgsr.solvers.squared_hinge import KernelMachine, fit_squared_hinge

__all__ = ["STMClassifier"]


class _Kernels:
    """Kernels of the source with itself, and the Gaussian ones with the target: each width's is made once."""

    def __init__(self, span: Span) -> None:
        self.source, self.target = span.source, span.target
        self.scale = median_distance(self.source, self.target)
        self.linear = self.source @ self.source.T
        self._known: dict[float, tuple[Array, Array]] = {}

    def gaussian(self, width: float) -> tuple[Array, Array]:
        if width not in self._known:
            sides = (gaussian(self.source, side, width * self.scale) for side in (self.source, self.target))
            self._known[width] = next(sides), next(sides)
        return self._known[width]


@dataclass(frozen=True)
class _OneAgainstRest:
    kernel: SpanKernel
    coefficients: Array  # (n_source, n_classes)
    intercepts: Array  # (n_classes,)

    def __call__(self, z: Array, outside: Array) -> Array:
        """Each class's f(x) of samples z (n, r) whose squared distances to the span are ``outside`` (n, 1)."""
        decisions: Array = self.kernel(z, outside) @ self.coefficients + self.intercepts
        return decisions


class STMClassifier(SweepClassifier):
    """SVM and weights of the source samples learned together, by turns.

    min over (f, s) of ½‖f‖² + C·Σ s_i max(0, 1 − y_i f(x_i))² + λ(½ s^T K s − κ^T s) with the constraints of kernel
    mean matching: a weighted SVM for given s, a quadratic program with linear term (C/λ)·loss_i − κ_i for given f,
    until the objective has less than ``tol`` of itself to fall, if its changes go on shrinking as the last two did. Its
    last part is counted from its own minimum, where the alternation starts: that minimum is a constant, and some
    thousand times what can change.

    Parameters
    ----------
    lam : float, default=1.0
        λ, the weight of the mean matching.
    width : float, default=1.0
        Width σ of the Gaussian kernel of the mean matching (and of the classifier if ``kernel="rbf"``), as a multiple
        of the median distance between samples.
    bound : float, default=2000.0
        B, the upper bound of the weights.
    kernel : {"linear", "rbf"}, default="linear"
        The classifier's kernel.
    C : float, default=1.0
    tol : float, default=1e-10
        Decisions are off by about its root.
    max_iter : int, default=1000
        Limit of the alternation.

    Attributes
    ----------
    weights_ : array of shape (n_classes, n_source)
        s for each class against the rest.
    n_iter_ : int
        Alternations of the class that took most.
    converged_ : bool
        Whether ``tol`` was reached for all classes, and the last SVM and program were solved; otherwise ``fit`` warns
        (`sklearn.exceptions.ConvergenceWarning`).
    """

    weights_: Array

    def __init__(
        self,
        lam: float = 1.0,
        width: float = 1.0,
        bound: float = 2000.0,
        kernel: str = "linear",
        C: float = 1.0,
        tol: float = 1e-10,
        max_iter: int = 1000,
    ) -> None:
        self.lam = lam
        self.width = width
        self.bound = bound
        self.kernel = kernel
        self.C = C
        self.tol = tol
        self.max_iter = max_iter

    def _prepare(self, span: Span) -> _Kernels:
        return _Kernels(span)

    def _solve(self, prepared: _Kernels, codes: Codes) -> _OneAgainstRest:
        check_choice("kernel", self.kernel, ("linear", "rbf"))
        width = check_number("width", self.width, strict=True)
        matching = prepared.gaussian(width)
        classifier = matching[0] if self.kernel == "rbf" else prepared.linear
        machines, weights, n_iter, converged = zip(
            *(self._alternate(classifier, *matching, np.where(codes == code, 1.0, -1.0)) for code in np.unique(codes)),
            strict=True,
        )
        self.weights_, self.n_iter_, self.converged_ = np.array(weights), max(n_iter), all(converged)
        return _OneAgainstRest(
            SpanKernel(prepared.source, width * prepared.scale if self.kernel == "rbf" else None),
            np.column_stack([machine.coefficients for machine in machines]),
            np.array([machine.intercept for machine in machines]),
        )

    def _coordinates(self, span: Span, X: Array) -> tuple[Array, ...]:
        return span.locate(X)

    def _alternate(
        self, kernel: Array, matching: Array, cross: Array, signs: Array
    ) -> tuple[KernelMachine, Array, int, bool]:
        C, lam = check_number("C", self.C, strict=True), check_number("lam", self.lam, strict=True)
        bound = check_number("bound", self.bound, strict=True)
        kappa = cross.sum(axis=1) * len(kernel) / cross.shape[1]
        start, exact = kmm(matching, cross, bound=bound)
        slope = matching @ start - kappa
        weights, previous, before = start, np.inf, np.inf
        for iteration in range(1, max(1, self.max_iter) + 1):
            costs = C * weights
            # no class may vanish
            machine = fit_squared_hinge(kernel, signs, np.maximum(costs, 1e-6 * costs.mean()))
            losses = machine.losses(kernel, signs)
            norm = float(machine.coefficients @ kernel @ machine.coefficients)
            moved = weights - start
            excess = float(moved @ matching @ moved / 2 + slope @ moved)  # a difference, without cancellation
            objective = norm / 2 + C * float(weights @ losses) + lam * excess
            change = abs(previous - objective)
            # of changes that shrink by a factor, change/(1 − factor) is yet to come
            if change == 0 or (change < before and change / (1 - change / before) <= self.tol * abs(objective)):
                return machine, weights, iteration, exact and machine.converged
            previous, before = objective, change
            weights, exact = kmm(matching, cross, bound=bound, linear=C / lam * losses)
        return machine, weights, iteration, False
