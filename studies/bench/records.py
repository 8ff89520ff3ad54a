"""Every row of the authors' released records, solved again: equal or not.

A record holds κ, ξ, accuracy and macro-F1 of one experiment's whole grid (some ξ twice); grouping ``released``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from tgsr.evaluation.grid import GridPlan, score_grid
from tqdm import tqdm

from tgsr.datasets import load_pair
from tgsr.errors import MissingDataError
from tgsr.protocols import EXPERIMENTS, Experiment


def compare(experiment: Experiment, record_path: Path, data: Path) -> bool:
    """Solve a record's cells; print how many rows are equal, and return whether all are."""
    record = scipy.io.loadmat(record_path)["Acc"]
    kappas, xis = record[:, 0].astype(int), record[:, 1]
    plan = GridPlan(np.unique(kappas).tolist(), np.unique(xis).tolist(), "released")
    pair = load_pair(experiment, data)
    with tqdm(total=len(plan.kappas) * len(plan.xis), unit="fit", desc=experiment.name) as bar:

        def advance(rows: pd.DataFrame) -> None:
            bar.update(len(rows))

        table = score_grid(pair, plan, on_xi=advance).set_index(["kappa", "xi"])
    rows = pd.MultiIndex.from_arrays([kappas, xis])
    solved = table[["accuracy", "macro_f1"]].reindex(rows).to_numpy()
    equal = np.isclose(solved, record[:, 2:4], rtol=0, atol=1e-12)
    print(
        f"{experiment.name}: {len(record)} rows, accuracy equal in {equal[:, 0].sum()}, macro-F1 in {equal[:, 1].sum()}"
    )
    return bool(equal.all())


def main() -> None:
    """Compare every record of the folder whose databases are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the feature files and the records")
    given = parser.parse_args()
    found = {
        experiment: path
        for experiment in EXPERIMENTS
        for path in given.data.glob(f"Acc_record_*_{experiment.source}_{experiment.target}_*.mat")
    }
    if not found:
        raise SystemExit(f"{given.data} holds no record (Acc_record_…_<source>_<target>_….mat)")
    different = []
    for experiment, path in found.items():
        try:
            if not compare(experiment, path, given.data):
                different.append(experiment.name)
        except MissingDataError as error:
            print(f"{experiment.name}: left out ({error})")
    raise SystemExit(f"different: {', '.join(different)}" if different else 0)


if __name__ == "__main__":
    main()
