"""A grid as one CSV file, without MLflow: each finished task is a part beside it, until all are there."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from tgsr.errors import DataError, ParameterError
from tgsr.evaluation.choice import METRIC, RULE
from tgsr.evaluation.metrics import confusion_matrices
from tgsr.files import check_output, write_text
from tgsr.stopping import handle_signals, raise_if_stopped
from tgsr.study.executors import Work, open_executor
from tgsr.tracking.lock import LockedError
from tgsr.tracking.records import trial_columns
from tgsr.trials.spec import StudySpec
from tgsr.trials.tasks import Task, grid_tasks
from tgsr.trials.trial import Trial, encode_predictions, settings_json
from tgsr.version import code_digest

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["grid_table"]

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.25


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

    Parameters
    ----------
    spec : StudySpec
        Of a grid.
    pair : DatabasePair
    path : Path
        The CSV. ``<path>.json`` beside it says what it was made from; the same content is not computed again.
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
    made_from = {
        "study": spec.name,
        "spec": json.loads(spec.to_json()),
        "rules": list(rules),
        "trials": n_trials,
        "generated": pair.is_generated,
        "code": code_digest("tgsr.solvers", "tgsr.estimators", "tgsr.evaluation", "tgsr.trials"),
    }
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(f"{path} is being written by another process; wait for it, or stop it") from error
    try:
        finished = _read_finished(path, made_from)
        if finished is not None:
            return finished
        # other data, settings or code have other parts
        parts = path.with_name(f".{path.name}.{_digest(json.dumps(made_from))[:12]}")
        tasks = grid_tasks(spec, n_trials)
        _run(spec, pair, tuple(rules), tasks, parts, jobs, scheduler, progress)
        table = pd.concat([pd.read_parquet(parts / _name(task)) for task in tasks])
        text = table.sort_values("number").to_csv(index=False)
        path.unlink(missing_ok=True)  # an older table must not stand beside the new description
        write_text(path.with_name(f"{path.name}.json"), json.dumps({**made_from, "sha256": _digest(text)}, indent=1))
        write_text(path, text)
        shutil.rmtree(parts, ignore_errors=True)
        finished = _read_finished(path, made_from)
    finally:
        lock.release()
    if finished is None:
        raise DataError(f"{path} was changed while it was written; run the same command again")
    return finished


def _run(
    spec: StudySpec,
    pair: DatabasePair,
    rules: tuple[str, ...],
    tasks: Sequence[Task],
    parts: Path,
    jobs: int | None,
    scheduler: str | None,
    progress: bool,
) -> None:
    """Fit the tasks whose parts are not there."""
    from tgsr.files import atomic_path

    total = sum(map(len, tasks))
    lacking = [task for task in tasks if not (parts / _name(task)).is_file()]
    with (
        handle_signals(),
        tqdm(total=total, initial=total - sum(map(len, lacking)), unit="cell", disable=not progress) as bar,
        open_executor(scheduler, jobs) as executor,
    ):
        bar.set_description(spec.title)
        waiting: dict[Any, Task] = {}
        while lacking or waiting:
            while lacking and len(waiting) < executor.capacity:
                task = lacking.pop(0)
                waiting[executor.submit(Work(spec, pair, rules, "fit", (task, False)))] = task
            for future in executor.wait(set(waiting), _TICK_SECONDS):
                task = waiting.pop(future)
                with atomic_path(parts / _name(task)) as temporary:
                    _frame(future.result(), pair).to_parquet(temporary, index=False)
                bar.update(len(task))
            raise_if_stopped()


def _name(task: Task) -> str:
    return f"{task[0][0]:07d}-{len(task)}.parquet"


def _frame(trials: Sequence[Trial], pair: DatabasePair) -> pd.DataFrame:
    metrics = pd.DataFrame(
        [{**trial.metrics, **{RULE + name: value for name, value in trial.rules.items()}} for trial in trials]
    ).drop(columns="fit_seconds")
    facts = pd.DataFrame(
        {
            "number": [trial.number for trial in trials],
            "settings": [settings_json(trial.settings) for trial in trials],
            "predictions": [encode_predictions(trial.predictions) for trial in trials],
        }
    )
    table, names = trial_columns(facts, metrics), pair.source.class_names
    if pair.target.labels is not None:
        predicted = np.array([trial.predictions for trial in trials])
        counts = confusion_matrices(pair.target.labels, predicted, len(names))
        for true, other in itertools.product(range(len(names)), repeat=2):
            table[f"{METRIC}confusion_{names[true]}_{names[other]}"] = counts[:, true, other]
    return table


def _read_finished(path: Path, made_from: dict[str, Any]) -> pd.DataFrame | None:
    """The table if it is there, is of the same content and is as it was written."""
    stored: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        stored = dict(json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8")))
    sha256 = stored.pop("sha256", None)
    if stored != made_from or not path.is_file():
        return None
    content = path.read_bytes()
    if _digest(content) == sha256:
        return pd.read_csv(io.BytesIO(content), dtype={"predictions": str})  # digits, not a number
    _log.warning("%s was changed since it was written; it is computed again", path)
    return None


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
