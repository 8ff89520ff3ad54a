"""What claiming and telling a trial costs on each of Optuna's storages, early and late in a whole grid.

    python -m studies.bench.optuna_storage [--storage sqlite:///bench.db] [--trials 23035]

Without --storage: a journal file in a temporary folder. Compares with Optuna's own way (enqueue, ask, tell).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import optuna

from studies.ledger import Ledger
from studies.space import Space
from studies.storage import open_storage

_BATCH = 170


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--storage")
    parser.add_argument("--trials", type=int, default=23_035)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        url = given.storage or str(Path(temporary) / "optuna.journal")
        _ledger(url, given.trials)
        _plain(url, 1000)


def _ledger(url: str, n_trials: int) -> None:
    storage = open_storage(url)
    study = optuna.create_study(study_name="ledger", storage=storage, direction="maximize")
    space = Space()
    ledger = Ledger(study, storage, space.distributions)
    cells = space.cells()
    done, costs = 0, []
    while done < n_trials:
        started = time.perf_counter()
        claims = ledger.claim(cells, min(_BATCH, n_trials - done))
        claimed = time.perf_counter()
        ledger.tell(claims, [0.5] * len(claims))
        told = time.perf_counter()
        done += len(claims)
        costs.append((done, (claimed - started) / len(claims), (told - claimed) / len(claims)))
    for label, part in (("early", costs[1:7]), ("late", costs[-6:])):
        claim, tell = (1e3 * sum(entry[index] for entry in part) / len(part) for index in (1, 2))
        print(f"{label:5s} (trial {part[0][0]} …): claim {claim:.3f}, tell {tell:.3f} ms a trial")


def _plain(url: str, n_trials: int) -> None:
    study = optuna.create_study(study_name="plain", storage=open_storage(url), direction="maximize")
    space = Space()
    started = time.perf_counter()
    for kappa, xi in space.cells(n_trials):
        study.enqueue_trial({"kappa": kappa, "xi": xi})
        study.tell(study.ask(space.distributions), 0.5)
    print(f"enqueue, ask, tell one by one: {1e3 * (time.perf_counter() - started) / n_trials:.3f} ms a trial")


if __name__ == "__main__":
    main()
