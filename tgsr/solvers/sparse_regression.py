"""The augmented Lagrangian of TSRG and DRLS (Zong et al. 2017, 2018): sparse regression with a mean constraint.

    min_P ‖T − P^T K_s‖_F² + λ‖P^T δ‖² + μ‖P‖₁ (entry-wise),

K_s the source's columns of the kernel of all samples, δ its mean source column minus its mean target column. Each
column of P is a problem of its own, so that any number of columns, also with different μ, is solved at once.

The schedule's numbers are absolute, made for kernels of histograms. Where K_sK_s^T + λδδ^T is so large that its
rounding errors swamp the penalty, or T has entries beyond ±1, the same problem is solved in larger units: K/u and T/t
with μ/(ut) give uP/t, started at P = M = 1/u. Below these limits, as on the released features, u = t = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr.jit import compile_kernel
from tgsr.stopping import raise_if_stopped

__all__ = [
    "GAP_LIMIT",
    "RegressionSolution",
    "Resolvents",
    "Schedule",
    "duality_gap",
    "sparse_regression",
]

Array = npt.NDArray[np.float64]

GAP_LIMIT = 0.05
"""Duality gap, as a share of ‖T‖² (the objective at P = 0), up to which P is near enough to the minimum; DRLS ends
below 0.022 with all of the published grid on the released features."""

_LARGEST = 1e8
"""Largest eigenvalue of K_sK_s^T + λδδ^T that is left as it is: some ten times that of the released features, and
what single precision bears with the schedule's penalties."""


@dataclass(frozen=True)
class Schedule:
    """The published schedule: penalty κ, its growth and limit, and the stopping tolerance on max|P − Q|."""

    kappa: float = 1e-3
    growth: float = 1.1
    kappa_max: float = 1e15
    tol: float = 1e-8
    max_iter: int = 1000


@dataclass(frozen=True, eq=False)
class RegressionSolution:
    """P for each μ, and how the iteration went.

    The penalty rises whether or not P is near the minimum: ``converged`` does not tell of that, ``gaps`` do.
    """

    P: npt.NDArray[Any]  # (n_mu, n, n_responses)
    n_iter: npt.NDArray[np.int64]  # (n_mu,)
    converged: npt.NDArray[np.bool_]  # (n_mu,): whether max|P − Q|, in the iteration's units, came below the tolerance
    gaps: Array  # (n_mu,): `duality_gap` at P


