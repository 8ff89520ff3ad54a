"""Features brought to a scale before a method sees them: scikit-learn's transformers, each database by itself.

The estimators take features as they are, and the published rows are of histograms as they are (``"none"``). Features
of other extractors have other sizes, and databases differ in them: see README.md for what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import MaxAbsScaler, RobustScaler, StandardScaler, normalize

from tgsr.errors import DataError
from tgsr.protocols import check_choice

__all__ = ["PREPROCESSES", "Scaling"]

Array = npt.NDArray[np.float64]

PREPROCESSES = ("none", "standard", "robust", "maxabs", "unit", "standard+unit")
"""What can be done to each database's rows.

``standard``: mean 0 and variance 1 of every feature; ``robust``: median 0 and interquartile range 1; ``maxabs``: a
largest absolute value of 1; ``unit``: every row of length 1; ``standard+unit``: one after the other.
"""

_SCALERS = {"standard": (StandardScaler, "mean_"), "robust": (RobustScaler, "center_"), "maxabs": (MaxAbsScaler, "")}


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
