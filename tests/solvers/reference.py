"""Algorithm 1 in extended precision (`numpy.longdouble`, 64 bits of mantissa): what both solvers are compared with.

Independent of `tgsr.solvers`: nothing is shared with the batched recursion or the direct iteration, and no library
routine in double precision is used. X̃ is decomposed by one-sided Jacobi rotations, which keep small singular values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REAL = np.longdouble


class Reference(NamedTuple):
    """What Algorithm 1 ends with, and how near a decision in it was: the least relative gap to a tie."""

    coef: np.ndarray
    norms: np.ndarray
    n_iter: int
    converged: bool
    margin: float


def jacobi_svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors and singular values of a matrix (p, n), those that are not zero."""
    a = matrix.astype(REAL).T.copy()  # rows are the columns to be made orthogonal
    eps = np.finfo(REAL).eps
    scale = np.sqrt((a * a).sum())
    for _ in range(60):
        rotated = False
        for i in range(len(a) - 1):
            for j in range(i + 1, len(a)):
                alpha, beta, gamma = a[i] @ a[i], a[j] @ a[j], a[i] @ a[j]
                if abs(gamma) <= 4 * eps * np.sqrt(alpha * beta) or min(alpha, beta) <= (eps * scale) ** 2:
                    continue
                rotated = True
                zeta = (beta - alpha) / (2 * gamma)
                t = (1 if zeta >= 0 else -1) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
                cosine = 1 / np.sqrt(1 + t * t)
                a[i], a[j] = cosine * (a[i] - t * a[j]), cosine * (a[j] + t * a[i])
        if not rotated:
            break
    singular = np.sqrt((a * a).sum(axis=1))
    kept = singular > 16 * max(matrix.shape) * eps * scale
    return (a[kept] / singular[kept, None]).T, singular[kept]


def solve_extended(X, codes, n_classes, X_target, groups, kappa, xi, *, tol=1e-8, max_iter=1000) -> Reference:
    """Algorithm 1 with the published schedule; the D-step by the singular vectors of X̃."""
    X = X.astype(REAL)
    labels = np.zeros((len(X) + 1, n_classes), dtype=REAL)
    labels[np.arange(len(X)), codes] = 1
    gap = np.zeros(X.shape[1], dtype=REAL)
    if X_target is not None:
        gap = X.mean(axis=0) - X_target.astype(REAL).mean(axis=0)
    x = np.column_stack([X.T, np.sqrt(REAL(xi)) * gap])
    u, singular = jacobi_svd(x)
    members = [np.flatnonzero(groups == number) for number in np.unique(groups)]
    target = 2 * (u.T @ (x @ labels))
    c = np.ones((X.shape[1], n_classes), dtype=REAL)
    p = np.zeros_like(c)
    mu, margin, converged, n_iter = REAL("1e-3"), np.inf, False, 0
    while n_iter < max_iter and not converged:
        n_iter += 1
        rest = p + mu * c  # D = (μI + 2X̃X̃^T)^{-1}(2X̃L̃^T + P + μC), in the span of X̃ and outside of it
        inside = u.T @ rest
        d = u @ ((target + inside) / (mu + 2 * singular**2)[:, None] - inside / mu) + rest / mu
        q = d - p / mu
        norms = np.array([np.sqrt((q[rows] ** 2).sum()) for rows in members])
        ordered = np.sort(norms)[::-1]
        threshold = ordered[kappa] if kappa < len(members) else REAL(0)
        if kappa < len(members):
            others = np.abs(ordered - threshold) / max(threshold, np.finfo(np.float64).tiny)
            margin = min(margin, float(np.delete(others, kappa).min(initial=np.inf)))
        c = np.zeros_like(q)
        for rows, norm in zip(members, norms, strict=True):
            if norm > threshold:
                c[rows] = (1 - threshold / norm) * q[rows]
        p = p + mu * (c - d)
        distance = np.abs(c - d).max()
        margin = min(margin, float(abs(distance / tol - 1)))
        converged = bool(distance < tol)
        mu = min(REAL("1.1") * mu, REAL("1e15"))
    norms = np.array([np.sqrt((c[rows] ** 2).sum()) for rows in members])
    return Reference(c.astype(np.float64), norms.astype(np.float64), n_iter, converged, margin)
