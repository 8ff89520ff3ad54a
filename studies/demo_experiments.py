"""The twelve experiments on the generated demo databases, and whether TGSR keeps the regions that move.

    tgsr demo-data --out demo
    python -m studies.demo_experiments --root demo

TGSR runs at one fixed (κ, ξ), the same for all experiments: no fit uses a target label (κ was picked among 10, 20 and
30 while the demo was made, so the scores show that the chain works, not how well the method does). Precision is the
share of the κ kept regions that move in some class, recall the share of those that move which are kept; chance is the
precision that κ random regions would have.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

from tgsr.datasets import DatabasePair, load_clips
from tgsr.demo._layout import database_folder
from tgsr.errors import MissingDataError
from tgsr.estimators._tgsr import TGSRClassifier
from tgsr.evaluation import evaluate
from tgsr.features._collection import extract_collection
from tgsr.protocols import DATABASES, EXPERIMENTS, N_REGIONS

__all__ = ["moving_regions", "run_experiments"]

KAPPA, XI = 10, 0.1


def run_experiments(root: Path, kappa: int = KAPPA, xi: float = XI, jobs: int = 1) -> pd.DataFrame:
    """Run all twelve on a folder that `tgsr.demo.write_demo` made; features are neither cached nor written.

    Returns
    -------
    DataFrame
        A row an experiment: scores on the target, the share of its majority class, the share of kept regions that move,
        the share of moving ones that are kept, and what chance would give for the former.
    """
    features = {
        database: extract_collection(load_clips(database, root), jobs=jobs).dataset for database in DATABASES.values()
    }
    rows = {}
    for experiment in EXPERIMENTS:
        source, target = features[experiment.source], features[experiment.target]
        evaluation = evaluate(TGSRClassifier(kappa=kappa, xi=xi), DatabasePair(source, target))
        kept, moving = set(evaluation.estimator.selected_regions_), moving_regions(root, experiment.source)
        rows[experiment.name] = {
            "accuracy": evaluation.scores.accuracy,
            "majority": np.bincount(target.known_labels).max() / len(target),
            "macro-F1": evaluation.scores.macro_f1,
            "precision": len(kept & moving) / len(kept),
            "recall": len(kept & moving) / len(moving),
            "chance": len(moving) / N_REGIONS,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("experiment")


def moving_regions(root: Path, database: str) -> frozenset[int]:
    """Regions that move in any class of a demo database, from its truth file.

    Raises
    ------
    MissingDataError
        If the folder holds no demo database.
    """
    path = database_folder(root, database) / "truth.json"
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; make the demo databases with `tgsr demo-data`")
    return frozenset(json.loads(path.read_text(encoding="utf-8"))["moving_in_any_class"])


@click.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of tgsr demo-data.")
@click.option("--kappa", type=int, default=KAPPA, show_default=True)
@click.option("--xi", type=float, default=XI, show_default=True)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes for the extraction.")
def main(root: Path, kappa: int, xi: float, jobs: int) -> None:
    """Run the twelve experiments on generated clips and print the table."""
    table = run_experiments(root, kappa, xi, jobs)
    table.loc["mean"] = table.mean()
    click.echo(table.reset_index().to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
