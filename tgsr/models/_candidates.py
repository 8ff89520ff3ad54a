"""What a study has to register: its consensus, or one of its trials, which predict the target as was recorded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.autologging import without_autologging
from tgsr.datasets import DatabasePair
from tgsr.errors import TrackingError
from tgsr.estimators import AveragedTGSR
from tgsr.evaluation.choice import METRIC
from tgsr.evaluation.metrics import score
from tgsr.models.consensus import TWENTIETH, consensus_of
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord
from tgsr.trials import make_estimator
from tgsr.trials.fitter import prepare_task
from tgsr.trials.trial import decode_predictions, show_settings

__all__ = ["BEST", "Candidate", "find_candidate"]

BEST = "best"
"""In place of a trial's run id: the best one."""
_CHANGED = "code or libraries have changed since: run the study again"
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What can be registered.

    Attributes
    ----------
    estimator : estimator
    run_id : str
        Its trial's, or of a consensus the study's.
    settings : str
        What was tried, for people.
    predicted : array of int, shape (n_target,)
    scores : dict
        On the target, where it has labels.
    """

    estimator: Any
    run_id: str
    settings: str
    predicted: Codes
    scores: Mapping[str, float]


def find_candidate(record: StudyRecord, pair: DatabasePair, trial: str | None, by: str) -> Candidate:
    """Average or fit what is meant, see `tgsr.models.register`, and compare it with what the study recorded.

    Raises
    ------
    TrackingError
        If there is no such trial, or the recorded predictions are not reached again.
    """
    stored = record.artifact(CONSENSUS) if trial is None else None
    with threadpool_limits(limits=1, user_api="blas"), without_autologging():  # as in the study
        if stored is not None:
            estimator, predicted = _average(record, pair, by, json.loads(stored))
            run_id, settings = record.run_id, f"mean of the best {TWENTIETH:.0%} of the trials"
        else:
            row = record.choose(by).row if trial in (None, BEST) else _named(record, str(trial))
            estimator, predicted = _fit_again(record, pair, row)
            run_id, settings = str(row["run_id"]), show_settings(json.loads(row["settings"]))
    return Candidate(estimator, run_id, settings, predicted, _scores(predicted, pair))


def _average(record: StudyRecord, pair: DatabasePair, by: str, recorded: Mapping[str, Any]) -> tuple[Any, Codes]:
    consensus = consensus_of(record, pair, by=by)
    groups = make_estimator(record.spec, pair).get_params()["groups"]
    estimator = AveragedTGSR.of(consensus.coef, consensus.frequency, groups, len(consensus.numbers))
    predicted = _predict(estimator, record, pair)
    # by another rule, or of other trials since somebody deleted some, nothing is recorded
    is_same = (by, list(consensus.numbers)) == (recorded["by"], recorded["trials"])
    if is_same and not np.array_equal(predicted, decode_predictions(recorded["predictions"])):
        raise TrackingError(f"the consensus of {record.name!r} does not predict what was recorded; {_CHANGED}")
    return estimator, predicted


def _named(record: StudyRecord, run_id: str) -> Mapping[str, Any]:
    rows = record.table[record.table["run_id"] == run_id]
    if rows.empty:
        raise TrackingError(f"run {run_id} is no trial of {record.name!r} ({record.run_id}); see `tgsr trials`")
    return {str(key): value for key, value in rows.iloc[0].items()}


def _fit_again(record: StudyRecord, pair: DatabasePair, row: Mapping[str, Any]) -> tuple[Any, Codes]:
    settings = json.loads(row["settings"])
    estimator = _fit(record, pair, settings)
    predicted = _predict(estimator, record, pair)
    if not _is_recorded(predicted, pair, row):
        again = _predict(_fit(record, pair, settings), record, pair)
        drifts = "its fits differ from one another: set random_state, as in `tgsr study --set random_state=0`"
        reason = _CHANGED if np.array_equal(again, predicted) else drifts
        raise TrackingError(f"fitted again, trial {row['run_id']} does not predict what it recorded; {reason}")
    return estimator, predicted


def _fit(record: StudyRecord, pair: DatabasePair, settings: Mapping[str, Any]) -> Any:
    """A trial's estimator, fitted as in the study: class indices as labels."""
    task, estimator = prepare_task(record.spec, pair), make_estimator(record.spec, pair, settings)
    takes_target = "X_target" in inspect.signature(estimator.fit).parameters
    return estimator.fit(task.X, task.y, **({"X_target": task.X_target} if takes_target else {}))


def _predict(estimator: Any, record: StudyRecord, pair: DatabasePair) -> Codes:
    return np.asarray(estimator.predict(prepare_task(record.spec, pair).X_target), dtype=np.intp)


def _is_recorded(predicted: Codes, pair: DatabasePair, row: Mapping[str, Any]) -> bool:
    """Whether a trial recorded these predictions; of a target too large for them to be kept, their scores."""
    if isinstance(row["predictions"], str):
        return np.array_equal(predicted, decode_predictions(row["predictions"]))
    return all(value == row.get(METRIC + key) for key, value in _scores(predicted, pair).items())


def _scores(predicted: Codes, pair: DatabasePair) -> dict[str, float]:
    if pair.target.labels is None:
        return {}
    scores = score(pair.target.labels, predicted.astype(np.int64), len(pair.class_names))
    return {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy}