class Resolvents:
    """(K_sK_s^T + λδδ^T + κ/2·I)^{-1} for each κ of the schedule: the same for every μ and every column of P.

    Parameters
    ----------
    K_source : array of shape (n, n_source)
    delta : array of shape (n,)
    lam : float
        λ ≥ 0.
    schedule : Schedule, optional
    dtype : dtype, default=float64
        Of the iteration, where K_s and δ need no larger units; there, float64. The eigensystem behind it is always
        computed in float64.

    Attributes
    ----------
    unit : float
        u ≥ 1, by which K_s and δ are divided.
    design : array of shape (n_source + 1, n)
        A = [K_s^T; √λδ^T], with which the objective is ‖[T^T; 0] − AP‖_F² + μ‖P‖₁.
    reach : array of shape (n_source + 1, rank)
        Orthonormal basis of the range of A.
    """

    def __init__(
        self,
        K_source: Array,
        delta: Array,
        lam: float,
        schedule: Schedule | None = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.schedule, self.K_source = schedule or Schedule(), K_source
        self.design: Array = np.vstack([K_source.T, np.sqrt(lam) * delta])
        left, singular, _ = np.linalg.svd(self.design, full_matrices=False)
        rounding = singular.max() * max(self.design.shape) * np.finfo(np.float64).eps
        self.reach: Array = left[:, singular > rounding]
        values, self._vectors = np.linalg.eigh(K_source @ K_source.T + lam * np.outer(delta, delta))
        self.unit = max(1.0, float(np.sqrt(values[-1] / _LARGEST)))
        self.dtype = np.dtype(dtype if self.unit == 1 else np.float64)
        self._values = np.maximum(values, 0) / self.unit**2
        self._inverses: list[npt.NDArray[Any]] = []

    def kappa(self, iteration: int) -> float:
        """κ of an iteration, counted from 0."""
        return float(min(self.schedule.kappa * self.schedule.growth**iteration, self.schedule.kappa_max))

    def apply(self, iteration: int, right: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
        """The matrix of an iteration times ``right`` (n, sets · width), set by set: BLAS rounds by a product's size."""
        n = len(right)
        sets = np.ascontiguousarray(right.reshape(n, -1, width).transpose(1, 0, 2))
        if width < n:  # forming the inverse would cost more than two products
            scale = 1 / (self._values + self.kappa(iteration) / 2)
            product = self._vectors @ (scale[:, None] * (self._vectors.T @ sets))
        else:
            product = self._inverse(iteration) @ sets
        return np.ascontiguousarray(product.transpose(1, 0, 2), dtype=self.dtype).reshape(n, -1)

    def _inverse(self, iteration: int) -> npt.NDArray[Any]:
        while len(self._inverses) <= iteration:
            kappa = self.kappa(len(self._inverses))
            inverse = (self._vectors / (self._values + kappa / 2)) @ self._vectors.T
            self._inverses.append(inverse.astype(self.dtype))
        return self._inverses[iteration]


def sparse_regression(resolvents: Resolvents, responses: npt.NDArray[Any], mus: npt.ArrayLike) -> RegressionSolution:
    """Run the published iteration for one λ and many μ.

    From P = M = 1 (ones): Q = (K_sK_s^T + λδδ^T + κ/2·I)^{-1}(K_sT^T + (κP + M)/2), P = soft(Q − M/κ, μ/κ),
    M ← M + κ(P − Q), κ ← min(1.1κ, κ_max), until max|P − Q| < 1e-8. A set (one μ) stops when its own P and Q agree,
    whatever else is in the batch.

    Parameters
    ----------
    resolvents : Resolvents
        K_s, δ and λ, with the schedule and the precision of the iteration.
    responses : array of shape (n_source, n_responses)
        T^T: one-hot labels (DRLS) or features (TSRG).
    mus : array of shape (n_mu,)
        μ ≥ 0.

    Raises
    ------
    Interrupted
        See `tgsr.stopping`.
    """
    schedule, dtype, K_source = resolvents.schedule, resolvents.dtype, resolvents.K_source
    thresholds = np.atleast_1d(np.asarray(mus, dtype=np.float64))
    sets, n, width = len(thresholds), len(K_source), responses.shape[1]
    sizes = np.maximum(np.abs(responses).max(axis=0), 1.0)
    fixed = np.ascontiguousarray((K_source / resolvents.unit).astype(dtype) @ (responses / sizes).astype(dtype))
    # (n, sets · width)
    P = np.full((n, sets * width), 1 / resolvents.unit, dtype=dtype)
    M = P.copy()
    limits = (np.repeat(thresholds, width) / (resolvents.unit * np.tile(sizes, sets))).astype(dtype)
    right = np.tile(fixed, sets) + P * np.asarray((schedule.kappa + 1) / 2, dtype=dtype)
    solution = RegressionSolution(
        np.empty((sets, n, width), dtype=dtype),
        np.full(sets, schedule.max_iter),
        np.zeros(sets, dtype=bool),
        np.empty(sets),
    )
    active = np.arange(sets)
    scalar: Any = dtype.type  # the compiled update must not promote to float64
    gaps = np.empty(sets * width, dtype=dtype)
    for iteration in range(1, schedule.max_iter + 1):
        raise_if_stopped()
        kappa, following = resolvents.kappa(iteration - 1), resolvents.kappa(iteration)
        Q = resolvents.apply(iteration - 1, right, width)
        _update(Q, P, M, right, fixed, limits, gaps, scalar(kappa), scalar(following))
        done = gaps.reshape(len(active), width).max(axis=1) < schedule.tol
        last = iteration == schedule.max_iter
        if not (done.any() or last):
            continue
        leaving = done | last
        solution.P[active[leaving]] = P.reshape(n, len(active), width)[:, leaving].transpose(1, 0, 2)
        solution.n_iter[active[leaving]] = iteration
        solution.converged[active[done]] = True
        active = active[~leaving]
        if not len(active):
            break
        columns = np.repeat(~leaving, width)
        P, M, right = (np.ascontiguousarray(part[:, columns]) for part in (P, M, right))
        limits, gaps = limits[columns], gaps[columns]
    solution.P[:] *= (sizes / resolvents.unit).astype(dtype)
    for index, mu in enumerate(thresholds):
        solution.gaps[index] = duality_gap(resolvents, solution.P[index].astype(np.float64), responses, float(mu))
    return solution


@compile_kernel(error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})
def _update(
    Q: npt.NDArray[Any],
    P: npt.NDArray[Any],
    M: npt.NDArray[Any],
    right: npt.NDArray[Any],
    fixed: npt.NDArray[Any],
    limits: npt.NDArray[Any],
    gaps: npt.NDArray[Any],
    kappa: Any,
    following: Any,
) -> None:
    """P = soft(Q − M/κ, μ/κ), M += κ(P − Q), gaps = max|P − Q| of each column, and the next right-hand side."""
    n, columns = Q.shape
    width = fixed.shape[1]
    gaps[:] = 0
    half, zero, inverse = Q.dtype.type(0.5), Q.dtype.type(0), Q.dtype.type(1) / kappa
    for i in range(n):
        for first in range(0, columns, width):
            for offset in range(width):
                j = first + offset
                q = Q[i, j]
                shifted = q - M[i, j] * inverse
                limit = limits[j] * inverse
                # what remains of |shifted| beyond the limit, without a branch, so that the loop is vectorised
                above, below = shifted - limit, shifted + limit
                p = (above if above > zero else zero) + (below if below < zero else zero)
                gap = p - q
                m = M[i, j] + kappa * gap
                P[i, j] = p
                M[i, j] = m
                size = gap if gap > zero else -gap
                gaps[j] = size if size > gaps[j] else gaps[j]
                right[i, j] = fixed[i, offset] + (following * p + m) * half


def duality_gap(resolvents: Resolvents, P: Array, responses: Array, mu: float) -> float:
    """How far the objective at P (n, n_responses) is above its minimum, at most (up to rounding).

    The dual problem is to maximise 2u^T y − ‖u‖² subject to ‖A^T u‖_∞ ≤ μ/2, with the responses y and A = `design`. Its
    value is taken at the residual whose part in the range of A is shrunk until the constraint holds.
    """
    design, reach = resolvents.design, resolvents.reach
    wanted = np.vstack([responses, np.zeros((1, responses.shape[1]))])
    residual = wanted - design @ P
    slope = 2 * np.abs(design.T @ residual).max(axis=0)
    excess = np.maximum(0, slope - mu) / np.maximum(slope, np.finfo(np.float64).tiny)
    dual = residual - excess * (reach @ (reach.T @ residual))
    primal_value = (residual**2).sum() + mu * np.abs(P).sum()
    return float(primal_value - 2 * (dual * wanted).sum() + (dual**2).sum())
