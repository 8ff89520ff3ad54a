"""What a study has to register: its consensus, or one of its trials, which predict the target as was recorded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.autologging import without_autologging
from tgsr.datasets import DatabasePair
from tgsr.errors import TrackingError
from tgsr.estimators import AveragedTGSR
from tgsr.evaluation.choice import METRIC
from tgsr.models.consensus import TWENTIETH, consensus_of, target_scores
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord
from tgsr.trials import make_estimator
from tgsr.trials.fitter import prepare_task
from tgsr.trials.trial import decode_predictions, show_settings

__all__ = ["BEST", "Candidate", "find_candidate"]

BEST = "best"
"""In place of a trial's run id: the best one."""
_CHANGED = "code or libraries have changed since: run the study again"


class Candidate(NamedTuple):
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
    predicted: npt.NDArray[np.intp]
    scores: Mapping[str, float]


def find_candidate(record: StudyRecord, pair: DatabasePair, trial: str | None, by: str) -> Candidate:
    """Average or fit what is meant, see `tgsr.models.register`, and compare it with what the study recorded.

    Raises
    ------
    TrackingError
        If there is no such trial, or the recorded predictions are not reached again.
    """
    consensus = record.artifact(CONSENSUS) if trial is None else None
    with threadpool_limits(limits=1, user_api="blas"), without_autologging():  # as in the study
        if consensus is not None:
            return _averaged(record, pair, by, json.loads(consensus))
        if trial in (None, BEST):
            return _fitted_again(record, pair, record.choose(by).row)
        rows = record.table[record.table["run_id"] == trial]
        if rows.empty:
            raise TrackingError(f"run {trial} is no trial of {record.name!r} ({record.run_id}); see `tgsr trials`")
        return _fitted_again(record, pair, rows.to_dict("records")[0])


def _averaged(record: StudyRecord, pair: DatabasePair, by: str, recorded: Mapping[str, Any]) -> Candidate:
    consensus = consensus_of(record, pair, by=by)
    groups = make_estimator(record.spec, pair).get_params()["groups"]
    estimator = AveragedTGSR.of(consensus.coef, consensus.frequency, groups, len(consensus.numbers))
    predicted = np.asarray(estimator.predict(prepare_task(record.spec, pair).X_target), dtype=np.intp)
    # by another rule, or of other trials since somebody deleted some, nothing is recorded
    is_same = (by, list(consensus.numbers)) == (recorded["by"], recorded["trials"])
    if is_same and not np.array_equal(predicted, decode_predictions(recorded["predictions"])):
        raise TrackingError(f"the consensus of {record.name!r} does not predict what was recorded; {_CHANGED}")
    tried = f"mean of the best {TWENTIETH:.0%} of the trials"
    return Candidate(estimator, record.run_id, tried, predicted, target_scores(predicted, pair))


def _fitted_again(record: StudyRecord, pair: DatabasePair, row: Mapping[Any, Any]) -> Candidate:
    task, settings = prepare_task(record.spec, pair), json.loads(row["settings"])

    def fit() -> tuple[Any, npt.NDArray[np.intp]]:
        estimator = make_estimator(record.spec, pair, settings)
        takes_target = "X_target" in inspect.signature(estimator.fit).parameters
        estimator.fit(task.X, task.y, **({"X_target": task.X_target} if takes_target else {}))
        return estimator, np.asarray(estimator.predict(task.X_target), dtype=np.intp)

    estimator, predicted = fit()
    scores = target_scores(predicted, pair)
    if isinstance(row["predictions"], str):
        is_recorded = np.array_equal(predicted, decode_predictions(row["predictions"]))
    else:  # the target was too large for them to be kept
        is_recorded = all(value == row.get(METRIC + key) for key, value in scores.items())
    if not is_recorded:
        drifts = "its fits differ from one another: set random_state, as in `tgsr study --set random_state=0`"
        reason = _CHANGED if np.array_equal(fit()[1], predicted) else drifts
        raise TrackingError(f"fitted again, trial {row['run_id']} does not predict what it recorded; {reason}")
    return Candidate(estimator, str(row["run_id"]), show_settings(settings), predicted, scores)
