"""Databases of a study: from a folder, or from the tracking server by digest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from studies.spec import ExperimentSpec
from tgsr.datasets import DatabasePair, FeatureDataset, load_features, load_pair, save_features
from tgsr.errors import MissingDataError
from tgsr.protocols import get_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["fetch_pair", "share_data"]

_FOLDER = "data"


def share_data(client: MlflowClient, run_id: str, pair: DatabasePair) -> None:
    """Store both databases as artifacts of the study's run, each under its digest, unless they are there."""
    present = {Path(entry.path).name for entry in client.list_artifacts(run_id, _FOLDER)}
    with tempfile.TemporaryDirectory() as temporary:
        for data in (pair.source, pair.target):
            if f"{data.digest}.tgsr.npz" in present:
                continue
            path = save_features(data, Path(temporary) / f"{data.digest}.tgsr.npz")
            client.log_artifact(run_id, str(path), _FOLDER)


def fetch_pair(client: MlflowClient, run_id: str, spec: ExperimentSpec, folder: str | None) -> DatabasePair:
    """Get a study's databases: from ``folder`` if given, else from the tracking server.

    Raises
    ------
    MissingDataError
        If the study has not shared its databases.
    TrackingError
        If a folder's databases are not the study's.
    """
    if folder is not None:
        pair = load_pair(get_experiment(spec.experiment), folder)
        spec.check_data(pair)
        return pair
    return DatabasePair(*(_fetch(client, run_id, digest) for digest in (spec.source_digest, spec.target_digest)))


def _fetch(client: MlflowClient, run_id: str, digest: str) -> FeatureDataset:
    with tempfile.TemporaryDirectory() as temporary:
        try:
            path = client.download_artifacts(run_id, f"{_FOLDER}/{digest}.tgsr.npz", temporary)
        except Exception as error:  # each artifact store raises its own
            raise MissingDataError(
                f"run {run_id} does not hold the database with digest {digest[:12]} ({error}); start the study with "
                "--share-data, or give the worker the feature files with --data"
            ) from error
        return load_features(path)
