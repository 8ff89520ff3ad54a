"""The ten methods under one protocol, beside the published numbers.

Two selections: ``oracle`` is the best target macro-F1 over a method's grid (the first of equals), as in the published
tables, which uses the target's labels; ``default`` is one fit with settings that were fixed beforehand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import cpu_count

from tgsr.datasets import DatabasePair, FeatureDataset, find_damaged, find_databases, load_database
from tgsr.errors import MissingDataError, ParameterError
from tgsr.estimators.spaces import METHODS, Method, get_method
from tgsr.estimators.sweep import SweepClassifier
from tgsr.evaluation.grid import GridPlan, score_grid
from tgsr.evaluation.metrics import Scores, score, score_batch
from tgsr.evaluation.paper import published_result
from tgsr.evaluation.runner import evaluate, mask_target
from tgsr.files import atomic_path, check_output, write_text
from tgsr.protocols import EXPERIMENTS, Experiment
from tgsr.version import code_digest

__all__ = [
    "COLUMNS",
    "SELECTIONS",
    "ComparisonOptions",
    "ComparisonResult",
    "Progress",
    "available_pairs",
    "comparison_table",
    "run_comparison",
    "run_method",
    "write_comparison",
]

COLUMNS = (
    "experiment",
    "method",
    "selection",
    "macro_f1",
    "accuracy",
    "params",
    "paper_macro_f1",
    "paper_accuracy",
    "generated",
)
SELECTIONS = ("oracle", "default")

Progress = Callable[[str, int, int], None]
"""Called with a label such as ``V-N TCA oracle``, the candidates finished since the last call, and their number."""

_THIN_MANTISSAS = ("1", "3")


@dataclass(frozen=True)
class ComparisonOptions:
    """What a comparison may vary.

    Attributes
    ----------
    grouping : {"released", "region"}
        TGSR's groups; the published numbers belong to ``"released"``.
    thin_tsrg : bool
        Whether TSRG searches μ ∈ {1, 3}·10^k and 10 only (63 pairs instead of 259).
    jobs : int, optional
        Threads; by default as many as there are cores. They do not change a result.
    """

    grouping: str = "released"
    thin_tsrg: bool = False
    jobs: int | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """One method in one experiment.

    Attributes
    ----------
    experiment : Experiment
    method, selection : str
    params : mapping
        The chosen parameters.
    predictions : array of int, shape (n_target,)
        Class indices.
    scores : Scores
    n_candidates : int
        Parameter sets that the selection chose from.
    seconds : float
        Wall time; of the run that computed it where it was read back.
    generated : bool
        Whether the databases are generated, so that the published numbers do not apply.
    """

    experiment: Experiment
    method: str
    selection: str
    params: Mapping[str, Any]
    predictions: npt.NDArray[np.int64]
    scores: Scores
    n_candidates: int
    seconds: float
    generated: bool = False

    def row(self) -> dict[str, Any]:
        """The row of the table, see `COLUMNS`; accuracies are fractions, also the published one."""
        published = published_result(self.experiment, self.method)
        return {
            "experiment": self.experiment.name,
            "method": self.method,
            "selection": self.selection,
            "macro_f1": self.scores.macro_f1,
            "accuracy": self.scores.accuracy,
            "params": json.dumps(dict(self.params), sort_keys=True),
            "paper_macro_f1": None if published is None else published.macro_f1,
            "paper_accuracy": None if published is None else published.accuracy,
            "generated": self.generated,
        }


def run_method(
    experiment: Experiment,
    pair: DatabasePair,
    method: str | Method,
    selection: str,
    options: ComparisonOptions | None = None,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Run one method in one experiment.

    Parameters
    ----------
    experiment : Experiment
    pair : DatabasePair
    method : str or Method
    selection : {"oracle", "default"}
    options : ComparisonOptions, optional
    progress : callable, optional
        See `Progress`.

    Raises
    ------
    ParameterError
        If the method or the selection is unknown.
    """
    method = get_method(method) if isinstance(method, str) else method
    options = options or ComparisonOptions()
    if selection not in SELECTIONS:
        raise ParameterError(f"unknown selection {selection!r}; use one of {', '.join(SELECTIONS)}")
    label = f"{experiment.name} {method.name} {selection}"
    started = time.perf_counter()
    candidates = _candidates(method, pair, options) if selection == "oracle" else [dict(method.defaults)]

    def report(step: int) -> None:
        if progress is not None:
            progress(label, step, len(candidates))

    if selection == "oracle" and method.name == "TGSR":
        params, predictions = _best_of_surface(pair, method, options, report)
    else:
        params, predictions = _best_of_grid(pair, method, candidates, options, report)
    return ComparisonResult(
        experiment,
        method.name,
        selection,
        params,
        predictions,
        score(pair.target.labels, predictions, len(pair.target.class_names)),
        len(candidates),
        time.perf_counter() - started,
        pair.is_generated,
    )


