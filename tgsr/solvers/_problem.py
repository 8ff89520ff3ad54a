"""The data of problem (1), sorted by group, and the settings of Algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.protocols import check_choice, check_integer, check_number

__all__ = ["Problem", "SolverSettings"]


@dataclass(frozen=True)
class SolverSettings:
    """Settings of Algorithm 1; the defaults are the paper's.

    Parameters
    ----------
    mu : float
        First penalty μ > 0.
    rho : float
        Factor of μ an iteration, ≥ 1.
    mu_max : float
        Largest penalty.
    tol : float
        Stop when max|C − D| < tol.
    max_iter : int
        Give up after so many iterations; ``converged`` then tells.
    init : {"ones", "zeros"}
        The matrix C that the iteration starts from; the paper's is all ones.
    """

    mu: float = 1e-3
    rho: float = 1.1
    mu_max: float = 1e15
    tol: float = 1e-8
    max_iter: int = 1000
    init: str = "ones"

    def __post_init__(self) -> None:
        for name in ("mu", "mu_max", "tol"):
            check_number(name, getattr(self, name), strict=True)
        check_number("rho", self.rho, 1.0)
        check_integer("max_iter", self.max_iter, 1)
        check_choice("init", self.init, ("ones", "zeros"))

    @property
    def start(self) -> float:
        """Every entry of the first C."""
        return float(self.init == "ones")


@dataclass(frozen=True, eq=False)
class Problem:
    """Problem (1) for every ξ at once: features as rows, sorted so that each group's rows are consecutive.

    Attributes
    ----------
    rows : array of shape (p, n)
        [X^s, mean_s X^s − mean_t X^t] with n = n_source + 1; the last column still lacks its factor √ξ.
    labels : array of shape (n, n_classes)
        L̃^T: one-hot labels, and a last row of zeros.
    target : array of shape (p, n_target)
        X^t in the same row order (no columns where no target is given).
    new : array of shape (p, n_new) or None
        Samples to be predicted besides, likewise.
    order : array of int, shape (p,)
        The original feature of each row.
    starts : array of int, shape (n_groups + 1,)
        Group i's rows are starts[i] … starts[i + 1] − 1.
    """

    rows: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    new: npt.NDArray[np.float64] | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups K."""
        return len(self.starts) - 1

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.labels.shape[1])

    @classmethod
    def build(
        cls,
        X: npt.NDArray[np.float64],
        codes: npt.NDArray[np.integer],
        n_classes: int,
        X_target: npt.NDArray[np.float64] | None,
        groups: npt.NDArray[np.integer],
        X_new: npt.NDArray[np.float64] | None = None,
    ) -> Problem:
        """Assemble the problem.

        Parameters
        ----------
        X : array of shape (n_source, p)
        codes : array of int, shape (n_source,)
            Class indices 0…n_classes − 1.
        n_classes : int
        X_target : array of shape (n_target, p), or None for no adaptation
        groups : array of int, shape (p,)
            A group number for every feature; groups are taken in ascending order of their numbers.
        X_new : array of shape (n_new, p), optional
            Samples to be predicted that nothing is adapted to.

        Raises
        ------
        DataError
            If shapes disagree, there are no samples, or a value is not finite.
        """
        groups = np.asarray(groups)
        if X.ndim != 2 or len(X) == 0 or X.shape[1] == 0:
            raise DataError(f"source features have shape {X.shape}; expected (n_source, n_features), both at least 1")
        if groups.shape != (X.shape[1],):
            raise DataError(f"{groups.size} group numbers for {X.shape[1]} features; every feature needs one")
        labels = _one_hot(codes, len(X), n_classes)
        for name, values in (("source", X), ("target", X_target), ("new", X_new)):
            if values is None:
                continue
            if values.ndim != 2 or values.shape[1] != X.shape[1] or len(values) == 0:
                raise DataError(f"{name} features have shape {values.shape}; expected (n_{name} ≥ 1, {X.shape[1]})")
            if not np.isfinite(values).all():
                raise DataError(f"{name} features hold NaN or infinite values")
        order = np.argsort(groups, kind="stable")
        sizes = np.unique(groups, return_counts=True)[1]
        difference = np.zeros(X.shape[1]) if X_target is None else X.mean(axis=0) - X_target.mean(axis=0)
        rows = np.empty((X.shape[1], len(X) + 1))
        rows[:, :-1] = X.T[order]
        rows[:, -1] = difference[order]
        target = np.empty((X.shape[1], 0)) if X_target is None else np.ascontiguousarray(X_target.T[order])
        new = None if X_new is None else np.ascontiguousarray(X_new.T[order])
        return cls(rows, labels, target, order, np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp), new)

    def relabelled(self, codes: npt.NDArray[np.integer]) -> Problem:
        """The problem with other labels (n_source,) of the same samples; the errors are those of `build`."""
        return replace(self, labels=_one_hot(codes, len(self.labels) - 1, self.n_classes))

    def scaled_rows(self, xi: float) -> npt.NDArray[np.float64]:
        """X̃ of Equ. (2): the rows with √ξ on the last column."""
        rows = self.rows.copy()
        rows[:, -1] *= np.sqrt(xi)
        return rows

    def original_order(self, coef: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Bring the rows of C (p, n_classes) back to the original order of the features."""
        # a fifth of the time that an assignment by indices takes
        return np.take(coef, self._places, axis=0)

    @cached_property
    def _places(self) -> npt.NDArray[np.intp]:
        """The row of each original feature, shape (p,)."""
        return np.argsort(self.order)


def _one_hot(codes: npt.NDArray[np.integer], n: int, n_classes: int) -> npt.NDArray[np.float64]:
    """L̃^T: shape (n + 1, n_classes)."""
    codes = np.asarray(codes)
    if codes.shape != (n,) or codes.min() < 0 or codes.max() >= n_classes:
        raise DataError(f"class indices must be {n} integers in 0…{n_classes - 1}")
    labels = np.zeros((n + 1, n_classes))
    labels[np.arange(n), codes] = 1.0
    return labels
