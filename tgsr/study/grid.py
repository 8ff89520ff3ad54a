"""A grid as one CSV file, without MLflow: each finished task is a part beside it, until all are there."""

from __future__ import annotations

import hashlib
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
from tgsr.trials.tasks import grid_tasks
from tgsr.trials.trial import Trial, encode_predictions, settings_json
from tgsr.version import code_digest

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["grid_table"]

_log = logging.getLogger(__name__)


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
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            if not _is_finished(path, made_from):
                # other data, settings or code have other parts
                parts = path.with_name(f".{path.name}.{_digest(json.dumps(made_from).encode())[:12]}")
                tasks = [Work(spec, pair, tuple(rules), "fit", (task, False)) for task in grid_tasks(spec, n_trials)]
                with (
                    handle_signals(),
                    tqdm(total=len(spec.cells(n_trials)), unit="cell", desc=spec.title, disable=not progress) as bar,
                    open_executor(scheduler, jobs) as executor,
                ):
                    run_jobs(iter([_GridJob(tasks, parts, bar)]), executor, bar)
                _write(path, made_from, parts)
            return pd.read_csv(path, dtype={"predictions": str})  # digits, not a number
    except Timeout as error:
        raise LockedError(f"{path} is being written by another process; wait for it, or stop it") from error


class _GridJob(Job):
    """A grid at work: each finished task is a part, those that are there are not run again."""

    def __init__(self, tasks: Sequence[Work], parts: Path, bar: tqdm[Any]) -> None:
        self._pair, self._parts, self._bar = tasks[0].pair, parts, bar
        self.tasks = []
        for work in tasks:
            first, size = work.arguments[0][0][0], len(work.arguments[0])
            if self._part(first, size).is_file():
                bar.update(size)
            else:
                self.tasks.append(work)

    def receive(self, result: Sequence[Trial]) -> None:
        """Write a part."""
        with atomic_path(self._part(result[0].number, len(result))) as temporary:
            _frame(result, self._pair).to_parquet(temporary, index=False)
        self._bar.update(len(result))

    def _part(self, first: int, size: int) -> Path:
        return self._parts / f"{first:07d}-{size}.parquet"


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


def _write(path: Path, made_from: dict[str, Any], parts: Path) -> None:
    """Put the parts together, and the description beside them."""
    table = pd.concat(map(pd.read_parquet, sorted(parts.glob("[0-9]*.parquet")))).sort_values("number")
    text = table.to_csv(index=False)
    path.unlink(missing_ok=True)  # an older table must not stand beside the new description
    described = {**made_from, "sha256": _digest(text.encode())}
    write_text(path.with_name(f"{path.name}.json"), json.dumps(described, indent=1))
    write_text(path, text)
    shutil.rmtree(parts, ignore_errors=True)


def _is_finished(path: Path, made_from: dict[str, Any]) -> bool:
    """Whether a table of the same content is there, as it was written."""
    stored: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        stored = dict(json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8")))
    sha256 = stored.pop("sha256", None)
    if stored != made_from or not path.is_file():
        return False
    if _digest(path.read_bytes()) != sha256:
        _log.warning("%s was changed since it was written; it is computed again", path)
        return False
    return True


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
