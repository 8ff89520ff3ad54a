"""A grid as one CSV file, without MLflow: each finished task is a part in a folder beside it."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from tgsr.errors import ParameterError
from tgsr.evaluation.choice import METRIC, RULE
from tgsr.evaluation.metrics import confusion_matrices
from tgsr.files import atomic_path, check_output, write_text
from tgsr.stopping import handle_signals
from tgsr.study.executors import Work, open_executor
from tgsr.study.running import Job, run_jobs
from tgsr.tracking.lock import LockedError
from tgsr.tracking.records import trial_columns
from tgsr.trials.spec import StudySpec
from tgsr.trials.tasks import Task, grid_tasks
from tgsr.trials.trial import Trial, encode_predictions, settings_json
from tgsr.version import code_digest

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["grid_table"]


def grid_table(
    spec: StudySpec,
    pair: DatabasePair,
    path: Path,
    *,
    rules: Sequence[str] = (),
    n_trials: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Score a whole grid and write it as a CSV; interrupted, the same call goes on, and gives the same bytes.

    What is finished stays in a hidden folder beside the CSV, so that the same call does not compute it again.

    Parameters
    ----------
    spec : StudySpec
        Of a grid.
    pair : DatabasePair
    path : Path
        The CSV.
    rules : sequence of str
        Rules whose values the table has besides the scores.
    n_trials, jobs, scheduler, progress
        See `tgsr.study.RunOptions`.

    Returns
    -------
    DataFrame
        See `tgsr.evaluation.choice`; with the confusion counts ``metrics.confusion_<true>_<predicted>``.

    Raises
    ------
    LockedError
        If another process writes the same file.
    ParameterError
        If the path does not end in .csv or is a folder, the study is sampled, or a rule does not suit.
    """
    if spec.is_sampled:
        raise ParameterError("a CSV has a whole grid: use --sampler grid")
    path = check_output(path, ".csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    # other data, settings or code have other parts
    code = code_digest("tgsr.solvers", "tgsr.estimators", "tgsr.evaluation", "tgsr.trials")
    made_from = repr((spec.name, tuple(rules), n_trials, code))
    parts = path.with_name(f".{path.name}.{hashlib.sha256(made_from.encode()).hexdigest()[:12]}")
    tasks = grid_tasks(spec, n_trials)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            with (
                handle_signals(),
                tqdm(total=sum(map(len, tasks)), unit="cell", desc=spec.title, disable=not progress) as bar,
                open_executor(scheduler, jobs) as executor,
            ):
                run_jobs(iter([_GridJob(spec, pair, tuple(rules), tasks, parts, bar)]), executor, bar)
            table = pd.concat([pd.read_parquet(parts / _name(task[0][0], len(task))) for task in tasks])
            write_text(path, table.sort_values("number").to_csv(index=False))
            for folder in path.parent.iterdir():  # parts of a table that stands there no longer
                if re.fullmatch(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}", folder.name) and folder != parts:
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        raise LockedError(f"{path} is being written by another process; wait for it, or stop it") from error
    return pd.read_csv(path, dtype={"predictions": str})  # digits, not a number


class _GridJob(Job):
    """A grid at work: the tasks whose parts are not there."""

    def __init__(
        self,
        spec: StudySpec,
        pair: DatabasePair,
        rules: tuple[str, ...],
        tasks: Sequence[Task],
        parts: Path,
        bar: tqdm[Any],
    ) -> None:
        self._pair, self._parts, self._bar = pair, parts, bar
        lacking = [task for task in tasks if not (parts / _name(task[0][0], len(task))).is_file()]
        self.tasks = [Work(spec, pair, rules, "fit", (task, False)) for task in lacking]
        bar.update(sum(map(len, tasks)) - sum(map(len, lacking)))

    def receive(self, result: Sequence[Trial]) -> None:
        """Write a part."""
        with atomic_path(self._parts / _name(result[0].number, len(result))) as temporary:
            _frame(result, self._pair).to_parquet(temporary, index=False)
        self._bar.update(len(result))


def _name(first: int, size: int) -> str:
    return f"{first:07d}-{size}.parquet"


def _frame(trials: Sequence[Trial], pair: DatabasePair) -> pd.DataFrame:
    rules = [{RULE + name: value for name, value in trial.rules.items()} for trial in trials]
    metrics = [{**trial.metrics, **values} for trial, values in zip(trials, rules, strict=True)]
    facts = {
        "number": [trial.number for trial in trials],
        "settings": [settings_json(trial.settings) for trial in trials],
        "predictions": [encode_predictions(trial.predictions) for trial in trials],
    }
    table = trial_columns(pd.DataFrame(facts), pd.DataFrame(metrics).drop(columns="fit_seconds"))
    if pair.target.labels is not None:
        names = pair.source.class_names
        predicted = np.array([trial.predictions for trial in trials])
        counts = confusion_matrices(pair.target.labels, predicted, len(names))
        for true, other in itertools.product(range(len(names)), repeat=2):
            table[f"{METRIC}confusion_{names[true]}_{names[other]}"] = counts[:, true, other]
    return table
