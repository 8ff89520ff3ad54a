"""A version of a registered model as MLflow keeps it: its header, its files, its schema, and what is said of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tgsr.datasets import DatabasePair
from tgsr.estimators.preprocess import Scaling
from tgsr.evaluation.choice import ORACLE
from tgsr.evaluation.metrics import METRICS
from tgsr.models._candidates import Candidate
from tgsr.models._input import CLIP_SHAPE
from tgsr.models.loading import DIGEST_TAG, LOADER
from tgsr.models.registered import HEADER, Header, RegisteredModel
from tgsr.protocols import parse_pair
from tgsr.tracking.names import GENERATED_NOTE
from tgsr.tracking.records import StudyRecord
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["DESCRIBED", "make_header", "make_signature", "store_version"]

DESCRIBED = "described"
"""Of a model's facts: one line that says what it is."""

_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "skops")


def make_header(record: StudyRecord, pair: DatabasePair, candidate: Candidate, *, chosen: str, replaces: str) -> Header:
    """What a model says of itself, and of what it comes from."""
    from tgsr.features.extraction import ExtractionSettings

    spec, known = record.spec, pair.source.parameters
    scaling = Scaling.of(spec.preprocess, pair.target.X)  # new rows are the target's
    parts = {"offset": scaling.offset, "scale": scaling.scale}
    scores = ", ".join(METRICS[key].describe(value) for key, value in candidate.scores.items())
    chooser = "the target's labels (oracle)" if chosen == ORACLE else chosen
    described = (
        f"{spec.variant} for {record.pair}",
        candidate.settings,
        f"chosen by {chooser}",
        f"on the target {scores}" if scores else "target without labels",
    )
    facts = {
        "experiment": record.pair,
        "method": spec.method,
        "variant": spec.variant,
        "choose": chosen,
        "grouping": spec.grouping,
        "settings": candidate.settings,
        **{key: repr(value) for key, value in candidate.scores.items()},
        DESCRIBED: "; ".join(filter(None, described)),
        "study_run": record.run_id,
        "study_name": record.name,
        "trial_run": "" if candidate.run_id == record.run_id else candidate.run_id,
        "source_digest": spec.source_digest,
        "target_digest": spec.target_digest,
        "code_version": code_version(),
        "generated": str(pair.is_generated).lower(),
        "replaces": replaces,
    }
    return Header(
        class_names=pair.class_names,
        n_features=int(pair.source.X.shape[1]),
        grouping=spec.grouping,
        # how features were made from clips, unless they are not those of tgsr
        extraction={} if known.get("origin") == "imported" else ExtractionSettings.from_dict(known).to_dict(),
        facts=facts,
        feature_names=() if pair.source.feature_names is None else tuple(pair.source.feature_names.tolist()),
        preprocess=spec.preprocess,
        scaling={part: values.tolist() for part, values in parts.items() if values is not None},
    )


def store_version(
    client: MlflowClient, record: StudyRecord, run_id: str, name: str, folder: Path, model: RegisteredModel
) -> str:
    """Store a model as its run's and make it a version of ``name``; returns the version.

    All of it goes through the client: MLflow's own ``log_model`` works in the caller's store, and in an active run,
    which a kill would leave unfinished.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    facts, bundle = model.header.facts, folder.parent / "bundle"
    logged = client.create_logged_model(record.experiment_id, "model", source_run_id=run_id)
    mlflow.pyfunc.save_model(
        bundle,
        loader_module=LOADER,
        data_path=str(folder),
        signature=make_signature(model),
        input_example=(np.full((1, model.header.n_features), 0.017), {CLIP_SHAPE: [0, 0, 0]}),
        pip_requirements=[f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS],
        mlflow_model=Model(run_id=run_id, model_id=logged.model_id, metadata=dict(facts)),
    )
    client.log_model_artifacts(logged.model_id, str(bundle))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    note = f"{GENERATED_NOTE}\n\n" if facts["generated"] == "true" else ""
    oracle = "**Chosen by the target's labels (oracle).** " if facts["choose"] == ORACLE else ""
    source, target = parse_pair(record.pair)
    client.update_registered_model(
        name,
        f"{note}Micro-expressions ({', '.join(model.header.class_names)}) of {target}, learned on {source} by "
        f"{record.method}.",
    )
    version = client.create_model_version(
        name,
        logged.artifact_location,
        run_id,
        tags={f"tgsr.{key}": value for key, value in facts.items()}
        | {DIGEST_TAG: hashlib.sha256((folder / HEADER).read_bytes()).hexdigest()},
        description=f"{note}{oracle}{facts[DESCRIBED]}. From study {facts['study_name']!r}.",
        model_id=logged.model_id,
    )
    # what links the two on MLflow's pages
    versions = [{"name": name, "version": version.version}]
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(versions)})
    return str(version.version)


def make_signature(model: RegisteredModel) -> Any:
    """MLflow's schema of a model: rows of numbers, of features or of clips' grey values, to columns."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    kinds: dict[str, Any] = {"label": DataType.string, "frequency": Array(DataType.double)}
    kinds |= dict.fromkeys(("regions", "groups"), Array(DataType.long))
    columns = model.answer(np.full((1, model.header.n_features), 1 / 59)).columns
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float64), (-1, -1))]),
        outputs=Schema([ColSpec(kinds.get(column, DataType.double), column) for column in columns]),
        params=ParamSchema([ParamSpec(CLIP_SHAPE, DataType.long, [0, 0, 0], shape=(-1,))]),
    )
