"""The model registry: the best trial of a study becomes a version of its experiment's model."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tgsr.errors import MissingDataError, TrackingError
from tgsr.protocols import CLASS_NAMES
from tgsr.tracking.artifacts import region_weights
from tgsr.tracking.names import Tag, model_name
from tgsr.tracking.reading import find_run, read_coefficients, read_regions, read_study
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from tgsr.tracking.model import Weights

__all__ = ["CHAMPION", "Registered", "load_model", "model_weights", "register_trial"]

CHAMPION = "champion"
"""Alias of the version to use."""
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "h5py", "numba", "openpyxl")
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
    trial = find_run(client, run_id)
    if trial.data.tags.get(Tag.PARENT) != study.run_id:
        raise TrackingError(f"run {run_id} is no trial of study {study.name!r} ({study.run_id}); see `tgsr trials`")
    weights = _weights(client, run_id, study.tags, trial.data.params, extraction)
    name = model_name(study.experiment)
    if example is None:
        example = np.full((1, len(weights.coef)), 1 / 59)
    version = _log(client, trial, name, weights, np.asarray(example, dtype=np.float64)[:1])
    _describe(client, name, version, study.experiment, weights.facts, trial.data.metrics)
    client.set_registered_model_alias(name, CHAMPION, version)
    return Registered(name, version, f"models:/{name}@{CHAMPION}", run_id)


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
    inner = model.unwrap_python_model() if hasattr(model, "unwrap_python_model") else None
    weights: Weights | None = getattr(inner, "weights", None)
    if weights is None:
        raise TrackingError("the model was not registered by `tgsr register`")
    return weights


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
    }
    return Weights(
        coef=coef,
        region_weights=region_weights(np.array(regions["group_norms"]), str(regions["grouping"])),
        class_names=CLASS_NAMES,
        grouping=str(regions["grouping"]),
        extraction=ExtractionSettings.from_dict(extraction or {}).to_dict(),
        facts=facts,
    )


def _log(client: MlflowClient, trial: Run, name: str, weights: Weights, example: npt.NDArray[np.float64]) -> str:
    """Log the model as the trial's and make it a version. Returns the version."""
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    import tgsr
    from tgsr.tracking import model_code
    from tgsr.tracking.model import save_weights

    run_id = trial.info.run_id
    with tempfile.TemporaryDirectory() as temporary:
        path = save_weights(weights, Path(temporary) / "weights.npz")
        try:
            # made for the run, not within it: an active run is one that a kill leaves unfinished, and a trial lost
            logged = client.create_logged_model(trial.info.experiment_id, "model", source_run_id=run_id)
            info = mlflow.pyfunc.log_model(
                model_id=logged.model_id,
                python_model=str(model_code.__file__),
                artifacts={"weights": str(path)},
                code_paths=[str(Path(tgsr.__file__).parent)],
                signature=_signature(weights.class_names),
                input_example=(example, {"clip_shape": [0, 0, 0]}),
                pip_requirements=_pip_requirements(),
                registered_model_name=name,
                metadata=dict(weights.facts),
            )
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        except MlflowException as error:
            raise TrackingError(f"the registry at {client.tracking_uri} refuses {name}: {error}") from error
    return str(info.registered_model_version)


def _signature(class_names: tuple[str, ...]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    # rows of any length: 15,045 features, or a clip's grey values with clip_shape; the model checks which
    inputs = Schema([TensorSpec(np.dtype(np.float64), (-1, -1))])
    outputs = Schema(
        [
            ColSpec(DataType.string, "label"),
            *(ColSpec(DataType.double, f"score_{name}") for name in class_names),
            ColSpec(Array(DataType.long), "regions"),
        ]
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


def _describe(
    client: MlflowClient,
    name: str,
    version: str,
    experiment: str,
    facts: Mapping[str, str],
    metrics: Mapping[str, float],
) -> None:
    keys = {
        "experiment": Tag.EXPERIMENT,
        "selection": Tag.SELECTION,
        "source_digest": Tag.SOURCE_DIGEST,
        "target_digest": Tag.TARGET_DIGEST,
        "code_version": Tag.CODE_VERSION,
    }
    for key, tag in keys.items():
        client.set_model_version_tag(name, version, tag, facts[key])
    for key in ("kappa", "xi"):
        client.set_model_version_tag(name, version, f"tgsr.{key}", facts[key])
    how = (
        "**chosen by the target's labels (oracle)**"
        if facts["selection"] == "oracle"
        else f"chosen by {facts['selection']}"
    )
    client.update_model_version(
        name,
        version,
        f"TGSR for {experiment}, κ = {facts['kappa']}, ξ = {facts['xi']}, {how}. On the target: macro-F1 "
        f"{metrics.get('macro_f1', float('nan')):.4f}, accuracy {metrics.get('accuracy', float('nan')):.4f}.",
    )
    client.update_registered_model(
        name,
        f"Micro-expressions (negative, positive, surprise) of {experiment.split('-')[1]}, learned on "
        f"{experiment.split('-')[0]} by Transfer Group Sparse Regression.",
    )
