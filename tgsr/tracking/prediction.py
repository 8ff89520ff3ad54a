"""Using a registered model on clips and feature files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets import load_features, load_released
from tgsr.errors import DataError, TgsrError
from tgsr.tracking.registry import model_extraction

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.features.extraction import ExtractionSettings

__all__ = ["ClipPredictions", "first_frame", "predict_clips", "predict_features"]


@dataclass(frozen=True, eq=False)
class ClipPredictions:
    """What a model says of clips.

    Attributes
    ----------
    table : DataFrame
        ``clip, label``, of TGSR also ``score_<class>…, regions``, a row for each clip that can be used.
    failed : tuple of str
        For each of the others, which it is and why.
    """

    table: pd.DataFrame
    failed: tuple[str, ...]


def predict_clips(model: Any, clips: Sequence[Path], crop: str = "auto") -> ClipPredictions:
    """Predict clips: folders of frames or video files. A clip that cannot be used does not stop the others.

    Parameters
    ----------
    model : loaded model
    clips : sequence of Path
    crop : {"auto", "face", "none"}
        Find the face and crop to it; "auto" does what was done with the clips that the model was trained on.

    Raises
    ------
    DataError
        If no clip can be used; the message names each and the reason.
    """
    from tgsr.features.extraction import path_features

    settings = _settings(model, crop)
    rows, used, failed = [], [], []
    for clip in clips:
        try:
            rows.append(path_features(clip, settings).ravel())
            used.append(str(clip))
        except TgsrError as error:
            failed.append(str(error))
    if not used:
        raise DataError("\n".join(failed))
    return ClipPredictions(_named(model.predict(np.array(rows)), "clip", used), tuple(failed))


def predict_features(model: Any, path: Path, database: str | None = None) -> pd.DataFrame:
    """Predict the rows of a feature file.

    Returns
    -------
    DataFrame
        ``sample, true, label``, of TGSR also ``score_<class>…, regions``.
    """
    data = load_released(path, database) if path.suffix == ".mat" else load_features(path)
    samples = data.sample_ids.tolist() if data.sample_ids is not None else list(range(len(data)))
    table = _named(model.predict(data.X.copy()), "sample", samples)
    table.insert(1, "true", [data.class_names[code] for code in data.labels])
    return table


def first_frame(model: Any, clip: Path, crop: str = "auto") -> npt.NDArray[np.generic]:
    """The first frame of a clip as the model sees it, cropped where `predict_clips` crops: shape (height, width)."""
    from tgsr.features.extraction import load_clip
    from tgsr.preprocessing import crop_face

    frame = np.asarray(load_clip(clip)[0])
    return np.asarray(crop_face(frame[None])[0]) if _settings(model, crop).crops(None) else frame


def _settings(model: Any, crop: str) -> ExtractionSettings:
    settings = model_extraction(model)
    return settings if crop == "auto" else replace(settings, crop=crop)


def _named(table: pd.DataFrame, column: str, names: Sequence[Any]) -> pd.DataFrame:
    table.insert(0, column, names)
    return table
