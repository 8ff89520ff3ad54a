"""The whole grid of (κ, ξ) for one experiment, scored; resumable, one ξ at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from threadpoolctl import threadpool_limits

from tgsr import __version__
from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.errors import DataError, ParameterError
from tgsr.estimators.tgsr import feature_groups
from tgsr.evaluation.metrics import score_batch
from tgsr.evaluation.runner import mask_target
from tgsr.files import check_output, write_text
from tgsr.protocols import KAPPAS, XIS, check_kappa, check_xi
from tgsr.solvers import BatchSolver, CellSolution, SolverSettings
from tgsr.version import code_digest

__all__ = ["GridPlan", "make_solver", "score_cells", "score_grid", "write_grid"]


@dataclass(frozen=True, eq=False)
class GridPlan:
    """What a grid computes: the cells, the grouping and the solver's settings.

    Raises
    ------
    ParameterError
        If a κ, a ξ or the grouping is unknown or out of range, or there is no cell.
    """

    kappas: Sequence[int] = KAPPAS
    xis: Sequence[float] = tuple(XIS.tolist())
    grouping: str = "region"
    settings: SolverSettings = field(default_factory=SolverSettings)

    def __post_init__(self) -> None:
        kappas = sorted({check_kappa(kappa) for kappa in self.kappas})
        xis = sorted({check_xi(xi) for xi in self.xis})
        if not kappas or not xis:
            raise ParameterError("the grid is empty; give at least one κ and one ξ")
        object.__setattr__(self, "kappas", kappas)
        object.__setattr__(self, "xis", xis)

    def provenance(self, pair: DatabasePair) -> dict[str, Any]:
        """All that decides the table's content, as JSON values."""
        return {
            "source": _identity(pair.source),
            "target": _identity(pair.target),
            "grouping": self.grouping,
            "solver": asdict(self.settings),
            "kappas": list(self.kappas),
            "xis": list(self.xis),
            "code": code_digest("tgsr.evaluation", "tgsr.solvers"),
            "tgsr": __version__,
        }


def make_solver(pair: DatabasePair, grouping: str, settings: SolverSettings | None = None) -> BatchSolver:
    """The batched solver of an experiment; it is given no target labels."""
    task = mask_target(pair)
    groups = feature_groups(grouping, task.X.shape[1])
    return BatchSolver(task.X, task.y, len(task.class_names), task.X_target, groups, settings)


def score_cells(solutions: Sequence[CellSolution], pair: DatabasePair) -> pd.DataFrame:
    """Score solutions against the target's labels: a row each, in the given order.

    Columns: ``kappa, xi, accuracy, macro_f1, n_iter, recall``, precision and recall of each class,
    ``confusion_<true>_<predicted>`` (counts), ``n_selected`` (groups kept), ``objective``, ``converged``.
    """
    class_names = pair.target.class_names
    codes = np.array([solution.target_codes for solution in solutions])
    scores = score_batch(pair.target.labels, codes, len(class_names))
    columns: dict[str, Any] = {
        "kappa": [solution.kappa for solution in solutions],
        "xi": [solution.xi for solution in solutions],
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "n_iter": [solution.n_iter for solution in solutions],
        "recall": scores.recall,
    }
    for index, name in enumerate(class_names):
        columns[f"precision_{name}"] = scores.class_precision[:, index]
        columns[f"recall_{name}"] = scores.class_recall[:, index]
    for true, predicted in itertools.product(range(len(class_names)), repeat=2):
        columns[f"confusion_{class_names[true]}_{class_names[predicted]}"] = scores.confusion[:, true, predicted]
    columns["n_selected"] = [int(np.count_nonzero(solution.group_norms)) for solution in solutions]
    columns["objective"] = [solution.objective for solution in solutions]
    columns["converged"] = [solution.converged for solution in solutions]
    return pd.DataFrame(columns)


