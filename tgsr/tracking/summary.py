"""What a study's run shows: what each rule chooses, curves through the choice, the table of trials."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tgsr.evaluation.choice import METRIC, ORACLE, PARAM, RULE, SCORE, Choice, choose, column_of, names_of
from tgsr.evaluation.metrics import METRICS
from tgsr.tracking._bulk import analyze
from tgsr.tracking.names import CHOICES, TRIALS_CSV, TRIALS_PARQUET, Tag
from tgsr.tracking.records import StudyRecord
from tgsr.trials.trial import show_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["choices_table", "log_summary"]

_FACTS = ("choice", "settings", "value", "ties", "number", "run_id")
_SCORES = ("macro_f1", "accuracy")
_POINTS_A_CALL = 1000
_HEADING = "\n\n**What each rule chooses**"


def choices_table(record: StudyRecord) -> pd.DataFrame:
    """What the oracle and each rule choose among a study's trials.

    Returns
    -------
    DataFrame
        A row a choice: ``choice`` (a rule, or ``oracle``), ``settings`` (for people), ``value``, ``ties``, ``number``
        and ``run_id`` of the trial, and where the target has labels ``macro_f1`` and ``accuracy``.
    """
    rows = []
    for by in [*([ORACLE] if record.is_scored else []), *record.rules]:
        found = choose(record.table, by)
        facts = (by, show_settings(found.settings), found.value, found.n_ties, found.row["number"], found.row["run_id"])
        rows.append({**dict(zip(_FACTS, facts, strict=True)), **{key: found.metrics.get(key) for key in _SCORES}})
    return pd.DataFrame(rows, columns=[*_FACTS, *(key for key in _SCORES if METRIC + key in record.table)])


def log_summary(
    client: MlflowClient,
    record: StudyRecord,
    by: str,
    more_metrics: Mapping[str, float],
    files: Mapping[str, str],
) -> None:
    """Sum a study up on its run, the choice by a rule first.

    Metrics: the choice's, ``macro_f1.<choice>`` of every choice, the grid's median, ``best_kappa`` and the like. Of a
    whole grid also curves through the choice. Artifacts: the table of trials, a row a rule, and text ``files``.
    """
    from mlflow.entities import Metric, RunTag

    now, table, choices = int(time.time() * 1000), record.table, choices_table(record)
    metrics = {"trials": float(len(table)), **more_metrics}
    tags = {Tag.CHOOSE: by}
    best = choose(table, by) if len(choices) else None
    if best is not None:
        metrics |= best.metrics
        metrics |= {f"best_{name}": float(best.settings[name]) for name in _numeric(table)}
        tags[Tag.BEST_SETTINGS] = show_settings(best.settings) or "none"
        tags[Tag.NOTE] = record.tags.get(Tag.NOTE, "").partition(_HEADING)[0] + _as_markdown(choices, by)
    for row in choices.to_dict("records") if SCORE in choices else []:
        metrics[f"{SCORE}.{row['choice']}"] = row[SCORE]
    if record.is_scored:
        metrics[f"{SCORE}.median"] = float(table[METRIC + SCORE].median())
    client.log_batch(
        record.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    if record.spec.sampler == "grid" and best is not None:
        _log_curves(client, record, best)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table.to_csv(folder / TRIALS_CSV, index=False)
        table.to_parquet(folder / TRIALS_PARQUET, index=False)
        choices.to_csv(folder / CHOICES, index=False)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        client.log_artifacts(record.run_id, str(folder))
    analyze(client)


def _numeric(table: pd.DataFrame) -> list[str]:
    """The settings whose values are numbers in all trials."""
    return names_of(table.select_dtypes("number").dropna(axis="columns"), PARAM)


def _as_markdown(choices: pd.DataFrame, by: str) -> str:
    """The choices as a table in the run's description."""
    shown = [METRICS[key] for key in _SCORES if key in choices]
    head = ["choice", "settings", "ties", *(metric.axis for metric in shown)]
    lines = [head, ["---"] * len(head)]
    for row in choices.to_dict("records"):
        name = f"**{row['choice']}**" if row["choice"] == by else str(row["choice"])
        name += " (target labels)" * (row["choice"] == ORACLE)
        lines.append([name, row["settings"] or "none", f"{row['ties']:,}", *(m.show(row[m.key]) for m in shown)])
    return _HEADING + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _log_curves(client: MlflowClient, record: StudyRecord, best: Choice) -> None:
    """Log scores over each numeric setting, the others as in the chosen trial: ``macro_f1_over_kappa``.

    The step is the setting itself where it is an integer, else its rank among those of the curve. The names are the
    same in every study, so that MLflow lays the curves of several over each other.
    """
    from mlflow.entities import Metric

    table = record.table
    known = client.get_run(record.run_id).data.metrics
    points: list[Metric] = []
    for axis in _numeric(table):
        others = [table[PARAM + name] == value for name, value in best.settings.items() if name != axis]
        cut = table[np.logical_and.reduce(others)] if others else table
        cut = cut.sort_values(PARAM + axis, ignore_index=True)
        steps = cut[PARAM + axis] if cut[PARAM + axis].dtype.kind == "i" else cut.index
        for column in dict.fromkeys((METRIC + SCORE, METRIC + "accuracy", column_of(best.by))):
            name = f"{column.removeprefix(METRIC).removeprefix(RULE)}_over_{axis}"
            # points cannot be taken back: of a study whose choice has changed the first curve stays
            if column in cut and len(cut) > 1 and name not in known:
                pairs = zip(cut[column], steps, strict=True)
                # one fixed time: a curve that is logged again repeats its points
                points += [Metric(name, float(v), record.start_ms, int(step)) for v, step in pairs if v == v]
    for start in range(0, len(points), _POINTS_A_CALL):
        client.log_batch(record.run_id, metrics=points[start : start + _POINTS_A_CALL])
