"""One run for a whole grid: its table and picture, its best cell, and the curves through that cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tgsr.evaluation.grid import GridPlan
from tgsr.tracking.names import Tag, experiment_title
from tgsr.tracking.place import Place, open_client
from tgsr.tracking.study_runs import ParentSpec, finish_parent, log_curves, log_inputs, start_parent
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.datasets import DatabasePair

__all__ = ["log_grid"]


def log_grid(
    place: Place,
    table: pd.DataFrame,
    pair: DatabasePair,
    plan: GridPlan,
    experiment: str,
    files: Sequence[Path],
    where: str = "",
) -> str:
    """Log a finished grid to MLflow. Returns the run's id.

    Parameters
    ----------
    place : Place
    table : DataFrame
        As `tgsr.evaluation.grid.write_grid` returns it.
    pair : DatabasePair
    plan : GridPlan
    experiment : str
        Such as ``"V-N"``.
    files : sequence of Path
        Stored as artifacts.
    where : str
        The folder that the databases were read from.
    """
    client = open_client(place.tracking_uri)
    best = table.iloc[int(table["macro_f1"].to_numpy().argmax())].to_dict()
    spec = ParentSpec(
        title=experiment_title(experiment),
        name=f"{experiment} grid table {plan.grouping} oracle",
        description=(
            f"Every cell of the grid of (κ, ξ) for {experiment}, groups `{plan.grouping}`, scored on the target's "
            "labels. **Oracle**: the best cell is chosen by those labels, as in the paper."
        ),
        tags={
            Tag.KIND: "grid",
            Tag.EXPERIMENT: experiment,
            Tag.SELECTION: "oracle",
            Tag.GROUPING: plan.grouping,
            Tag.SOURCE_DIGEST: pair.source.digest,
            Tag.TARGET_DIGEST: pair.target.digest,
            Tag.CODE_VERSION: code_version(),
        },
        params={
            "experiment": experiment,
            "grouping": plan.grouping,
            "cells": str(len(table)),
            **{key: str(value) for key, value in asdict(plan.settings).items()},
        },
    )
    run_id = start_parent(client, spec, place.artifact_root)
    try:
        log_inputs(client, run_id, {"source": pair.source, "target": pair.target}, where)
        for metric in ("macro_f1", "accuracy", "recall"):
            client.log_metric(run_id, metric, float(best[metric]))
            client.log_metric(run_id, f"median_{metric}", float(table[metric].median()))
        client.log_metric(run_id, "best_kappa", float(best["kappa"]))
        client.log_metric(run_id, "best_xi", float(best["xi"]))
        log_curves(client, run_id, table, {str(key): value for key, value in best.items()}, sorted(set(table["xi"])))
        for file in files:
            client.log_artifact(run_id, str(file))
    except BaseException:
        finish_parent(client, run_id, "FAILED")
        raise
    finish_parent(client, run_id)
    return run_id
