"""A finished study of a few trials as it stands in MLflow, written by the public client alone."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tgsr.datasets import DatabasePair
from tgsr.estimators.methods import get_method
from tgsr.evaluation.metrics import score
from tgsr.tracking.names import STUDY_JSON, TRIALS_PARQUET, Tag


def write_study(
    client: Any,
    pair: DatabasePair,
    settings: Sequence[Mapping[str, Any]],
    *,
    method: str = "TGSR",
    fixed: Mapping[str, Any] | None = None,
    selection: str = "source-cv",
    data: str | None = None,
) -> str:
    """Fit each of the settings and record it; returns the study's run id."""
    title = f"tgsr/{pair.name}"
    found = client.get_experiment_by_name(title)
    artifacts = Path(client.tracking_uri.removeprefix("sqlite:///")).parent / "mlruns" / pair.name
    experiment = found.experiment_id if found else client.create_experiment(title, artifact_location=artifacts.as_uri())
    if fixed is None:
        fixed = {"groups": "region"} if method == "TGSR" else {}
    tags = {
        Tag.KIND: "study",
        Tag.EXPERIMENT: pair.name,
        Tag.METHOD: method,
        Tag.SELECTION: selection,
        Tag.GROUPING: str(fixed.get("groups", "")),
        Tag.SOURCE_DIGEST: pair.source.digest,
        Tag.TARGET_DIGEST: pair.target.digest,
    }
    if data is not None:
        tags[Tag.DATA_FOLDER] = data
    # studies are listed by their start: two within one millisecond would have no order
    time.sleep(0.002)
    study = client.create_run(experiment, run_name=f"{pair.name} {method} {selection}", tags=tags).info.run_id
    spec = {"pair": pair.name, "method": method, "fixed": dict(fixed), "selection": selection}
    client.log_text(study, json.dumps(spec), STUDY_JSON)
    rows = [
        _trial(client, experiment, study, pair, method, {**fixed}, number, dict(one))
        for number, one in enumerate(settings)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TRIALS_PARQUET
        pd.DataFrame(rows).to_parquet(path)
        client.log_artifact(study, str(path))
    client.set_tag(study, Tag.BEST_RUN, max(rows, key=lambda row: row["selection_value"])["run_id"])
    client.set_terminated(study)
    return str(study)


def _trial(
    client: Any, experiment: str, study: str, pair: DatabasePair, method: str, fixed: Any, number: int, settings: Any
) -> dict[str, Any]:
    if fixed.get("groups") == "own":
        fixed["groups"] = pair.source.groups
    estimator = get_method(method).make(**fixed, **settings)
    codes = estimator.fit(pair.source.X, pair.source.labels, X_target=pair.target.X).predict(pair.target.X)
    metrics: dict[str, float] = {}
    if pair.target.labels is not None:
        scores = score(pair.target.labels, np.asarray(codes), len(pair.class_names))
        metrics = {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy}
    metrics["selection_value"] = metrics.get("macro_f1", float(number))
    text = "".join(np.base_repr(code, 36).lower() for code in codes)
    tags = {
        Tag.KIND: "trial",
        Tag.PARENT: study,
        Tag.METHOD: method,
        Tag.TRIAL: str(number),
        Tag.CELL: f"{number:016x}",
        Tag.SETTINGS: json.dumps(settings),
        Tag.PREDICTIONS: text,
    }
    run = client.create_run(experiment, tags=tags).info.run_id
    for key, value in metrics.items():
        client.log_metric(run, key, value)
    for key, value in settings.items():
        client.log_param(run, key, value)
    client.set_terminated(run)
    return {"trial": number, "run_id": run, **settings, **metrics, "predictions": text}
