"""Using a registered model on what lies on disk: clips, folders of clips, lists of clips, feature files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.datasets import (
    Clip,
    ClipCollection,
    align_features,
    check_extraction,
    clip_list,
    import_features,
    is_feature_file,
    load_features,
    load_folder,
    load_released,
    load_table,
    one_spelling,
    read_frames,
)
from tgsr.errors import DataError, MissingDataError, TgsrError
from tgsr.files import reading
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
    and ``macro_f1`` over the ``n`` samples with a label that the model knows, in capitals or not; empty without any.
    ``notes`` are remarks for the user. ``clips`` are those of the rows, where it was given clips.
    """

    table: pd.DataFrame
    failed: tuple[str, ...]
    scores: dict[str, float]
    notes: tuple[str, ...] = ()
    clips: tuple[Clip, ...] = ()


def predict_clips(model: RegisteredModel, given: Sequence[Path], crop: str = "auto") -> Predictions:
    """Predict clips. One that cannot be used does not stop the others.

    Parameters
    ----------
    given : sequence of Path
        Clips (folders of frames, or films), folders of clips, or lists of clips, read as `tgsr.datasets.load_clips`
        reads them: with ``onset``, ``offset``, ``cropped`` and, if known, ``label``.
    crop : {"auto", "face", "none"}
        Find the face and crop to it; "auto" does what a list of clips says, else what was done with the clips that the
        model was trained on.

    Raises
    ------
    DataError
        If no clip can be used; the message names each and the reason.
    """
    from tgsr.features.extraction import clip_features

    rows, used, notes = [], [], list[str]()
    failed: list[TgsrError] = []
    for path in given:
        try:
            collection = _find_clips(path)
        except TgsrError as error:
            failed.append(error)
            continue
        notes += collection.notes
        for entry in collection.skipped:
            where = "" if str(entry.path) in entry.reason else f"{entry.path}: "
            failed.append(DataError(f"{where}{entry.reason}"))
        for clip in collection.clips:
            told = list[str]()
            try:
                with reading(clip.path):
                    rows.append(clip_features(read_frames(clip, told), _settings(model, crop, clip)).ravel())
            except TgsrError as error:
                failed.append(error)
            else:
                notes += [f"{clip.path}: {note}" for note in told]
                used.append(clip)
    if not used:
        raise failed[0] if len(failed) == 1 else DataError("\n".join(map(str, failed)))
    names = [str(clip.path.parent / Path(clip.id).name) for clip in used]  # of several events of a recording: x@9-14
    labels = [clip.label or "" for clip in used]
    predictions = _predictions(model, np.array(rows), "clip", names, labels if any(labels) else None)
    return replace(predictions, failed=tuple(map(str, failed)), notes=(*notes, *predictions.notes), clips=tuple(used))


def predict_features(model: RegisteredModel, path: Path, database: str | None = None) -> Predictions:
    """Predict the rows of a file: our own, a released ``.mat`` (of several databases the one named), or an import.

    Raises
    ------
    DataError
        If it cannot be read, or has other features than those that the model was trained on.
    """
    if path.suffix.lower() == ".mat":
        data = load_released(path, database)
    else:
        data = load_features(path) if is_feature_file(path) else import_features(path, database or "imported")
    samples = data.sample_ids.tolist() if data.sample_ids is not None else list(range(len(data)))
    labels = None if data.labels is None else [data.class_names[code] for code in data.labels]
    check_extraction(model.header.extraction, data.parameters, f"the model's clips and {path}")
    rows = align_features(model.header.feature_names, data.feature_names, data.X)
    return _predictions(model, rows, "sample", samples, labels)


def first_frame(model: RegisteredModel, clip: Clip | Path, crop: str = "auto") -> npt.NDArray[np.generic]:
    """The first frame of a clip as the model sees it, cropped where `predict_clips` crops: shape (height, width)."""
    from tgsr.preprocessing import crop_face

    clip = clip if isinstance(clip, Clip) else _find_clips(clip).clips[0]
    frame = np.asarray(read_frames(clip)[0])
    return np.asarray(crop_face(frame[None])[0]) if _settings(model, crop, clip).crops(None) else frame


def _settings(model: RegisteredModel, crop: str, clip: Clip) -> ExtractionSettings:
    settings = extraction_settings(model.header.extraction)
    if crop == "auto" and clip.cropped is not None:
        crop = "none" if clip.cropped else "face"
    return settings if crop == "auto" else replace(settings, crop=crop)


def _find_clips(path: Path) -> ClipCollection:
    """The clips that a path stands for. Only a list says of them whether they are cropped."""
    if not path.exists():
        raise MissingDataError(f"{path}: no such clip, folder of clips or list of clips")
    with reading(path):
        if (table := clip_list(path)) is not None:
            return load_table("", table, to_predict=True)
        found = load_folder("", path)
        return replace(found, clips=tuple(replace(clip, cropped=None) for clip in found.clips))


def _predictions(
    model: RegisteredModel,
    rows: npt.NDArray[np.float64],
    column: str,
    names: Sequence[Any],
    labels: Sequence[str] | None,
) -> Predictions:
    from tgsr.evaluation.metrics import score

    table = model.predict(rows)
    table.insert(0, column, names)
    if labels is None:
        return Predictions(table, (), {})
    class_names = model.header.class_names
    table.insert(1, _TRUE, one_spelling(labels, class_names)[0])
    unknown = sorted({*table[_TRUE]} - {*class_names, ""})
    note = f"labels that are none of the model's classes are not scored: {', '.join(unknown)}"
    known = table[table[_TRUE].isin(class_names)]
    shown: dict[str, float] = {}
    if len(known):
        true, predicted = (np.array([class_names.index(name) for name in known[key]]) for key in (_TRUE, "label"))
        scores = score(true, predicted, len(class_names))
        shown = {"n": float(len(known)), "accuracy": scores.accuracy, "macro_f1": scores.macro_f1}
    return Predictions(table, (), shown, (note,) if unknown else ())
