"""Runs above others: of a study, of a command with several studies, and the one that ``mlflow run`` has started."""

from __future__ import annotations

import functools
import getpass
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tgsr.tracking.client import ensure_experiment, experiment_ids, search_runs
from tgsr.tracking.config import TrackingConfig
from tgsr.tracking.names import Tag, experiment_title
from tgsr.tracking.views import prepare_experiment
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["command_run", "find_run_of", "finish_run", "log_params", "project_run", "source_tags", "user_name"]

_log = logging.getLogger(__name__)


@contextmanager
def command_run(
    client: MlflowClient,
    config: TrackingConfig,
    kind: str,
    key: str,
    *,
    name: str,
    description: str,
    params: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A run for a command whose studies become its children: run again with the same ``key``, it goes on.

    It is the run that ``mlflow run`` has started, if there is one; its state is then MLflow's business.

    Parameters
    ----------
    client : MlflowClient
    config : TrackingConfig
    kind : str
        The command, such as ``"compare"``; its runs are in the experiment ``tgsr/compare``.
    key : str
        What the command is about: another key is another run.
    name, description : str
    params : mapping, optional

    Yields
    ------
    str
        The run's id.
    """
    tags = {Tag.KIND: kind, Tag.STUDY: key, Tag.CODE_VERSION: code_version(), Tag.NOTE: description}
    run_id = project_run(client)
    if run_id is not None:  # its user and source are the project's own, which say more
        for tag, value in tags.items():
            client.set_tag(run_id, tag, value)
        client.update_run(run_id, name=name)
    else:
        run_id = find_run_of(client, kind, key)
    if run_id is None:
        experiment = ensure_experiment(client, experiment_title(kind), config)
        prepare_experiment(client, experiment)
        run_id = str(client.create_run(experiment, tags=tags | source_tags(), run_name=name).info.run_id)
    else:
        client.update_run(run_id, status="RUNNING")
    log_params(client, run_id, params or {})
    try:
        yield run_id
    except BaseException as error:
        finish_run(client, run_id, error)
        raise
    finish_run(client, run_id)


def project_run(client: MlflowClient) -> str | None:
    """The run that ``mlflow run`` has started for this process; None if there is none, or it is not in this store."""
    from mlflow.exceptions import MlflowException

    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    try:
        kind = client.get_run(run_id).data.tags.get(Tag.KIND, "")
    except MlflowException:
        _log.warning("MLFLOW_RUN_ID=%s is no run of this tracking store; it is left aside", run_id)
        return None
    return None if kind in ("study", "trial") else run_id


def find_run_of(client: MlflowClient, kind: str, key: str) -> str | None:
    """Run id of the active run of this kind that was started under this key (tag ``tgsr.study``), if any."""
    condition = f"tags.`{Tag.KIND}` = '{kind}' and tags.`{Tag.STUDY}` = '{key}'"
    found = next(search_runs(client, experiment_ids(client), condition), None)
    return None if found is None else str(found.info.run_id)


def finish_run(client: MlflowClient, run_id: str, error: BaseException | None = None) -> None:
    """End a run, KILLED or FAILED by an error; one that ``mlflow run`` has started is ended by it."""
    if os.environ.get("MLFLOW_RUN_ID") != run_id:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        client.set_terminated(run_id, status="FINISHED" if error is None else "KILLED" if stopped else "FAILED")


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters that a run does not have yet; those of ``mlflow run`` are there already."""
    from mlflow.entities import Param

    present = client.get_run(run_id).data.params
    lacking = [Param(key, value[:6000]) for key, value in params.items() if key not in present]
    client.log_batch(run_id, params=lacking)


def source_tags() -> dict[str, str]:
    """Who runs what: the tags that MLflow's fluent interface would set by itself."""
    return {Tag.USER: user_name(), Tag.SOURCE_NAME: sys.argv[0] or "tgsr", Tag.SOURCE_TYPE: "LOCAL"}


@functools.cache
def user_name() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry or a variable
        return "unknown"
