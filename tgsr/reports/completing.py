"""What stored results lack for a report, computed from the databases: the chosen trial's regions and confusion."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tgsr.errors import DataError, MissingDataError
from tgsr.evaluation.grid import make_solver
from tgsr.evaluation.metrics import confusion_matrices
from tgsr.protocols import get_experiment
from tgsr.reports.records import StudyRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.datasets import DatabasePair

__all__ = ["complete_record"]


def complete_record(record: StudyRecord, pair: DatabasePair, client: MlflowClient | None = None) -> StudyRecord:
    """Add the confusion matrix and the regions of the chosen trial, where they are missing.

    A stored regression matrix is used where there is one; otherwise the chosen cell is solved again.

    Parameters
    ----------
    record : StudyRecord
    pair : DatabasePair
        The databases of the record's experiment.
    client : MlflowClient, optional
        To read the stored matrix.

    Raises
    ------
    DataError
        If the databases are not those of the study.
    """
    best = record.best
    if best is None or (record.confusion is not None and record.group_norms is not None):
        return record
    _check_digests(record, pair)
    coef, norms = _stored(best.get("run_id"), client), record.group_norms
    if coef is None or norms is None:
        solver = make_solver(pair, record.grouping, record.settings)
        solution = solver.solve([(int(best["kappa"]), float(best["xi"]))])[0]
        coef, norms = solution.coef(), solution.group_norms
    predictions = (pair.target.X @ coef).argmax(axis=1).astype(np.int64)
    confusion = confusion_matrices(pair.target.labels, predictions[None], len(pair.target.class_names))[0]
    return replace(record, group_norms=norms, confusion=confusion)


def _stored(trial_run_id: str | None, client: MlflowClient | None) -> np.ndarray | None:
    from tgsr.tracking.reading import read_coefficients

    if client is None or trial_run_id is None:
        return None
    try:
        return read_coefficients(client, trial_run_id)
    except MissingDataError:
        return None


def _check_digests(record: StudyRecord, pair: DatabasePair) -> None:
    experiment = get_experiment(record.experiment)
    for role, data, name in (("source", pair.source, experiment.source), ("target", pair.target, experiment.target)):
        fact = record.facts.get(role, "")
        if data.name != name or ("digest " in fact and data.digest not in fact):
            raise DataError(
                f"{data.name} (digest {data.digest[:12]}) is not the {role} that {record.title} was made with "
                f"({fact or name}); give the folder with the same feature files"
            )
