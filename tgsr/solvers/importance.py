"""Importance weights w(x) = p_target(x) / p_source(x) at the source samples: KLIEP, uLSIF and KMM.

All three work on Gaussian kernels k(x, z) = exp(−‖x − z‖²/2σ²) and take samples in any coordinates that keep
distances. None depends on the order of the samples: centres are all target samples, and where samples must be put
into folds or pairs, they are taken in the order of their distance to the common mean.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import scipy.special
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from tgsr.solvers.quadratic import bounded_budget_qp, mixture_likelihood

__all__ = ["gaussian", "kliep", "kmm", "median_distance", "ulsif", "ulsif_loo_score"]

Array = npt.NDArray[np.float64]

RIDGES: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)
WIDTH_FACTORS: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_N_FOLDS = 5


def gaussian(X: Array, Z: Array, width: float) -> Array:
    """Gaussian kernel exp(−‖x − z‖²/2σ²) of X (n, r) and Z (m, r): shape (n, m)."""
    kernel: Array = np.exp(_log_kernel(X, Z, width))
    return kernel


def _log_kernel(X: Array, Z: Array, width: float) -> Array:
    exponents: Array = -cdist(X, Z, "sqeuclidean") / (2 * width**2)
    return exponents


def median_distance(X: Array, Z: Array) -> float:
    """Median of the distances between different samples of X (n, r) and Z (m, r) together; 1 if all are equal."""
    both = np.vstack([X, Z])
    distances = cdist(both, both)[np.triu_indices(len(both), 1)]
    positive = distances[distances > 0]
    return float(np.median(positive)) if positive.size else 1.0


def _canonical_order(X: Array, Z: Array) -> tuple[Array, Array]:
    """Sort both sample sets by the distance to their common mean, which no rotation or reordering changes."""
    centre = np.vstack([X, Z]).mean(axis=0)
    by_distance = [np.argsort(np.linalg.norm(part - centre, axis=1), kind="stable") for part in (X, Z)]
    return X[by_distance[0]], Z[by_distance[1]]


# --- KLIEP ---------------------------------------------------------------------------------------------------------


def kliep(X: Array, X_target: Array, *, width: float | None = None) -> tuple[Array, bool]:
    """Kullback–Leibler importance estimation procedure (Sugiyama et al., NIPS 2007).

    Maximises Σ_t log(Aα)_t subject to α ≥ 0 and b^T α = 1, with A = k(X_target, centres) and b the mean of
    k(X, centres): a convex program, solved to its optimum (`tgsr.solvers.quadratic.mixture_likelihood`) for the
    shares β = b∘α, which stay finite where b is next to 0.

    Weights (n_source,) of mean 1 for X (n_source, r) and X_target (n_target, r). ``width`` is σ, by default the
    multiple of the median distance with the best likelihood in cross-validation over the target. The second result is
    whether the solver has converged.
    """
    # many small factorisations: a second BLAS thread would only wait
    with threadpool_limits(limits=1, user_api="blas"):
        source, target = _canonical_order(X, X_target)
        if width is None:
            scale = median_distance(X, X_target)
            widths = [factor * scale for factor in WIDTH_FACTORS]
            width = widths[int(np.argmax([_kliep_likelihood(source, target, sigma) for sigma in widths]))]
        ratios, _ = _ratios(source, target, width)
        shares, converged = mixture_likelihood(ratios)
        # k(x_i, centre)/b is what each centre gives a sample of the mean over all samples
        return len(X) * scipy.special.softmax(_log_kernel(X, target, width), axis=0) @ shares, converged


def _ratios(source: Array, target: Array, width: float) -> tuple[Array, Array]:
    """A/b with rows of largest entry 1, and the logarithms of what the rows were divided by."""
    log_b = scipy.special.logsumexp(_log_kernel(source, target, width), axis=0) - np.log(len(source))
    logs = _log_kernel(target, target, width) - log_b
    largest = logs.max(axis=1)
    return np.exp(logs - largest[:, None]), largest


def _kliep_likelihood(source: Array, target: Array, width: float) -> float:
    n_folds = min(_N_FOLDS, len(target))
    if n_folds < 2:
        return 0.0
    folds = np.arange(len(target)) % n_folds
    ratios, logs = _ratios(source, target, width)
    likelihoods = []
    for fold in range(n_folds):
        held = folds == fold
        values = ratios[held] @ mixture_likelihood(ratios[~held])[0]
        likelihoods.append((np.log(np.maximum(values, np.finfo(np.float64).tiny)) + logs[held]).mean())
    return float(np.mean(likelihoods))


# --- uLSIF ---------------------------------------------------------------------------------------------------------


def ulsif(X: Array, X_target: Array, *, width: float | None = None, ridge: float | None = None) -> Array:
    """Unconstrained least-squares importance fitting (Kanamori, Hido and Sugiyama, JMLR 2009).

    α = max(0, (Φ^T Φ/N_s + l·I)^{-1} φ̄) with Φ = k(X, centres), φ̄ the mean of k(X_target, centres).

    Weights (n_source,) of mean 1 (all 1 if every weight is 0) for X (n_source, r) and X_target (n_target, r). Where
    ``width`` σ or ``ridge`` l is not given, the value with the best leave-one-out score is taken.
    """
    source, target = _canonical_order(X, X_target)
    scale = median_distance(X, X_target)
    widths = [factor * scale for factor in WIDTH_FACTORS] if width is None else [width]
    candidates = list(itertools.product(widths, RIDGES if ridge is None else [ridge]))
    scores = [
        ulsif_loo_score(gaussian(source, target, sigma), gaussian(target, target, sigma), penalty)
        for sigma, penalty in candidates
    ]
    width, ridge = candidates[int(np.argmin(scores))]
    at_source = gaussian(source, target, width)
    H = at_source.T @ at_source / len(source)
    alpha = np.linalg.solve(H + ridge * np.eye(len(H)), gaussian(target, target, width).mean(axis=0))
    weights: Array = gaussian(X, target, width) @ np.maximum(alpha, 0)
    return weights / weights.mean() if weights.mean() > 0 else np.ones(len(X))


def ulsif_loo_score(at_source: Array, at_target: Array, ridge: float) -> float:
    """Leave-one-out score of uLSIF in closed form (Kanamori, Hido and Sugiyama 2009, section 4.2).

    Pair i leaves out source sample i and target sample i, for the first n = min(N_s, N_t) of each; the score is the
    mean of w_i(x_i^s)²/2 − w_i(x_i^t) with w_i fitted without the pair. Lower is better; 0 where there is only one
    sample of either. ``at_source`` (n_source, m) and ``at_target`` (n_target, m) are the kernel with the centres.
    """
    (n_source, m), n_target = at_source.shape, len(at_target)
    n = min(n_source, n_target)
    if n < 2:
        return 0.0
    Xs, Xt = at_source[:n].T, at_target[:n].T  # (m, n): one column a pair
    B = at_source.T @ at_source / n_source + ridge * (n_source - 1) / n_source * np.eye(m)
    inverse_Xs, inverse_Xt = np.linalg.solve(B, Xs), np.linalg.solve(B, Xt)
    inverse_h = np.linalg.solve(B, at_target.mean(axis=0))
    # rank-one downdates: B − x x^T/N_s for each pair's source sample
    denominator = n_source - np.einsum("ij,ij->j", Xs, inverse_Xs)
    from_h = inverse_h[:, None] + inverse_Xs * ((Xs.T @ inverse_h) / denominator)
    from_Xt = inverse_Xt + inverse_Xs * (np.einsum("ij,ij->j", Xs, inverse_Xt) / denominator)
    alpha = (n_source - 1) / (n_source * (n_target - 1)) * (n_target * from_h - from_Xt)
    alpha = np.maximum(alpha, 0)
    at_left_source, at_left_target = np.einsum("ij,ij->j", Xs, alpha), np.einsum("ij,ij->j", Xt, alpha)
    return float(np.mean(at_left_source**2 / 2 - at_left_target))


# --- KMM -----------------------------------------------------------------------------------------------------------


def kmm(kernel: Array, cross: Array, *, bound: float = 1000.0, linear: Array | None = None) -> tuple[Array, bool]:
    """Kernel mean matching (Huang, Smola, Gretton, Borgwardt and Schölkopf, NIPS 2006).

    min ½ s^T K s − κ^T s with κ_i = (N_s/N_t) Σ_j k(x_i, x_j^t), 0 ≤ s ≤ B and |Σ s − N_s| ≤ N_s·ε,
    ε = (√N_s − 1)/√N_s; 1e-8 is added to K's diagonal, which makes the weights unique.

    Weights (n_source,) for the source's kernel with itself and ``cross`` (n_source, n_target) with the target, as the
    program gives them (their mean is within ε of 1). ``linear`` (n_source,) is added to −κ: the weighted losses of the
    selective transfer machine. The second result is whether the weights are exact; see
    `tgsr.solvers.quadratic.bounded_budget_qp`.
    """
    n_source, n_target = cross.shape
    epsilon = (np.sqrt(n_source) - 1) / np.sqrt(n_source)
    kappa = n_source / n_target * cross.sum(axis=1)
    reward = kappa if linear is None else kappa - linear
    return bounded_budget_qp(kernel, reward, bound, n_source * (1 - epsilon), n_source * (1 + epsilon))
