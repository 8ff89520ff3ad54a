"""Projection onto the probability simplex, Equ. (8) of the paper."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["project_simplex"]


def project_simplex(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Project each row onto {p : p ≥ 0, Σp = 1} in the Euclidean norm (Equ. (8)).

    Parameters
    ----------
    rows : array of shape (n, n_classes)

    Returns
    -------
    array of shape (n, n_classes)
        The projection keeps the order of each row's entries, so its argmax is that of ``rows`` (Equ. (9)).

    Notes
    -----
    The threshold is found by sorting: Duchi et al., "Efficient projections onto the l1-ball", ICML 2008, Fig. 1.
    """
    # adding a constant to a row does not move its projection: with a largest entry of 0 the 1 is never rounded away
    rows = rows - rows.max(axis=1, keepdims=True)
    descending = -np.sort(-rows, axis=1)
    excess = np.cumsum(descending, axis=1) - 1.0
    ranks = np.arange(1, rows.shape[1] + 1)
    n_positive = np.count_nonzero(descending > excess / ranks, axis=1)
    threshold = excess[np.arange(len(rows)), n_positive - 1] / n_positive
    projected: npt.NDArray[np.float64] = np.maximum(rows - threshold[:, None], 0.0)
    return projected
