"""A binary SVM with squared hinge loss and a cost for each sample, by Newton's method in the primal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["KernelMachine", "fit_squared_hinge"]

Array = npt.NDArray[np.float64]

_MOST_STEPS = 100


@dataclass(frozen=True)
class KernelMachine:
    """f(x) = Σ_i β_i k(x_i, x) + b."""

    coefficients: Array  # β, (n,)
    intercept: float  # b
    converged: bool  # whether they are the minimum, to rounding

    def losses(self, kernel: Array, signs: Array) -> Array:
        """Squared hinge loss of each training sample: shape (n,)."""
        return np.maximum(0.0, 1.0 - signs * (kernel @ self.coefficients + self.intercept)) ** 2


def fit_squared_hinge(kernel: Array, signs: Array, costs: Array) -> KernelMachine:
    """Minimise ½ β^T K β + Σ c_i max(0, 1 − y_i f(x_i))² (Chapelle, Neural Computation 2007).

    For a set A of samples with positive loss, the minimum solves K_AA β_A + b + β_A/(2c_A) = y_A, 1^T β_A = 0; Newton's
    method repeats this with the set that results, and shortens its step where the objective would grow. K (n, n) is
    positive semi-definite, the signs y (n,) are −1 or 1, the costs c (n,) positive.
    """
    beta, intercept = np.zeros(len(signs)), 0.0
    value = _objective(kernel, signs, costs, beta, intercept)
    active, finished = np.ones(len(signs), dtype=bool), False
    for _ in range(_MOST_STEPS):
        new_beta, new_intercept = _newton_point(kernel, signs, costs, active)
        step = 1.0
        while True:
            trial = beta + step * (new_beta - beta), intercept + step * (new_intercept - intercept)
            trial_value = _objective(kernel, signs, costs, *trial)
            if trial_value <= value or step < 1e-8:
                break
            step /= 2
        beta, intercept = trial
        now_active = signs * (kernel @ beta + intercept) < 1
        finished = (step == 1.0 and np.array_equal(now_active, active)) or trial_value >= value or not now_active.any()
        value, active = trial_value, now_active
        if finished:
            break
    return KernelMachine(beta, float(intercept), finished)


def _objective(kernel: Array, signs: Array, costs: Array, beta: Array, intercept: float) -> float:
    outputs = kernel @ beta
    hinge = np.maximum(0.0, 1.0 - signs * (outputs + intercept))
    return float(beta @ outputs / 2 + costs @ hinge**2)


def _newton_point(kernel: Array, signs: Array, costs: Array, active: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    inside = np.flatnonzero(active)
    m = len(inside)
    system = np.zeros((m + 1, m + 1))
    system[:m, :m] = kernel[np.ix_(inside, inside)] + np.diag(1 / (2 * costs[inside]))
    system[:m, m] = system[m, :m] = 1.0
    solution = np.linalg.solve(system, np.append(signs[inside], 0.0))
    beta = np.zeros(len(signs))
    beta[inside] = solution[:m]
    return beta, float(solution[m])
