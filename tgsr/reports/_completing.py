"""What stored results lack for a report, computed from the databases: the chosen trial's groups and confusion."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tgsr.errors import DataError
from tgsr.estimators.methods import get_method
from tgsr.estimators.sweep import prepare_sweep
from tgsr.evaluation._metrics import confusion_matrices
from tgsr.reports._records import StudyRecord

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["complete_record"]


def complete_record(record: StudyRecord, pair: DatabasePair) -> StudyRecord:
    """Add the confusion matrix and the kept groups of the chosen trial, where they are missing.

    The confusion matrix is counted from the stored predictions; for the groups the chosen trial is fitted again.

    Raises
    ------
    DataError
        If the databases are not those of the study.
    """
    best = record.best
    if best is None or (record.confusion is not None and (record.group_norms is not None or not record.grouping)):
        return record
    for role, data in (("source", pair.source), ("target", pair.target)):
        if data.digest != record.digests[role]:
            raise DataError(
                f"{data.name} (digest {data.digest[:12]}) is not the {role} that {record.title} was made with "
                f"({record.digests[role][:12]}); give the folder with the same feature files"
            )
    norms = record.group_norms
    if norms is None and record.grouping:
        norms = _fitted_norms(record, pair, best.settings)
    return replace(record, group_norms=norms, confusion=_confusion(record, pair), class_names=pair.class_names)


def _confusion(record: StudyRecord, pair: DatabasePair) -> npt.NDArray[np.int64] | None:
    assert record.best is not None
    labels, predictions = pair.target.labels, record.best.row.get("predictions")
    if labels is None or not isinstance(predictions, str) or len(predictions) != len(labels):
        return record.confusion
    codes = np.array([[int(digit, 36) for digit in predictions]])
    matrix: npt.NDArray[np.int64] = confusion_matrices(labels, codes, len(pair.class_names))[0]
    return matrix


def _fitted_norms(
    record: StudyRecord, pair: DatabasePair, settings: dict[str, object]
) -> npt.NDArray[np.float64] | None:
    fixed = record.fixed if pair.source.groups is None else {**record.fixed, "groups": pair.source.groups}
    estimator = get_method(record.method).make(**fixed)
    source = pair.source
    sweep = prepare_sweep(estimator, source.X, source.known_labels, pair.target.X, n_classes=len(pair.class_names))
    norms: npt.NDArray[np.float64] | None = sweep([settings])[0].group_norms
    return norms
