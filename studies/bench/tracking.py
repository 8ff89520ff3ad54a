"""What tracking every trial of a whole grid costs, by part, and what it leaves behind.

    python -m studies.bench.tracking --data FOLDER --home FOLDER [--every 10]

Runs the V→N grid (oracle, released groups) with every trial tracked, on all cores, between two stretches of the same
grid untracked, so that the ratio does not depend on how busy the machine is. Then reads everything back.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from studies.ledger import Ledger
from studies.space import Space
from tgsr.evaluation.grid import GridPlan, score_grid
from tgsr.tracking.bulk import BulkWriter
from tgsr.tracking.place import open_client, resolve_place

from studies.spec import StudySpec
from studies.study import StudyOptions, run_study
from tgsr.datasets import DatabasePair, load_pair
from tgsr.protocols import KAPPAS, XIS, get_experiment


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th ξ")
    parser.add_argument("--matrices", default="all")
    given = parser.parse_args()
    pair = load_pair(get_experiment("V-N"), given.data)
    before = _untracked(pair, 7)
    total, windows = _tracked(pair, given)
    after = _untracked(pair, 3)
    untracked = (before + after) / 2
    n_trials = len(windows["track"]) and sum(count for count, _ in windows["track"])
    print(f"untracked {1e3 * untracked:.2f} ms a cell (before {1e3 * before:.2f}, after {1e3 * after:.2f})")
    print(f"tracked   {1e3 * total / n_trials:.2f} ms a cell: {total / n_trials / untracked:.2f} times")
    for part, entries in windows.items():
        _print_growth(part, entries)
    _read_back(given.home)


def _untracked(pair: DatabasePair, offset: int) -> float:
    xis = XIS[offset::40]
    started = time.perf_counter()
    score_grid(pair, GridPlan(KAPPAS, xis.tolist(), "released"))
    return (time.perf_counter() - started) / (len(xis) * len(KAPPAS))


def _tracked(pair: DatabasePair, given: argparse.Namespace) -> tuple[float, dict[str, list[tuple[int, float]]]]:
    windows: dict[str, list[tuple[int, float]]] = {"track": [], "claim": [], "tell": []}
    _time(BulkWriter, "write", windows["track"], lambda arguments, _: len(arguments[1]))
    _time(Ledger, "claim", windows["claim"], lambda _, claims: len(claims))
    _time(Ledger, "tell", windows["tell"], lambda _, told: len(told))
    spec = StudySpec(
        "V-N",
        pair.source.digest,
        pair.target.digest,
        Space(xis=tuple(XIS[:: given.every].tolist())),
        selection="oracle",
        grouping="released",
    )
    options = StudyOptions(resolve_place(given.home), given.data, matrices=given.matrices)
    started = time.perf_counter()
    result = run_study(spec, pair, options)
    total = time.perf_counter() - started
    print(f"{len(result.table)} trials in {total:.1f} s; seconds by part: {result.seconds}")
    print(f"best: kappa {result.best['kappa']}, xi {result.best['xi']}, macro-F1 {result.best['macro_f1']:.4f}")
    return total, windows


def _time(owner: type, name: str, entries: list[tuple[int, float]], count: Any) -> None:
    inner = getattr(owner, name)

    def timed(self: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = inner(self, *arguments)
        entries.append((count(arguments, result), time.perf_counter() - started))
        return result

    setattr(owner, name, timed)


def _print_growth(part: str, entries: list[tuple[int, float]]) -> None:
    entries = [entry for entry in entries if entry[0]]
    numbers = np.cumsum([count for count, _ in entries])
    costs = np.array([1e3 * seconds / count for count, seconds in entries])
    early = np.median(costs[(numbers > 200) & (numbers <= 2200)])
    late = np.median(costs[numbers > 0.87 * numbers[-1]])
    print(f"{part:6s} {costs.mean():.3f} ms a trial; at trial 200 … 2,200 {early:.3f}, at the end {late:.3f}")


def _read_back(home: str) -> None:
    client = open_client(resolve_place(home).tracking_uri)
    experiment = client.get_experiment_by_name("tgsr/V-N")
    assert experiment is not None
    started = time.perf_counter()
    best = client.search_runs([experiment.experiment_id], "", order_by=["metrics.macro_f1 DESC"], max_results=100)
    print(f"search_runs, best 100: {time.perf_counter() - started:.2f} s (best {best[0].data.metrics['macro_f1']:.4f})")
    cells: Counter[tuple[str, str]] = Counter()
    parents, token, started = 0, None, time.perf_counter()
    while True:
        page = client.search_runs([experiment.experiment_id], "", max_results=5000, page_token=token)
        for run in page:
            if run.data.tags["tgsr.kind"] == "trial":
                cells[run.data.params["kappa"], run.data.params["xi"]] += 1
            else:
                parents += 1
        token = page.token
        if not token:
            break
    seconds = time.perf_counter() - started
    print(f"read back {sum(cells.values())} trials of {len(cells)} cells, {parents} parents, in {seconds:.0f} s")
    files = [path.stat().st_size for path in Path(home).joinpath("mlruns").rglob("*") if path.is_file()]
    database = Path(home, "mlflow.db").stat().st_size
    journal = Path(home, "optuna.journal").stat().st_size
    print(
        f"on disk: {sum(files) / 2**20:.0f} MiB in {len(files)} files, database {database / 2**20:.0f} MiB, "
        f"journal {journal / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main()
