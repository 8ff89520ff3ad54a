"""Registering a trial of another method than TGSR: its estimator is fitted again, and has to score as the trial did."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from tgsr.datasets import DatabasePair
from tgsr.errors import TrackingError
from tgsr.estimators.spaces import get_method
from tgsr.evaluation import evaluate
from tgsr.tracking.names import Tag, model_name
from tgsr.tracking.reading import StudySummary, find_run, read_extraction, read_settings
from tgsr.tracking.records import settings_text
from tgsr.tracking.registry import Registered, log_model, publish
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["register_method"]


def register_method(
    client: MlflowClient, study: StudySummary, pair: DatabasePair, *, trial_run_id: str | None = None
) -> Registered:
    """Register a study's best trial (or another of its trials) and make it the champion.

    Parameters
    ----------
    client : MlflowClient
    study : StudySummary
    pair : DatabasePair
        The study's databases.
    trial_run_id : str, optional
        By default the study's best trial.

    Raises
    ------
    MissingDataError
        If the trial is not there.
    TrackingError
        If there is no finished trial, the databases are not the study's, the trial's scores are not reached again, or
        the registry refuses.
    """
    from tgsr.features.extraction import ExtractionSettings
    from tgsr.tracking import method_model_code
    from tgsr.tracking.method_model import FittedMethod, save_method

    run_id = trial_run_id or study.best_run_id
    if run_id is None:
        raise TrackingError(f"study {study.name!r} has no finished trial to register; run it first")
    for data, tag in ((pair.source, Tag.SOURCE_DIGEST), (pair.target, Tag.TARGET_DIGEST)):
        if data.digest != study.tags.get(tag):
            raise TrackingError(f"{data.name}: not the content that {study.name!r} was run with; use the same --data")
    trial = find_run(client, run_id)
    if trial.data.tags.get(Tag.PARENT) != study.run_id:
        raise TrackingError(f"run {run_id} is no trial of {study.name!r}")
    settings = read_settings(trial)
    with threadpool_limits(limits=1, user_api="blas"):  # as in the study
        evaluation = evaluate(get_method(study.method).make(**settings), pair)
    metrics = trial.data.metrics
    if (evaluation.scores.macro_f1, evaluation.scores.accuracy) != (metrics["macro_f1"], metrics["accuracy"]):
        raise TrackingError(
            f"{study.method} fitted again has macro-F1 {evaluation.scores.macro_f1:.4f}, its trial {run_id} had "
            f"{metrics['macro_f1']:.4f}: code or libraries have changed since; run the study again"
        )
    facts = {
        "experiment": study.experiment,
        "method": study.method,
        "selection": study.selection,
        "settings": settings_text(settings, ", "),
        "source_digest": pair.source.digest,
        "target_digest": pair.target.digest,
        "code_version": code_version(),
        "generated": study.tags.get(Tag.GENERATED, "false"),
    }
    name = model_name(study.experiment, study.method)
    extraction = ExtractionSettings.from_dict(read_extraction(client, study.run_id)).to_dict()
    with tempfile.TemporaryDirectory() as temporary:
        files = save_method(FittedMethod(evaluation.estimator, pair.source.class_names, extraction), Path(temporary))
        version = log_model(client, trial, name, method_model_code, files, [], pair.source.X[:1], facts)
    return publish(client, name, version, run_id, facts, metrics)
