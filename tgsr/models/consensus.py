"""What a study has to register: a trial, or the consensus: its best trials averaged into one linear model.

A method whose model is a matrix C, such as TGSR, can be averaged: the mean of the matrices is one model of the same
cost in use, and the share of trials that keep a region says how salient it is. Nothing is chosen but by a rule that
needs no target label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tgsr.autologging import without_autologging
from tgsr.errors import MissingDataError, ParameterError, TrackingError
from tgsr.estimators import AveragedTGSR
from tgsr.estimators.sweep import fit_on_pair
from tgsr.evaluation.choice import METRIC, rank_trials
from tgsr.evaluation.metrics import score
from tgsr.tracking.names import CONSENSUS
from tgsr.tracking.records import StudyRecord
from tgsr.trials.fitter import Fitter, make_estimator, prepare_task
from tgsr.trials.trial import decode_predictions, encode_predictions, show_settings

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.datasets import DatabasePair

__all__ = ["BEST", "TWENTIETH", "Candidate", "Consensus", "consensus_of", "describe_consensus", "find_candidate"]

TWENTIETH = 0.05
"""The share of a study's trials that is averaged; tgsr/evaluation/README.md says why."""
BEST = "best"
"""In place of a trial's run id: the best one."""
_CHUNK = 64
_CHANGED = "code or libraries have changed since: run the study again"
_Matrix = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Consensus:
    """The best trials of a study as one linear model.

    Attributes
    ----------
    by : str
        The rule that ranks the trials.
    numbers : tuple of int
        Numbers of the trials that are averaged, the best first.
    coef : array of shape (n_features, n_classes)
        The mean of their matrices.
    frequency : array of shape (n_groups,)
        Share of them that keeps each group.
    """

    by: str
    numbers: tuple[int, ...]
    coef: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]


def consensus_of(
    record: StudyRecord, pair: DatabasePair | None = None, *, by: str | None = None, share: float = TWENTIETH
) -> Consensus:
    """Average the best trials of a study.

    Parameters
    ----------
    record : StudyRecord
    pair : DatabasePair, optional
        The study's databases: trials whose matrices were not kept are fitted again on them.
    by : str, optional
        The rule that ranks; by default the study's own choice.
    share : float
        The share of the trials that is averaged, in 0…1; one trial at least.

    Raises
    ------
    ParameterError
        If the share is out of range, no trial has a value of the rule, or the method's models cannot be averaged.
    MissingDataError
        If matrices are missing and no databases are given.
    """
    if not 0 < share <= 1:
        raise ParameterError(f"the share of trials to average is {share}; give a number above 0, at most 1")
    by = by or record.default_choice
    ranked = rank_trials(record.table, by)
    best = ranked.head(max(1, math.ceil(share * len(record.table))))
    if best.empty:
        record.choose(by)  # says what is missing
    total, kept = None, []
    for start in range(0, len(best), _CHUNK):  # a large grid's matrices together would fill the memory
        for coef, keeps in _matrices(record, pair, best.iloc[start : start + _CHUNK]):
            total = coef.copy() if total is None else np.add(total, coef, out=total)
            kept.append(keeps)
    assert total is not None
    return Consensus(by, tuple(best["number"].tolist()), total / len(best), np.mean(kept, axis=0))


def describe_consensus(record: StudyRecord, pair: DatabasePair, by: str) -> tuple[dict[str, float], dict[str, str]]:
    """What a study's run shows of its consensus: metrics, and a file; empty for a method without one."""
    has_groups = record.spec.grouping and record.group_norms(record.choose(by).row["run_id"]) is not None
    if not has_groups or len(record.table) < 1 / TWENTIETH:
        return {}, {}
    consensus, _, codes = _average(record, pair, by)
    facts = {
        "by": by,
        "share": TWENTIETH,
        "trials": list(consensus.numbers),
        "grouping": record.spec.grouping,
        "frequency": consensus.frequency.tolist(),
        "predictions": encode_predictions(codes),
    }
    metrics = {f"{key}.consensus": value for key, value in _target_scores(codes, pair).items()}
    return metrics, {CONSENSUS: json.dumps({**facts, **metrics})}


