"""What Algorithm 1 gives for one (κ, ξ)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["TIE", "CellSolution"]

TIE = 1e-7
"""A shrink factor up to this is rounding: the group's norm is the threshold, and the group is not kept."""

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellSolution:
    """Algorithm 1's result for one (κ, ξ).

    Attributes
    ----------
    kappa, xi
        The cell.
    n_iter : int
    converged : bool
        Whether max|C − D| < tol was reached.
    complete : bool
        Whether κ groups were kept. Where the κ-th and the (κ + 1)-th norm are equal, if only up to rounding (`TIE`),
        the threshold removes both.
    objective : float
        Value of Equ. (2) with the last λ.
    lam : float
        The last λ = μ·d_(κ+1).
    group_norms : array of shape (n_groups,)
        ‖C_i‖_F; exactly 0 for the groups left out.
    source_decisions : array of shape (n_source, n_classes)
        C^T x of every source sample.
    target_decisions : array of shape (n_target, n_classes)
        C^T x of every target sample; the largest entry is the predicted class, Equ. (9).
    new_decisions : array of shape (n_new, n_classes) or None
        The same for samples that nothing is adapted to.
    """

    kappa: int
    xi: float
    n_iter: int
    converged: bool
    complete: bool
    objective: float
    lam: float
    group_norms: _FloatArray
    source_decisions: _FloatArray
    target_decisions: _FloatArray
    _coef: Callable[[], _FloatArray] = field(repr=False)
    new_decisions: _FloatArray | None = None

    def coef(self) -> _FloatArray:
        """C (n_features, n_classes), in the original order of the features; made anew at each call."""
        return self._coef()
