"""The registered models' common part, and TGSR's: label, class scores and salient regions from feature rows or clips.

It is logged as models from code: the code travels as files, the arrays as ``weights.npz``, and nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel

from tgsr.errors import DataError, TgsrError
from tgsr.files import atomic_path
from tgsr.solvers.simplex import project_simplex

__all__ = ["CLIP_SHAPE", "FeatureModel", "TgsrModel", "Weights", "load_weights", "save_weights"]

CLIP_SHAPE = "clip_shape"
"""Name of the parameter by which a row is announced as a clip: its frames, height and width."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What a model consists of.

    Attributes
    ----------
    coef : array of shape (n_features, n_classes)
    region_weights : array of shape (85,)
        Strength of each facial region; 0 where it is left out.
    class_names : tuple of str
    grouping : str
    extraction : mapping
        How features are made from clips (`tgsr.features.extraction.ExtractionSettings`).
    facts : mapping
        Experiment, κ, ξ, selection rule, digests: text.
    """

    coef: npt.NDArray[np.float64]
    region_weights: npt.NDArray[np.float64]
    class_names: tuple[str, ...]
    grouping: str
    extraction: Mapping[str, Any]
    facts: Mapping[str, str]

    @property
    def salient_regions(self) -> list[int]:
        """Kept regions, the strongest first."""
        order = np.argsort(-self.region_weights, kind="stable")
        return [int(region) for region in order if self.region_weights[region] > 0]


def save_weights(weights: Weights, path: Path) -> Path:
    """Write the model's arrays and facts to an ``.npz`` without pickles."""
    header = {
        "class_names": list(weights.class_names),
        "grouping": weights.grouping,
        "extraction": dict(weights.extraction),
        "facts": dict(weights.facts),
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, coef=weights.coef, region_weights=weights.region_weights, header=np.array(json.dumps(header))
        )
    return path


def load_weights(path: str | Path) -> Weights:
    """Read what `save_weights` wrote; a pickle in the file is refused."""
    with np.load(path, allow_pickle=False) as stored:
        header = json.loads(str(stored["header"]))
        return Weights(
            coef=stored["coef"],
            region_weights=stored["region_weights"],
            class_names=tuple(header["class_names"]),
            grouping=header["grouping"],
            extraction=header["extraction"],
            facts=header["facts"],
        )


class FeatureModel(PythonModel):
    """What registered models have in common: the rows of features in their input.

    Input, one of:

    - feature rows, float64 (n, 15045), canonical layout;
    - clips: a one-dimensional object array of arrays (frames, height, width), or of paths of frame folders and video
      files;
    - clips over HTTP: each a row of grey values, float64 (n, frames · height · width), with the parameter
      ``clip_shape`` = [frames, height, width].

    Clips are cropped to the face if those of the training were: the model wants frames like those it learned from.

    A subclass sets ``n_features`` and ``extraction`` (how features are made from clips) when it is loaded.
    """

    n_features: int
    extraction: Mapping[str, Any]

    def features(self, given: Any, params: Mapping[str, Any] | None) -> npt.NDArray[np.float64]:
        """Feature rows (n, n_features) of a model's input.

        Raises
        ------
        MlflowException
            If the input is none of what is described above.
        """
        try:
            return self._features(given, tuple(int(n) for n in (params or {}).get(CLIP_SHAPE, ())))
        except TgsrError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _features(self, given: Any, clip_shape: Sequence[int]) -> npt.NDArray[np.float64]:
        rows = np.asarray(given)
        if rows.dtype == object and rows.ndim == 1:
            return self._clips(rows)
        if rows.ndim != 2:
            raise MlflowException.invalid_parameter_value(
                f"input has shape {rows.shape}; give feature rows (n, {self.n_features}), or clips with {CLIP_SHAPE}"
            )
        if any(clip_shape):
            if len(clip_shape) != 3 or min(clip_shape) < 1 or int(np.prod(clip_shape)) != rows.shape[1]:
                raise MlflowException.invalid_parameter_value(
                    f"{CLIP_SHAPE} = {list(clip_shape)} does not fit rows of {rows.shape[1]} values; "
                    "give frames, height and width"
                )
            return self._clips(rows.astype(np.float64).reshape(len(rows), *clip_shape))
        if rows.shape[1] != self.n_features:
            raise MlflowException.invalid_parameter_value(
                f"feature rows have {rows.shape[1]} values, the model needs {self.n_features}; "
                f"for clips give {CLIP_SHAPE}"
            )
        features = rows.astype(np.float64)
        if not np.isfinite(features).all():
            raise MlflowException.invalid_parameter_value("feature rows hold NaN or infinite values")
        return features

    def _clips(self, clips: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        from tgsr.features.extraction import ExtractionSettings, clip_features, path_features

        settings = ExtractionSettings.from_dict(self.extraction)
        features = []
        for number, clip in enumerate(clips, start=1):
            if isinstance(clip, (str, Path)):
                features.append(path_features(clip, settings).ravel())
                continue
            try:
                features.append(clip_features(clip, settings).ravel())
            except DataError as error:
                raise DataError(f"clip {number}: {error}") from error
        return np.array(features)


class TgsrModel(FeatureModel):
    """MLflow's view of a fitted TGSR; its input is that of `FeatureModel`.

    Output: a DataFrame with ``label``, ``score_<class>`` (the simplex projection, Equ. (8)) and ``regions`` (indices of
    the kept regions, strongest first).
    """

    weights: Weights

    def load_context(self, context: Any) -> None:
        """Read the weights; called by MLflow."""
        self.weights = load_weights(context.artifacts["weights"])
        self.n_features, self.extraction = len(self.weights.coef), self.weights.extraction

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict; see the class."""
        decisions = self.features(model_input, params) @ self.weights.coef
        names = self.weights.class_names
        scores = project_simplex(decisions)
        table = pd.DataFrame({"label": [names[code] for code in decisions.argmax(axis=1)]})
        for index, name in enumerate(names):
            table[f"score_{name}"] = scores[:, index]
        table["regions"] = [self.weights.salient_regions] * len(table)
        return table
