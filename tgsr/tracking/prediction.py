"""Using a registered model on clips and feature files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tgsr.datasets import load_features, load_released

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["first_frame", "predict_clips", "predict_features"]


def predict_clips(model: Any, clips: Sequence[Path]) -> pd.DataFrame:
    """Predict clips: folders of frames or video files.

    Returns
    -------
    DataFrame
        ``clip, label, score_<class>…, regions``, a row a clip.

    Raises
    ------
    MissingDataError, DataError
        If a clip is not there or cannot be used; the message names it.
    """
    from tgsr.features.extraction import load_clip

    entries = np.empty(len(clips), dtype=object)
    for index, clip in enumerate(clips):
        entries[index] = np.stack(load_clip(clip))  # read here, so that what is wrong with a file is our own error
    return _named(model.predict(entries), "clip", [str(clip) for clip in clips])


def predict_features(model: Any, path: Path, database: str | None = None) -> pd.DataFrame:
    """Predict the rows of a feature file.

    Returns
    -------
    DataFrame
        ``sample, true, label, score_<class>…, regions``.
    """
    data = load_released(path, database) if path.suffix == ".mat" else load_features(path)
    samples = data.sample_ids.tolist() if data.sample_ids is not None else list(range(len(data)))
    table = _named(model.predict(data.X.copy()), "sample", samples)
    table.insert(1, "true", [data.class_names[code] for code in data.labels])
    return table


def first_frame(clip: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The first frame of a clip."""
    from tgsr.features.extraction import load_clip

    return load_clip(clip)[0]


def _named(table: pd.DataFrame, column: str, names: Sequence[Any]) -> pd.DataFrame:
    table.insert(0, column, names)
    return table