def run_comparison(
    pairs: Mapping[Experiment, DatabasePair],
    methods: Iterable[str] = tuple(METHODS),
    selections: Sequence[str] = SELECTIONS,
    *,
    options: ComparisonOptions | None = None,
    parts: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_result: Callable[[ComparisonResult], None] | None = None,
) -> list[ComparisonResult]:
    """Run methods in experiments, in the order of the experiments, the methods and the selections.

    Parameters
    ----------
    pairs : mapping of Experiment to DatabasePair
    methods : iterable of str
    selections : sequence of str
    options : ComparisonOptions, optional
    parts : path, optional
        Folder that keeps each finished result; a later call with the same data, settings and code reads it back.
    progress : callable, optional
        See `Progress`.
    on_result : callable, optional
        Called with each result as soon as it is there (also with those read back).

    Raises
    ------
    ParameterError
        If a method or a selection is unknown.
    """
    options = options or ComparisonOptions()
    chosen = [get_method(name) for name in methods]
    results = []
    for experiment, pair in pairs.items():
        for method in chosen:
            for selection in selections:
                part = None if parts is None else Path(parts) / _part_name(experiment, pair, method, selection, options)
                result = _read_part(part, experiment, pair)
                if result is None:
                    result = run_method(experiment, pair, method, selection, options, progress)
                    _write_part(part, result)
                results.append(result)
                if on_result is not None:
                    on_result(result)
    return results


def available_pairs(
    folder: str | os.PathLike[str],
) -> tuple[dict[Experiment, DatabasePair], dict[Experiment, list[str]]]:
    """Load every experiment of the paper whose databases are in a folder.

    Returns
    -------
    pairs : dict of Experiment to DatabasePair
    missing : dict of Experiment to list of str
        For each of the others, the databases that are not there.

    Raises
    ------
    MissingDataError
        If no experiment is complete.
    """
    present = {found.name for found in find_databases(folder)}
    missing = {
        experiment: [name for name in (experiment.source, experiment.target) if name not in present]
        for experiment in EXPERIMENTS
    }
    complete = [experiment for experiment, absent in missing.items() if not absent]
    if not complete:
        held = ", ".join(sorted(present)) or "no feature file"
        damaged = "".join(f"; damaged: {reason}" for reason in find_damaged(folder).values())
        raise MissingDataError(
            f"{folder}: no experiment has both of its databases here; the folder holds {held}{damaged}"
        )
    loaded: dict[str, FeatureDataset] = {
        name: load_database(name, folder)
        for name in sorted({name for experiment in complete for name in (experiment.source, experiment.target)})
    }
    pairs = {experiment: DatabasePair(loaded[experiment.source], loaded[experiment.target]) for experiment in complete}
    return pairs, {experiment: absent for experiment, absent in missing.items() if absent}


def comparison_table(results: Iterable[ComparisonResult]) -> pd.DataFrame:
    """Results as a table with the columns `COLUMNS`; ``generated`` only where some data are."""
    table = pd.DataFrame([result.row() for result in results], columns=list(COLUMNS))
    return table if table["generated"].any() else table.drop(columns="generated")