def _target_scores(codes: npt.NDArray[np.intp], pair: DatabasePair) -> dict[str, float]:
    """Macro-F1 and accuracy of class indices predicted for the target (n_target,); empty where it has no labels."""
    if pair.target.labels is None:
        return {}
    scores = score(pair.target.labels, codes.astype(np.int64), len(pair.source.class_names))
    return {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy}


def _matrices(record: StudyRecord, pair: DatabasePair | None, rows: pd.DataFrame) -> list[_Matrix]:
    """The matrix of each trial, and which groups it keeps: as stored, or where one is missing, fitted again."""
    stored = ((record.coefficients(run_id), record.group_norms(run_id)) for run_id in rows["run_id"])
    found = [(coef, norms > 0) for coef, norms in stored if coef is not None and norms is not None]
    if len(found) == len(rows):
        return found
    if pair is None:
        raise MissingDataError(
            f"trials of {record.name!r} keep no regression matrix; give the study's databases, on which they are "
            "fitted again"
        )
    task = tuple(zip(rows["number"].tolist(), map(json.loads, rows["settings"]), strict=True))
    with threadpool_limits(limits=1, user_api="blas"), without_autologging():
        trials = [(trial.coef, trial.group_norms) for trial in Fitter(record.spec, pair).fit(task)]
    found = [(coef, norms > 0) for coef, norms in trials if coef is not None and norms is not None]
    if len(found) < len(rows):
        raise ParameterError(f"{record.method}: only linear models with groups, such as TGSR's, can be averaged")
    return found


class Candidate(NamedTuple):
    """What can be registered: ``run_id`` is its trial's, or of a consensus the study's; ``settings`` are for people."""

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


def _average(record: StudyRecord, pair: DatabasePair, by: str) -> tuple[Consensus, AveragedTGSR, npt.NDArray[np.intp]]:
    """The consensus, as an estimator, and what it predicts for the target."""
    consensus = consensus_of(record, pair, by=by)
    groups = make_estimator(record.spec, pair).get_params()["groups"]
    estimator = AveragedTGSR.of(consensus.coef, consensus.frequency, groups, len(consensus.numbers))
    with threadpool_limits(limits=1, user_api="blas"):
        predicted = np.asarray(estimator.predict(prepare_task(record.spec, pair).X_target), dtype=np.intp)
    return consensus, estimator, predicted


def _averaged(record: StudyRecord, pair: DatabasePair, by: str, recorded: Mapping[str, Any]) -> Candidate:
    consensus, estimator, predicted = _average(record, pair, by)
    # by another rule, or of other trials since somebody deleted some, nothing is recorded
    is_same = (by, list(consensus.numbers)) == (recorded["by"], recorded["trials"])
    if is_same and not np.array_equal(predicted, decode_predictions(recorded["predictions"])):
        raise TrackingError(f"the consensus of {record.name!r} does not predict what was recorded; {_CHANGED}")
    tried = f"mean of the best {TWENTIETH:.0%} of the trials"
    return Candidate(estimator, record.run_id, tried, predicted, _target_scores(predicted, pair))


def _fitted_again(record: StudyRecord, pair: DatabasePair, row: Mapping[Any, Any]) -> Candidate:
    task, settings = prepare_task(record.spec, pair), json.loads(row["settings"])
    estimator = make_estimator(record.spec, pair, settings)
    fit_on_pair(estimator, task.X, task.y, task.X_target)
    predicted = np.asarray(estimator.predict(task.X_target), dtype=np.intp)
    scores = _target_scores(predicted, pair)
    if isinstance(row["predictions"], str):
        is_recorded = np.array_equal(predicted, decode_predictions(row["predictions"]))
    else:  # the target was too large for them to be kept
        is_recorded = all(value == row.get(METRIC + key) for key, value in scores.items())
    if not is_recorded:
        raise TrackingError(
            f"fitted again, trial {row['run_id']} does not predict what it recorded; {_CHANGED}. A method that draws "
            "at random needs a random_state, as in `tgsr study --set random_state=0`"
        )
    return Candidate(estimator, str(row["run_id"]), show_settings(settings), predicted, scores)
