"""The registered model of another method than TGSR: labels from feature rows or clips.

The fitted estimator travels as a skops file, which is data: types are named in it, and of those that are not NumPy's,
SciPy's or scikit-learn's only the ones listed here are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io

from tgsr.errors import TrackingError
from tgsr.estimators.base import TransferClassifier
from tgsr.files import write_text
from tgsr.tracking.model import FeatureModel

__all__ = ["TRUSTED", "FittedMethod", "MethodModel", "load_method", "save_method"]

TRUSTED = tuple(
    f"tgsr.estimators.{name}"
    for name in (
        "drls.DRLSClassifier",
        "drls._ArgmaxRule",
        "iwsvm.IWSVMClassifier",
        "kernel_svm.LinearRule",
        "span.Span",
        "stm.STMClassifier",
        "stm._OneAgainstRest",
        "subspace.GFKClassifier",
        "subspace.SAClassifier",
        "svm.SVMClassifier",
        "tca.TCAClassifier",
        "tkl.TKLClassifier",
        "tsrg.TSRGClassifier",
    )
)
"""Our types that a model's file may hold."""

_ESTIMATOR, _HEADER = "estimator.skops", "model.json"


@dataclass(frozen=True, eq=False)
class FittedMethod:
    """What a model consists of.

    Attributes
    ----------
    estimator : TransferClassifier
        Fitted; its labels are class indices.
    class_names : tuple of str
    extraction : mapping
        How features are made from clips (`tgsr.features.extraction.ExtractionSettings`).
    """

    estimator: TransferClassifier
    class_names: tuple[str, ...]
    extraction: Mapping[str, Any]


def save_method(fitted: FittedMethod, folder: Path) -> dict[str, str]:
    """Write the model's files into a folder; gives MLflow's name → path of each."""
    skops.io.dump(fitted.estimator, folder / _ESTIMATOR)
    header = {"class_names": list(fitted.class_names), "extraction": dict(fitted.extraction)}
    write_text(folder / _HEADER, json.dumps(header))
    return {"estimator": str(folder / _ESTIMATOR), "header": str(folder / _HEADER)}


def load_method(estimator: str | Path, header: str | Path) -> FittedMethod:
    """Read what `save_method` wrote.

    Raises
    ------
    TrackingError
        If the file holds types that a model has no need of: none of them is made.
    """
    try:
        fitted = skops.io.load(estimator, trusted=TRUSTED)
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise TrackingError(f"{estimator} is refused: it holds types that no model of ours has ({error})") from error
    stored = json.loads(Path(header).read_text(encoding="utf-8"))
    return FittedMethod(fitted, tuple(stored["class_names"]), stored["extraction"])


class MethodModel(FeatureModel):
    """MLflow's view of a fitted method; its input is that of `FeatureModel`.

    Output: a DataFrame with ``label``.
    """

    fitted: FittedMethod

    def load_context(self, context: Any) -> None:
        """Read the estimator; called by MLflow."""
        self.fitted = load_method(context.artifacts["estimator"], context.artifacts["header"])
        self.n_features, self.extraction = self.fitted.estimator.n_features_in_, self.fitted.extraction

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict; see the class."""
        codes = self.fitted.estimator.predict(self.features(model_input, params))
        return pd.DataFrame({"label": [self.fitted.class_names[code] for code in codes]})
