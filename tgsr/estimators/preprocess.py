"""Features brought to a scale before a method sees them: scikit-learn's transformers, each database by itself.

The estimators take features as they are, and the published rows are of histograms as they are (``"none"``). Features
of other extractors have other sizes, and databases differ in them: see README.md for what was measured.
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

__all__ = ["PREPROCESSES", "Preprocessor", "Scaling", "make_preprocessor"]

Array = npt.NDArray[np.float64]

PREPROCESSES = ("none", "standard", "robust", "maxabs", "unit", "standard+unit")
"""What can be done to each database's rows.

``standard``: mean 0 and variance 1 of every feature; ``robust``: median 0 and interquartile range 1; ``maxabs``: a
largest absolute value of 1; ``unit``: every row of length 1; ``standard+unit``: one after the other.
"""

_SCALERS = {"standard": (StandardScaler, "mean_"), "robust": (RobustScaler, "center_"), "maxabs": (MaxAbsScaler, "")}
_PARTS = ("offset", "scale")


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the rows of one database go through: (x − offset)/scale, then unit length."""

    offset: Array | None = None  # (n_features,)
    scale: Array | None = None  # (n_features,)
    unit: bool = False

    @classmethod
    def of(cls, name: str, X: npt.ArrayLike) -> Scaling:
        """Fit one of `PREPROCESSES` to the rows (n, n_features) of a database.

        Raises
        ------
        ParameterError
            If there is none of this name.
        DataError
            If the database has one row only, whose features have no spread to be divided by.
        """
        rows = np.asarray(X, dtype=np.float64)
        check_choice("preprocess", name, PREPROCESSES)
        scaler, _, unit = name.partition("+")
        if scaler not in _SCALERS:
            return cls(unit=scaler == "unit")
        if len(rows) < 2:
            raise DataError(f"preprocess = {name}: one sample only, which has no spread; use unit or none")
        make, centre = _SCALERS[scaler]
        fitted = make().fit(rows)
        return cls(getattr(fitted, centre) if centre else None, fitted.scale_, bool(unit))

    def transform(self, X: npt.ArrayLike) -> Array:
        """Rows (n, n_features) of this database, also new ones, as the method takes them."""
        rows: Array = np.asarray(X, dtype=np.float64)
        rows = rows if self.offset is None else rows - self.offset
        rows = rows if self.scale is None else rows / self.scale
        return np.asarray(normalize(rows)) if self.unit else rows

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """What must be kept beside the name, to be given to `restore`."""
        found = {prefix + part: getattr(self, part) for part in _PARTS}
        return {name: values for name, values in found.items() if values is not None}

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, Any], prefix: str = "") -> Scaling:
        """The scaling of which `arrays` kept the numbers."""
        check_choice("preprocess", name, PREPROCESSES)
        return cls(arrays.get(f"{prefix}offset"), arrays.get(f"{prefix}scale"), "unit" in name)


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """The scalings of a pair of databases, each fitted to its own rows."""

    name: str
    of_source: Scaling
    of_target: Scaling

    def source(self, X: npt.ArrayLike) -> Array:
        """Rows (n, n_features) of the source as the method takes them."""
        return self.of_source.transform(X)

    def target(self, X: npt.ArrayLike) -> Array:
        """Rows (n, n_features) of the target, also new ones, as the method takes them."""
        return self.of_target.transform(X)


def make_preprocessor(name: str, X: npt.ArrayLike, X_target: npt.ArrayLike) -> Preprocessor:
    """Fit one of `PREPROCESSES` to both databases, each to its own rows; the errors are those of `Scaling.of`.

    Parameters
    ----------
    name : str
    X : array of shape (n_source, n_features)
    X_target : array of shape (n_target, n_features)
    """
    return Preprocessor(name, Scaling.of(name, X), Scaling.of(name, X_target))
