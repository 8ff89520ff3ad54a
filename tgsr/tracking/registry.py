"""The model registry: the best trial of a study becomes a version of its experiment's model."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, TrackingError
from tgsr.protocols import CLASS_NAMES
from tgsr.tracking.artifacts import region_weights
from tgsr.tracking.names import GENERATED_NOTE, Tag, model_name
from tgsr.tracking.reading import find_run, read_coefficients, read_regions, read_study
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from tgsr.features.extraction import ExtractionSettings
    from tgsr.tracking.model import Weights

__all__ = [
    "CHAMPION",
    "Registered",
    "load_model",
    "log_model",
    "model_extraction",
    "model_weights",
    "publish",
    "register_trial",
]

CHAMPION = "champion"
"""Alias of the version to use."""
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "h5py", "numba", "openpyxl", "skops")
_SILENT = ("threadpoolctl", "clarabel", "joblib")


@dataclass(frozen=True)
class Registered:
    """A registered model version.

    Attributes
    ----------
    name : str
        Such as ``"tgsr-V-N"``.
    version : str
    uri : str
        ``models:/<name>@champion``.
    run_id : str
        The trial that it comes from.
    """

    name: str
    version: str
    uri: str
    run_id: str


def register_trial(
    client: MlflowClient,
    study_run_id: str,
    *,
    trial_run_id: str | None = None,
    extraction: Mapping[str, Any] | None = None,
    example: npt.NDArray[np.float64] | None = None,
) -> Registered:
    """Register a study's best trial (or another of its trials) and make it the champion.

    Parameters
    ----------
    client : MlflowClient
    study_run_id : str
        The study's parent run.
    trial_run_id : str, optional
        By default the study's best trial.
    extraction : mapping, optional
        How the source's features were made from clips; by default the convention of the released features.
    example : array of shape (n, n_features), optional
        Feature rows to store as the input example; by default uniform histograms.

    Raises
    ------
    MissingDataError
        If the study, the trial or its regression matrix is not there.
    TrackingError
        If the study has no finished trial, the trial is another study's, or the registry refuses.
    """
    study = read_study(client, study_run_id)
    if not study.experiment:
        raise TrackingError(f"run {study_run_id} is no study: it has no tag {Tag.EXPERIMENT}")
    run_id = trial_run_id or study.best_run_id
    if run_id is None:
        raise TrackingError(f"study {study.name!r} has no finished trial to register; run it first")
    from tgsr.tracking import model_code
    from tgsr.tracking.model import save_weights

    trial = find_run(client, run_id)
    if trial.data.tags.get(Tag.PARENT) != study.run_id:
        raise TrackingError(f"run {run_id} is no trial of study {study.name!r} ({study.run_id}); see `tgsr trials`")
    weights = _weights(client, run_id, study.tags, trial.data.params, extraction)
    name = model_name(study.experiment)
    if example is None:
        example = np.full((1, len(weights.coef)), 1 / 59)
    rows = np.asarray(example, dtype=np.float64)[:1]
    columns = [f"score_{label}" for label in weights.class_names]
    with tempfile.TemporaryDirectory() as temporary:
        files = {"weights": str(save_weights(weights, Path(temporary) / "weights.npz"))}
        version = log_model(client, trial, name, model_code, files, columns, rows, weights.facts)
    return publish(client, name, version, run_id, weights.facts, trial.data.metrics)


def load_model(uri: str) -> Any:
    """Load a registered model (``models:/tgsr-V-N@champion``, a run's model or a folder).

    Raises
    ------
    MissingDataError
        If there is no such model.
    """
    import mlflow

    try:
        return mlflow.pyfunc.load_model(uri)
    except Exception as error:  # the registry, the artifact store and the model's own code raise their own
        raise MissingDataError(
            f"model {uri!r} cannot be loaded from {mlflow.get_registry_uri()}: {error}; "
            "register one with `tgsr register`, or name the place with --home or MLFLOW_TRACKING_URI"
        ) from error


def model_weights(model: Any) -> Weights:
    """The weights within a loaded model.

    Raises
    ------
    TrackingError
        If the model is none of ours.
    """
    weights: Weights | None = getattr(_inner(model), "weights", None)
    if weights is None:
        raise TrackingError("the model has no weights of regions: it is no TGSR registered by `tgsr register`")
    return weights


def model_extraction(model: Any) -> ExtractionSettings:
    """How a loaded model makes features from clips.

    Raises
    ------
    TrackingError
        If the model is none of ours.
    """
    from tgsr.features.extraction import ExtractionSettings

    extraction: Mapping[str, Any] | None = getattr(_inner(model), "extraction", None)
    if extraction is None:
        raise TrackingError("the model was not registered by `tgsr register`")
    return ExtractionSettings.from_dict(extraction)


def _inner(model: Any) -> Any:
    return model.unwrap_python_model() if hasattr(model, "unwrap_python_model") else None


def _weights(
    client: MlflowClient,
    run_id: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    extraction: Mapping[str, Any] | None,
) -> Weights:
    from tgsr.features.extraction import ExtractionSettings
    from tgsr.tracking.model import Weights

    try:
        coef = read_coefficients(client, run_id)
    except MissingDataError as error:
        raise MissingDataError(
            f"trial {run_id} keeps no regression matrix (the study's matrices were thinned); "
            "run the study with --matrices all, or register its best trial"
        ) from error
    regions = read_regions(client, run_id)
    facts = {
        "experiment": tags.get(Tag.EXPERIMENT, ""),
        "selection": tags.get(Tag.SELECTION, ""),
        "kappa": params["kappa"],
        "xi": params["xi"],
        "source_digest": tags.get(Tag.SOURCE_DIGEST, ""),
        "target_digest": tags.get(Tag.TARGET_DIGEST, ""),
        "code_version": code_version(),
        "generated": tags.get(Tag.GENERATED, "false"),
    }
    return Weights(
        coef=coef,
        region_weights=region_weights(np.array(regions["group_norms"]), str(regions["grouping"])),
        class_names=CLASS_NAMES,
        grouping=str(regions["grouping"]),
        extraction=ExtractionSettings.from_dict(extraction or {}).to_dict(),
        facts=facts,
    )


def log_model(
    client: MlflowClient,
    trial: Run,
    name: str,
    code: ModuleType,
    files: Mapping[str, str],
    scores: Sequence[str],
    example: npt.NDArray[np.float64],
    facts: Mapping[str, str],
) -> str:
    """Log a model as its trial's and make it a version of ``name``. Returns the version.

    Parameters
    ----------
    client : MlflowClient
    trial : Run
    name : str
    code : module
        The script that loads the model.
    files : mapping of str to str
        What it loads: MLflow's name → path.
    scores : sequence of str
        Columns of its output beside the label; with any there are also the regions.
    example : array of shape (n, n_features)
    facts : mapping of str to str

    Raises
    ------
    TrackingError
        If the registry refuses.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    import tgsr

    try:
        # made for the run, not within it: an active run is one that a kill leaves unfinished, and a trial lost
        logged = client.create_logged_model(trial.info.experiment_id, "model", source_run_id=trial.info.run_id)
        info = mlflow.pyfunc.log_model(
            model_id=logged.model_id,
            python_model=str(code.__file__),
            artifacts=dict(files),
            code_paths=[str(Path(tgsr.__file__).parent)],
            signature=_signature(scores),
            input_example=(example, {"clip_shape": [0, 0, 0]}),
            pip_requirements=_pip_requirements(),
            registered_model_name=name,
            metadata=dict(facts),
        )
        client.log_outputs(trial.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except MlflowException as error:
        raise TrackingError(f"the registry at {client.tracking_uri} refuses {name}: {error}") from error
    return str(info.registered_model_version)


def _signature(scores: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    # rows of any length: 15,045 features, or a clip's grey values with clip_shape; the model checks which
    inputs = Schema([TensorSpec(np.dtype(np.float64), (-1, -1))])
    regions = [ColSpec(Array(DataType.long), "regions")] if scores else []
    outputs = Schema(
        [ColSpec(DataType.string, "label"), *(ColSpec(DataType.double, name) for name in scores), *regions]
    )
    params = ParamSchema([ParamSpec("clip_shape", DataType.long, [0, 0, 0], shape=(-1,))])
    return ModelSignature(inputs=inputs, outputs=outputs, params=params)


def _pip_requirements() -> list[str]:
    """The versions that the model was made with."""
    pinned = [f"{package}=={importlib.metadata.version(package)}" for package in (*_REQUIREMENTS, *_SILENT)]
    for package in ("opencv-python-headless", "opencv-python"):
        try:
            return [*pinned, f"{package}=={importlib.metadata.version(package)}"]
        except importlib.metadata.PackageNotFoundError:
            continue
    return pinned


def publish(
    client: MlflowClient, name: str, version: str, run_id: str, facts: Mapping[str, str], metrics: Mapping[str, float]
) -> Registered:
    """Describe a version by its facts and its trial's metrics, and make it the champion."""
    keys = {
        "experiment": Tag.EXPERIMENT,
        "selection": Tag.SELECTION,
        "source_digest": Tag.SOURCE_DIGEST,
        "target_digest": Tag.TARGET_DIGEST,
        "code_version": Tag.CODE_VERSION,
    }
    for key, tag in keys.items():
        client.set_model_version_tag(name, version, tag, facts[key])
    for key in ("kappa", "xi", "method", "settings"):
        if key in facts:
            client.set_model_version_tag(name, version, f"tgsr.{key}", facts[key])
    method, experiment = facts.get("method", "TGSR"), facts["experiment"]
    settings = f"κ = {facts['kappa']}, ξ = {facts['xi']}" if method == "TGSR" else facts["settings"]
    how = (
        "**chosen by the target's labels (oracle)**"
        if facts["selection"] == "oracle"
        else f"chosen by {facts['selection']}"
    )
    client.update_model_version(
        name,
        version,
        f"{method} for {experiment}, {settings + ', ' if settings else ''}{how}. On the target: macro-F1 "
        f"{metrics.get('macro_f1', float('nan')):.4f}, accuracy {metrics.get('accuracy', float('nan')):.4f}.",
    )
    client.update_registered_model(
        name,
        f"Micro-expressions (negative, positive, surprise) of {experiment.split('-')[1]}, learned on "
        f"{experiment.split('-')[0]} by {'Transfer Group Sparse Regression' if method == 'TGSR' else method}.",
    )
    if facts["generated"] == "true":
        _mark_generated(client, name, version)
    client.set_registered_model_alias(name, CHAMPION, version)
    return Registered(name, version, f"models:/{name}@{CHAMPION}", run_id)


def _mark_generated(client: MlflowClient, name: str, version: str) -> None:
    """Say of a version, and of the model that it champions, that it was learned on generated data."""
    client.set_model_version_tag(name, version, Tag.GENERATED, "true")
    described = client.get_model_version(name, version).description
    client.update_model_version(name, version, f"{GENERATED_NOTE}\n\n{described}")
    client.update_registered_model(name, f"{GENERATED_NOTE}\n\n{client.get_registered_model(name).description}")
