"""Using a registered model on what lies on disk: clips, folders of clips, lists of clips, feature files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets import load_features, load_released
from tgsr.datasets._clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from tgsr.datasets._sheet import read_sheet
from tgsr.errors import DataError, MissingDataError, TgsrError
from tgsr.models._input import extraction_settings
from tgsr.models.registered import RegisteredModel

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.features.extraction import ExtractionSettings

__all__ = ["Predictions", "first_frame", "predict_clips", "predict_features"]

_TRUE = "true"
"""Column of the labels that are known."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of samples.

    The table has a row for each sample that can be used: its name (``clip`` or ``sample``), ``true`` where labels are
    known, then the model's answer; ``failed`` says of the others which they are and why. ``scores`` are ``accuracy``
    and ``macro_f1`` over the ``n`` samples with a label that the model knows; empty without any.
    """

    table: pd.DataFrame
    failed: tuple[str, ...]
    scores: dict[str, float]


def predict_clips(model: RegisteredModel, given: Sequence[Path], crop: str = "auto") -> Predictions:
    """Predict clips. One that cannot be used does not stop the others.

    Parameters
    ----------
    given : sequence of Path
        Clips (folders of frames, or video files), folders of clips, or CSVs with the column ``clip`` (paths relative
        to the CSV) and, if known, ``label``.
    crop : {"auto", "face", "none"}
        Find the face and crop to it; "auto" does what was done with the clips that the model was trained on.

    Raises
    ------
    DataError
        If no clip can be used; the message names each and the reason.
    """
    from tgsr.features.extraction import path_features

    settings = _settings(model, crop)
    rows, used, labels, failed = [], [], [], []
    for clip, label in (entry for path in given for entry in _expand(path)):
        try:
            rows.append(path_features(clip, settings).ravel())
        except TgsrError as error:
            failed.append(str(error))
            continue
        used.append(str(clip))
        labels.append(label)
    if not used:
        raise DataError("\n".join(failed))
    return _predictions(model, np.array(rows), "clip", used, labels if any(labels) else None, failed)


def predict_features(model: RegisteredModel, path: Path, database: str | None = None) -> Predictions:
    """Predict the rows of a feature file (of a ``.mat`` with several databases, of the one named)."""
    data = load_released(path, database) if path.suffix == ".mat" else load_features(path)
    samples = data.sample_ids.tolist() if data.sample_ids is not None else list(range(len(data)))
    labels = None if data.labels is None else [data.class_names[code] for code in data.labels]
    return _predictions(model, data.X, "sample", samples, labels, [])


def first_frame(model: RegisteredModel, clip: Path, crop: str = "auto") -> npt.NDArray[np.generic]:
    """The first frame of a clip as the model sees it, cropped where `predict_clips` crops: shape (height, width)."""
    from tgsr.features.extraction import load_clip
    from tgsr.preprocessing import crop_face

    frame = np.asarray(load_clip(clip)[0])
    return np.asarray(crop_face(frame[None])[0]) if _settings(model, crop).crops(None) else frame


def _settings(model: RegisteredModel, crop: str) -> ExtractionSettings:
    settings = extraction_settings(model.header.extraction)
    return settings if crop == "auto" else replace(settings, crop=crop)


def _expand(path: Path) -> Iterator[tuple[Path, str]]:
    """The clips that a path stands for, each with its label or an empty one."""
    if path.suffix.lower() == ".csv":
        for row in read_sheet(path, ("clip",)).rows:
            yield path.parent / row.text("clip"), row.text("label")
    elif path.is_dir() and not _has_frames(path):
        below = sorted(path.rglob("*"))
        clips = [one for one in below if (_has_frames(one) if one.is_dir() else one.suffix.lower() in VIDEO_SUFFIXES)]
        if not clips:
            raise MissingDataError(f"{path}: no clips in this folder, neither folders of images nor videos")
        yield from ((clip, "") for clip in clips)
    else:
        yield path, ""


def _has_frames(folder: Path) -> bool:
    return any(entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") for entry in folder.iterdir())


def _predictions(
    model: RegisteredModel,
    rows: npt.NDArray[np.float64],
    column: str,
    names: Sequence[Any],
    labels: Sequence[str] | None,
    failed: Sequence[str],
) -> Predictions:
    table = model.predict(rows)
    table.insert(0, column, names)
    if labels is not None:
        table.insert(1, _TRUE, labels)
    return Predictions(table, tuple(failed), _scores(table, model.header.class_names))


def _scores(table: pd.DataFrame, class_names: Sequence[str]) -> dict[str, float]:
    from tgsr.evaluation.metrics import score

    known = table[table[_TRUE].isin(class_names)] if _TRUE in table else table[:0]
    if known.empty:
        return {}
    true, predicted = (np.array([class_names.index(name) for name in known[key]]) for key in (_TRUE, "label"))
    scores = score(true, predicted, len(class_names))
    return {"n": float(len(known)), "accuracy": scores.accuracy, "macro_f1": scores.macro_f1}