def score_grid(
    pair: DatabasePair,
    plan: GridPlan | None = None,
    *,
    jobs: int | None = None,
    on_xi: Callable[[pd.DataFrame], None] | None = None,
    skip: Sequence[float] = (),
) -> pd.DataFrame:
    """Solve and score every cell of a grid.

    Parameters
    ----------
    pair : DatabasePair
    plan : GridPlan, optional
        By default the paper's whole grid with facial regions.
    jobs : int, optional
        Threads, each with one BLAS thread; by default as many as there are cores.
    on_xi : callable, optional
        Called with the finished rows of each ξ, in no particular order.
    skip : sequence of float
        Values of ξ to leave out (done before).

    Returns
    -------
    DataFrame
        See `score_cells`; sorted by κ, then ξ. The rows of one ξ do not depend on what else is computed.
    """
    plan = plan or GridPlan()
    solver = make_solver(pair, plan.grouping, plan.settings)
    tables: list[pd.DataFrame] = []
    wanted = [xi for xi in plan.xis if xi not in set(skip)]

    def solve(xi: float) -> pd.DataFrame:
        return score_cells(solver.solve([(kappa, xi) for kappa in plan.kappas]), pair)

    # the limit is the process's, so it is set once around all threads
    with threadpool_limits(limits=1, user_api="blas"), _pool(jobs or cpu_count()) as pool:
        for table in _unordered(pool, solve, wanted):
            if on_xi is not None:
                on_xi(table)
            tables.append(table)
    return _sorted(pd.concat(tables)) if tables else pd.DataFrame()


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops what has not begun when its user is interrupted."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _unordered(
    pool: ThreadPoolExecutor, task: Callable[[float], pd.DataFrame], items: Sequence[float]
) -> Iterator[pd.DataFrame]:
    waiting: set[Future[pd.DataFrame]] = {pool.submit(task, item) for item in items}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["kappa", "xi"], ignore_index=True)


def write_grid(
    pair: DatabasePair,
    path: str | os.PathLike[str],
    plan: GridPlan | None = None,
    *,
    jobs: int | None = None,
    progress: Callable[[int, bool], None] | None = None,
) -> pd.DataFrame:
    """Compute a grid into a CSV file, continuing what an interrupted run has left.

    Finished values of ξ are kept in ``<path>.parts`` until all are there; then the CSV appears in one step, with
    ``<path>.json`` beside it, which tells what it was made from. A finished file of the same content is not computed
    again.

    Parameters
    ----------
    progress : callable, optional
        Called with a number of cells, and whether they were found finished.

    Raises
    ------
    DataError
        If the parts beside ``path`` come from other data or settings.
    ParameterError
        If ``path`` does not end in .csv, or is a folder.
    """
    plan = plan or GridPlan()
    path = check_output(path, ".csv")
    report = progress or _no_report
    provenance = plan.provenance(pair)
    fingerprint = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
    sidecar = path.with_name(f"{path.name}.json")
    parts = path.with_name(f"{path.name}.parts")
    finished = _read_finished(path, sidecar, fingerprint)
    if finished is not None:
        shutil.rmtree(parts, ignore_errors=True)
        report(len(plan.kappas) * len(plan.xis), True)
        return finished
    # a run killed at its very beginning leaves the folder without a plan, and without parts
    if any(parts.glob("xi-*.csv")) and _stored(parts / "plan.json").get("fingerprint") != fingerprint:
        raise DataError(
            f"{parts}: left by a grid of other data, settings or version; finish that one, or remove the folder"
        )
    plan_text = json.dumps({"fingerprint": fingerprint, **provenance}, indent=1)
    write_text(parts / "plan.json", plan_text)
    done = _read_parts(parts, plan)
    report(len(plan.kappas) * len(done), True)

    def keep(table: pd.DataFrame) -> None:
        xi = float(table["xi"].iloc[0])
        write_text(_part(parts, xi), table.to_csv(index=False))
        done[xi] = table
        report(len(table), False)

    score_grid(pair, plan, jobs=jobs, on_xi=keep, skip=list(done))
    table = _sorted(pd.concat([done[xi] for xi in plan.xis]))
    text = table.to_csv(index=False)
    described = {"fingerprint": fingerprint, "sha256": hashlib.sha256(text.encode()).hexdigest(), **provenance}
    path.unlink(missing_ok=True)  # an older table must not stand beside the new sidecar
    write_text(sidecar, json.dumps(described, indent=1))
    write_text(path, text)
    shutil.rmtree(parts)
    return table


def _identity(data: FeatureDataset) -> dict[str, Any]:
    return {"name": data.name, "digest": data.digest} | ({"generated": True} if data.is_generated else {})


def _no_report(_cells: int, _found: bool) -> None:
    pass


def _read_finished(path: Path, sidecar: Path, fingerprint: str) -> pd.DataFrame | None:
    """The table if it is there, is the plan's and is as it was written."""
    stored = _stored(sidecar)
    if not path.is_file() or stored.get("fingerprint") != fingerprint:
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != stored.get("sha256"):
        return None
    return _read_table(path)


def _stored(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_table(path: Path) -> pd.DataFrame:
    # what is read is written again, so every digit counts: pandas reads them all from version 3 on
    return pd.read_csv(path)


def _part(parts: Path, xi: float) -> Path:
    return parts / f"xi-{xi!r}.csv"


def _read_parts(parts: Path, plan: GridPlan) -> dict[float, pd.DataFrame]:
    """Finished ξ; the files are written in one step, so what is there is whole."""
    return {xi: _read_table(_part(parts, xi)) for xi in plan.xis if _part(parts, xi).is_file()}
