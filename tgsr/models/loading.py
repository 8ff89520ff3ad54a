"""Loading a registered model without running anything that came with it.

`mlflow.pyfunc.load_model` runs what a model's folder names: a loader module, code paths, a pickle. Here MLmodel is read
first, as data; a folder that is not exactly as `tgsr register` makes it is refused, saying why.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tgsr.errors import MissingDataError, TrackingError
from tgsr.models.registered import ESTIMATOR, HEADER, RegisteredModel, load_files
from tgsr.tracking.client import local_artifact_folder
from tgsr.tracking.storage_errors import masked, sqlite_path

__all__ = ["DIGEST_TAG", "FOLDER", "LOADER", "load_model"]

LOADER = "tgsr.models.registered"
"""The module that MLflow is to load our models with."""
FOLDER = "model"
"""The folder of our files, within the folder that MLflow calls data."""
DIGEST_TAG = "tgsr.model_sha256"
"""Tag of a model's version: digest of its header, which has the weights' digest."""

_MLMODEL = "MLmodel"
_LARGEST_MLMODEL = 2**20
_EXPECTED = {"loader_module": LOADER, "data": f"data/{FOLDER}", "code": None, "streamable": False}
_HARMLESS = {"env", "python_version"}  # what to install, which only MLflow's own commands read


def load_model(
    uri: str | os.PathLike[str], *, trusted: Iterable[str] = (), tracking_uri: str | None = None
) -> RegisteredModel:
    """Load a model registered by ``tgsr register``, and nothing else.

    No code of the model's folder is run: it may have none. Its weights are data (skops) with the digest that they were
    registered with; only types that this package knows are made, see tgsr/models/README.md.

    Parameters
    ----------
    uri : str or path
        ``"models:/tgsr-V-N@champion"``, another address that MLflow knows, or a model's folder.
    trusted : iterable of str
        Types that the model may hold besides: ``"package.module:Class"``.
    tracking_uri : str, optional
        Where it is registered; by default where MLflow looks: `mlflow.set_tracking_uri`, or MLFLOW_TRACKING_URI.

    Returns
    -------
    RegisteredModel
        Its ``predict`` takes rows, data frames, clips and paths.

    Raises
    ------
    MissingDataError
        If there is no such model.
    TrackingError
        If it is refused; one line says what and why.
    """
    text = os.fspath(uri)
    folder = local_artifact_folder(text)
    if folder is not None:
        if not folder.is_dir():
            raise MissingDataError(f"{text}: no such model folder; registered models are named models:/NAME@champion")
        return _load(folder, text, None, trusted)
    with tempfile.TemporaryDirectory(prefix="tgsr-model-") as temporary:
        try:
            import mlflow

            location, digest = _find(text, tracking_uri)
            found = local_artifact_folder(location)
            if found is not None and not found.is_dir():
                raise FileNotFoundError(f"{found} is not there")
            if found is None:
                copy = mlflow.artifacts.download_artifacts(location, dst_path=temporary, tracking_uri=tracking_uri)
                found = Path(copy)
        except TrackingError:
            raise
        except Exception as error:  # registry and artifact stores raise their own
            reason = masked(str(error) or type(error).__name__).splitlines()[0]
            raise MissingDataError(
                f"model {text!r} cannot be loaded: {reason}; register one with `tgsr register`, or name the place with "
                "--home or MLFLOW_TRACKING_URI"
            ) from error
        return _load(found, text, digest, trusted)


def _find(uri: str, tracking_uri: str | None) -> tuple[str, str | None]:
    """Where a model's files are, and what the registry says that its digest is; None for one outside of it."""
    import mlflow
    from mlflow.store.artifact.utils import models

    parse: Any = models.get_model_name_and_version  # untyped
    store = tracking_uri or mlflow.get_registry_uri()
    database = sqlite_path(store)
    if database is not None and not database.exists():  # which MLflow would make
        raise FileNotFoundError(f"{database} is not there")
    client = mlflow.MlflowClient(tracking_uri, registry_uri=store)
    if not uri.startswith("models:/"):
        return uri, None
    name, *number = parse(client, uri)
    if not number:  # models:/m-…, a run's model
        return client.get_logged_model(name).artifact_location, None
    version = client.get_model_version(name, number[0])
    digest: str | None = version.tags.get(DIGEST_TAG)
    if digest is None:
        raise TrackingError(f"model {uri} is refused: its version was not registered by `tgsr register`")
    return client.get_model_version_download_uri(name, version.version), digest


def _load(folder: Path, uri: str, digest: str | None, trusted: Iterable[str]) -> RegisteredModel:
    try:
        _check_mlmodel(folder / _MLMODEL)
        data = folder / "data" / FOLDER
        strange = sorted(path.name for path in data.iterdir() if path.name not in (ESTIMATOR, HEADER))
        if strange:
            raise TrackingError(f"{strange[0]!r} in its data is no file of ours")
        return load_files(data, sha256=digest, trusted=trusted)
    except TrackingError as error:
        shown = str(error).replace(f"{folder}{os.sep}", "")
        raise TrackingError(f"model {uri} is refused: {shown}") from error
    except OSError as error:
        raise TrackingError(f"model {uri} is refused: {error.strerror or error}: {error.filename}") from error


def _check_mlmodel(path: Path) -> None:
    """Refuse a model whose MLmodel asks for anything but our loader and its data."""
    import yaml  # type: ignore[import-untyped]

    if not path.is_file() or path.stat().st_size > _LARGEST_MLMODEL:
        raise TrackingError(f"{_MLMODEL} is missing, or too large to be one")
    try:
        stored: Any = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        flavors, ours = stored["flavors"], stored["flavors"]["python_function"]
        names, given = list(flavors), {key: value for key, value in ours.items() if key not in _HARMLESS}
    except Exception as error:  # whatever the text holds
        raise TrackingError(f"{_MLMODEL} cannot be read, or has no flavour python_function") from error
    # compared with what is expected, and not printed: a few lines of YAML can stand for gigabytes
    if (
        names != ["python_function"]
        or {**_EXPECTED, **given} != _EXPECTED
        or not {"loader_module", "data"} <= set(given)
    ):
        raise TrackingError(
            f"{_MLMODEL} does not name our loader {LOADER} and its data alone; what else is in it could run code"
        )
