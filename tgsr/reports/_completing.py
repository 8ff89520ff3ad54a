"""What stored results lack for a report, computed from the databases: the chosen trial's groups and confusion."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tgsr.errors import DataError
from tgsr.estimators.methods import get_method
from tgsr.estimators.sweep import prepare_sweep
from tgsr.evaluation import score
from tgsr.reports._records import StudyRecord
from tgsr.tracking._trial import decode_predictions

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
    best, norms, confusion = record.best, record.group_norms, record.confusion
    if best is None or (confusion is not None and (norms is not None or not record.grouping)):
        return record
    for role, data in (("source", pair.source), ("target", pair.target)):
        if data.digest != record.digests[role]:
            raise DataError(
                f"{data.name} (digest {data.digest[:12]}) is not the {role} that {record.title} was made with "
                f"({record.digests[role][:12]}); give the folder with the same feature files"
            )
    source, target, n_classes = pair.source, pair.target, len(pair.class_names)
    if norms is None and record.grouping:
        own_groups = {} if source.groups is None else {"groups": source.groups}
        estimator = get_method(record.method).make(**{**record.fixed, **own_groups})
        sweep = prepare_sweep(estimator, source.X, source.known_labels, target.X, n_classes=n_classes)
        norms = sweep([best.settings])[0].group_norms
    predictions = best.row.get("predictions")
    if target.labels is not None and isinstance(predictions, str):
        confusion = score(target.labels, decode_predictions(predictions), n_classes).confusion
    return replace(record, group_norms=norms, confusion=confusion, class_names=pair.class_names)
