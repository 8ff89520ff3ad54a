"""Features brought to a scale before a method sees them: scikit-learn's transformers, each database by itself.

The published rows are of histograms as they are (``"none"``). Features of other extractors have other sizes, and
databases differ in them: see README.md for what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import MaxAbsScaler, RobustScaler, StandardScaler, normalize

from tgsr.errors import DataError
from tgsr.protocols import check_choice

__all__ = ["PREPROCESSES", "Preprocessing", "Scaling", "fit_preprocessing"]

Array = npt.NDArray[np.float64]

PREPROCESSES = ("none", "standard", "robust", "maxabs", "unit", "standard+unit")
"""What can be done to the rows of a database.

``standard``: mean 0 and variance 1 of every feature; ``robust``: median 0 and interquartile range 1; ``maxabs``: a
largest absolute value of 1; ``unit``: every row of length 1; ``standard+unit``: one after the other.
"""

_SCALERS = {"standard": (StandardScaler, "mean_"), "robust": (RobustScaler, "center_"), "maxabs": (MaxAbsScaler, None)}


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the rows of one database go through: (x − offset)/scale, then unit length, where they are given.

    All three are plain data: arrays of shape (n_features,) or None, and a bool.
    """

    offset: Array | None = None
    scale: Array | None = None
    unit: bool = False

    @classmethod
    def of(cls, name: str, X: npt.ArrayLike) -> Scaling:
        """Fit one of `PREPROCESSES` to the rows X (n, n_features) of a database.

        Raises
        ------
        ParameterError
            If there is none of this name.
        DataError
            If the database has only one row, so that its features have no spread.
        """
        check_choice("preprocess", name, PREPROCESSES)
        rows, (scaler, *unit) = np.asarray(X, dtype=np.float64), name.split("+")
        if scaler not in _SCALERS:
            return cls(unit=scaler == "unit")
        if len(rows) < 2:
            raise DataError(f"preprocess = {name}: features of one sample have no spread; use unit or none")
        make, centre = _SCALERS[scaler]
        fitted = make().fit(rows)
        return cls(getattr(fitted, centre) if centre else None, fitted.scale_, bool(unit))

    def transform(self, X: npt.ArrayLike) -> Array:
        """Rows X (n, n_features) of this database, also new ones, as a method takes them."""
        rows: Array = np.asarray(X, dtype=np.float64)
        if self.offset is not None:
            rows = rows - self.offset
        if self.scale is not None:
            rows = rows / self.scale
        return np.asarray(normalize(rows)) if self.unit else rows


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """The scalings of a pair of databases, each fitted to its own rows: no label is used."""

    of_source: Scaling
    of_target: Scaling

    def source(self, X: npt.ArrayLike) -> Array:
        """Rows X (n, n_features) of the source as a method takes them."""
        return self.of_source.transform(X)

    def target(self, X: npt.ArrayLike) -> Array:
        """Rows X (n, n_features) of the target, also new ones, as a method takes them."""
        return self.of_target.transform(X)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays, to be stored and given to `from_arrays`; empty where nothing is done."""
        parts = {
            f"{side}_{part}": getattr(scaling, part)
            for side, scaling in (("source", self.of_source), ("target", self.of_target))
            for part in ("offset", "scale", "unit")
        }
        return {name: np.asarray(value) for name, value in parts.items() if value is not None and value is not False}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Preprocessing:
        """The preprocessing that `to_arrays` made them of."""
        sides = (
            Scaling(arrays.get(f"{side}_offset"), arrays.get(f"{side}_scale"), f"{side}_unit" in arrays)
            for side in ("source", "target")
        )
        return cls(*sides)


def fit_preprocessing(name: str, X: npt.ArrayLike, X_target: npt.ArrayLike) -> Preprocessing:
    """Fit one of `PREPROCESSES` to the source's rows X and the target's, each by itself.

    Of several databases that are pooled, each should go through a `Scaling` of its own before it is pooled.

    Parameters
    ----------
    name : str
    X : array of shape (n_source, n_features)
    X_target : array of shape (n_target, n_features)

    Raises
    ------
    ParameterError
        If there is none of this name.
    DataError
        If a database has only one row, so that its features have no spread.
    """
    return Preprocessing(Scaling.of(name, X), Scaling.of(name, X_target))