def write_comparison(
    pairs: Mapping[Experiment, DatabasePair],
    path: str | os.PathLike[str],
    methods: Iterable[str] = tuple(METHODS),
    selections: Sequence[str] = SELECTIONS,
    *,
    options: ComparisonOptions | None = None,
    progress: Progress | None = None,
    on_result: Callable[[ComparisonResult], None] | None = None,
) -> pd.DataFrame:
    """Run a comparison into a CSV file, which appears in one step; see `run_comparison`.

    Finished results are kept in ``<path>.parts`` until then, so that an interrupted run continues.
    """
    path = check_output(path, ".csv")
    parts = path.with_name(f"{path.name}.parts")
    results = run_comparison(
        pairs, methods, selections, options=options, parts=parts, progress=progress, on_result=on_result
    )
    table = comparison_table(results)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    shutil.rmtree(parts, ignore_errors=True)
    return table


def _candidates(method: Method, pair: DatabasePair, options: ComparisonOptions) -> list[dict[str, Any]]:
    grid = method.grid(len(pair.source), len(pair.target))
    if method.name == "TSRG" and options.thin_tsrg:
        return [params for params in grid if f"{params['mu']:e}"[0] in _THIN_MANTISSAS]
    return grid


def _best_of_grid(
    pair: DatabasePair,
    method: Method,
    candidates: list[dict[str, Any]],
    options: ComparisonOptions,
    report: Callable[[int], None],
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """The candidate with the best target macro-F1, the first of equals; of one candidate nothing is chosen."""
    estimator = method.make()
    available = estimator.get_params()
    fixed = {"n_jobs": options.jobs or cpu_count(), "groups": options.grouping}
    estimator.set_params(**{name: value for name, value in fixed.items() if name in available})
    task = mask_target(pair)
    if isinstance(estimator, SweepClassifier):
        predictions = estimator.predict_grid(task.X, task.y, task.X_target, candidates, report)
    else:
        fits = (estimator.set_params(**params).fit(task.X, task.y, X_target=task.X_target) for params in candidates)
        predictions = np.array([fit.predict(task.X_target) for fit in fits])
        report(len(candidates))
    predictions = predictions.astype(np.int64)
    scores = score_batch(pair.target.labels, predictions, len(pair.target.class_names))
    best = int(np.argmax(scores.macro_f1))
    return candidates[best], predictions[best]


def _best_of_surface(
    pair: DatabasePair, method: Method, options: ComparisonOptions, report: Callable[[int], None]
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """TGSR's oracle over the paper's whole grid, by the batched solver."""
    plan = GridPlan(grouping=options.grouping)
    table = score_grid(pair, plan, jobs=options.jobs, on_xi=lambda rows: report(len(rows)))
    best = table.iloc[int(np.argmax(table["macro_f1"].to_numpy()))]
    params = {"kappa": int(best["kappa"]), "xi": float(best["xi"])}
    fitted = evaluate(method.make(**params, groups=options.grouping), pair)
    return params, fitted.predictions


# --- finished results, kept beside the table ------------------------------------------------------------------------


def _part_name(
    experiment: Experiment, pair: DatabasePair, method: Method, selection: str, options: ComparisonOptions
) -> str:
    settings = asdict(options)
    del settings["jobs"]
    identity = [
        pair.source.digest,
        pair.target.digest,
        method.name,
        selection,
        settings,
        code_digest("tgsr.estimators", "tgsr.evaluation", "tgsr.solvers"),
    ]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return f"{experiment.name}_{method.name}_{selection}_{key}.json"


def _write_part(path: Path | None, result: ComparisonResult) -> None:
    if path is None:
        return
    content = {
        "method": result.method,
        "selection": result.selection,
        "params": dict(result.params),
        "predictions": result.predictions.tolist(),
        "n_candidates": result.n_candidates,
        "seconds": result.seconds,
    }
    write_text(path, json.dumps(content))


def _read_part(path: Path | None, experiment: Experiment, pair: DatabasePair) -> ComparisonResult | None:
    if path is None or not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    predictions = np.array(content.pop("predictions"), dtype=np.int64)
    scores = score(pair.target.labels, predictions, len(pair.target.class_names))
    return ComparisonResult(
        experiment=experiment, predictions=predictions, scores=scores, generated=pair.is_generated, **content
    )
