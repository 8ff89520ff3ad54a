"""The twelve experiments on the generated demo databases, and whether TGSR keeps the regions that move.

    tgsr demo-data --out demo
    python -m studies.demo_experiments --root demo

TGSR runs at one fixed (κ, ξ), the same for all experiments: no fit uses a target label (κ was picked among 10, 20 and
30 while the demo was made, so the scores show that the chain works, not how well the method does). Precision is the
share of the κ kept regions that move in some class; chance is what κ random regions would give.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from tgsr.datasets import DatabasePair, FeatureDataset, load_clips
from tgsr.demo._layout import database_folder
from tgsr.errors import MissingDataError
from tgsr.estimators._tgsr import TGSRClassifier
from tgsr.evaluation import evaluate
from tgsr.features._collection import extract_collection
from tgsr.features.extraction import ExtractionSettings
from tgsr.protocols import DATABASES, EXPERIMENTS, N_REGIONS, Experiment

__all__ = ["DemoResult", "demo_features", "format_table", "moving_regions", "run_experiment", "run_experiments"]

KAPPA, XI = 10, 0.1


@dataclass(frozen=True)
class DemoResult:
    """One experiment: scores on the target, the majority class's share, and how many kept regions move."""

    experiment: Experiment
    accuracy: float
    majority: float
    macro_f1: float
    precision: float
    chance: float


def demo_features(root: Path, jobs: int = 1) -> dict[str, FeatureDataset]:
    """Extract the features of the four demo databases under ``root``; nothing is cached or written."""
    return {
        database: extract_collection(load_clips(database, root), ExtractionSettings(), jobs=jobs, cache=None).dataset
        for database in DATABASES.values()
    }


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


def run_experiment(
    experiment: Experiment,
    features: Mapping[str, FeatureDataset],
    moving: frozenset[int],
    kappa: int = KAPPA,
    xi: float = XI,
) -> DemoResult:
    """Fit TGSR on the source, score it on the target, and compare the kept regions with those that move."""
    source, target = features[experiment.source], features[experiment.target]
    evaluation = evaluate(TGSRClassifier(kappa=kappa, xi=xi), DatabasePair(source, target))
    kept = {int(region) for region in evaluation.estimator.selected_regions_}
    return DemoResult(
        experiment=experiment,
        accuracy=evaluation.scores.accuracy,
        majority=float(np.bincount(target.known_labels).max() / len(target)),
        macro_f1=evaluation.scores.macro_f1,
        precision=len(kept & moving) / len(kept),
        chance=len(moving) / N_REGIONS,
    )


def run_experiments(
    root: Path, kappa: int = KAPPA, xi: float = XI, jobs: int = 1, features: Mapping[str, FeatureDataset] | None = None
) -> list[DemoResult]:
    """Run all twelve on a folder that `tgsr.demo.write_demo` made."""
    features = features if features is not None else demo_features(root, jobs)
    return [
        run_experiment(experiment, features, moving_regions(root, experiment.source), kappa, xi)
        for experiment in EXPERIMENTS
    ]


def format_table(results: list[DemoResult]) -> str:
    """A text table with a last line of means."""
    header = f"{'experiment':>10} {'accuracy':>9} {'majority':>9} {'macro-F1':>9} {'precision':>10} {'chance':>7}"
    values = np.array([[r.accuracy, r.majority, r.macro_f1, r.precision, r.chance] for r in results])
    names = [result.experiment.name for result in results] + ["mean"]
    lines = [
        f"{name:>10} {row[0]:9.3f} {row[1]:9.3f} {row[2]:9.3f} {row[3]:10.3f} {row[4]:7.3f}"
        for name, row in zip(names, [*values, values.mean(axis=0)], strict=True)
    ]
    return "\n".join([header, *lines])


@click.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of tgsr demo-data.")
@click.option("--kappa", type=int, default=KAPPA, show_default=True)
@click.option("--xi", type=float, default=XI, show_default=True)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes for the extraction.")
def main(root: Path, kappa: int, xi: float, jobs: int) -> None:
    """Run the twelve experiments on generated clips and print the table."""
    click.echo(format_table(run_experiments(root, kappa, xi, jobs)))


if __name__ == "__main__":
    main()
