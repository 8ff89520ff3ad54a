"""How near known settings of IW-SVM, STM and TSRG come to their published rows, and what the oracle costs.

    python -m studies.bench.comparison search --data DIR --method iw-svm --out FILE.csv
    python -m studies.bench.comparison cost --data DIR --experiment V-N

``search`` scores every setting in every experiment whose databases are in DIR, then prints for each experiment the
setting nearest to the published cell, and the single setting that is nearest over all of them. Nearness is
|Δ macro-F1| + |Δ accuracy|. ``wide`` does the same for raw weights put into LIBSVM with linear and RBF kernels, against
both IW-SVM's and STM's cells. ``cost`` times the oracle of each method.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.svm import SVC

from tgsr.datasets import DatabasePair
from tgsr.estimators import METHODS, get_method
from tgsr.estimators.span import Span
from tgsr.estimators.sweep import SweepClassifier
from tgsr.evaluation import mask_target, score_batch
from tgsr.evaluation.comparison import ComparisonOptions, available_pairs, run_method
from tgsr.evaluation.paper import published_result
from tgsr.protocols import Experiment, get_experiment
from tgsr.solvers.importance import gaussian, kliep, kmm, median_distance, ulsif

_COSTS = tuple(10.0**exponent for exponent in range(-3, 4))


def settings_of(method: str, pair: DatabasePair) -> list[dict[str, Any]]:
    """The settings that a benchmark of 2018–2020 would have tried, for the methods whose own are not known."""
    if method == "TSRG":
        return get_method(method).grid(len(pair.source), len(pair.target))
    span = Span.of(pair.source.X, pair.target.X)
    # public versions of STM take the square root of the median distance; √median / median as a multiple of it
    root = round(float(median_distance(span.source, span.target) ** -0.5), 6)
    if method == "STM":
        axes = {
            "kernel": ("linear", "rbf"),
            "loss": ("squared_hinge", "hinge"),
            "width": (0.125, 0.25, 0.5, 1.0, 2.0, root),
            "lam": tuple(10.0**exponent for exponent in range(-2, 3)),
            "bound": (5.0, 2000.0),
        }
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    widths = (None, *(2.0**exponent for exponent in range(-4, 5)), root)
    weightings = [{"weighting": name, "width": width} for name in ("kliep", "ulsif") for width in widths]
    weightings += [
        {"weighting": "kmm", "width": width, "bound": bound}
        for width in widths[1:]
        for bound in (1.0, 2.0, 5.0, 10.0, 100.0, 1000.0)
    ]
    return [{**weighting, "C": C} for weighting in weightings for C in _COSTS]


def score_settings(experiment: Experiment, pair: DatabasePair, method: str) -> pd.DataFrame:
    """Every setting's macro-F1 and accuracy, and its distance to the published cell."""
    settings = settings_of(method, pair)
    estimator = get_method(method).make()
    if not isinstance(estimator, SweepClassifier):
        raise TypeError(f"{method} has no sweep")
    task = mask_target(pair)
    predictions = estimator.predict_grid(task.X, task.y, task.X_target, settings).astype(np.int64)
    scores = score_batch(pair.target.labels, predictions, len(task.class_names))
    published = published_result(experiment, method)
    table = pd.DataFrame(settings)
    table.insert(0, "experiment", experiment.name)
    table["macro_f1"], table["accuracy"] = scores.macro_f1, scores.accuracy
    if published is not None:
        table["difference"] = abs(scores.macro_f1 - published.macro_f1) + abs(scores.accuracy - published.accuracy)
        table["equal"] = [published.equals(*cell) for cell in zip(scores.macro_f1, scores.accuracy, strict=True)]
    return table


@click.group()
def main() -> None:
    """Settings and cost of the comparison methods."""


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--method", required=True, type=click.Choice(["iw-svm", "stm", "tsrg"]))
@click.option("--out", required=True, type=click.Path(path_type=Path))
def search(data: Path, method: str, out: Path) -> None:
    """Find the settings nearest to the published cells."""
    name = get_method(method).name
    tables = []
    for experiment, pair in available_pairs(data)[0].items():
        started = time.perf_counter()
        tables.append(score_settings(experiment, pair, name))
        best = tables[-1].iloc[int(tables[-1]["difference"].to_numpy().argmin())]
        oracle = tables[-1].iloc[int(tables[-1]["macro_f1"].to_numpy().argmax())]
        click.echo(f"{experiment.name}: {len(tables[-1])} settings in {time.perf_counter() - started:.0f} s")
        click.echo(f"  published {published_result(experiment, name)}")
        click.echo(f"  nearest   {best.to_dict()}")
        click.echo(f"  oracle    {oracle.to_dict()}")
        pd.concat(tables).to_csv(out, index=False)
    everything = pd.concat(tables)
    scores = ("experiment", "macro_f1", "accuracy", "difference", "equal")
    keys = [column for column in everything.columns if column not in scores]
    overall = everything.groupby(keys, dropna=False).agg(
        difference=("difference", "mean"), equal=("equal", "sum"), cells=("equal", "size")
    )
    overall = overall[overall["cells"] == len(tables)]  # √median differs from experiment to experiment
    click.echo(overall.sort_values("difference").head(5).to_string())


def raw_weights(span: Span) -> dict[str, npt.NDArray[np.float64]]:
    """Weights as the estimators give them, by a name that tells their settings."""
    source, target = span.source, span.target
    median = median_distance(source, target)
    sets = {"kliep cv": kliep(source, target), "ulsif cv": ulsif(source, target)}
    factors = {f"{2.0**exponent:g} median": 2.0**exponent for exponent in range(-5, 7)} | {"root": median**-0.5}
    for name, factor in factors.items():
        width = factor * median
        kernel, cross = gaussian(source, source, width), gaussian(source, target, width)
        sets[f"kliep {name}"] = kliep(source, target, width=width, max_iter=300)
        for ridge in (0.01, 0.1, 1.0, 10.0):
            sets[f"ulsif {name} ridge {ridge}"] = ulsif(source, target, width=width, ridge=ridge)
        for bound, epsilon in itertools.product((1.0, 2.0, 5.0, 10.0, 1000.0), (None, 0.1, 0.5)):
            if epsilon is None or bound in (5.0, 1000.0):
                sets[f"kmm {name} B {bound:g} epsilon {epsilon}"] = kmm(kernel, cross, bound=bound, epsilon=epsilon)
    for bound in (1.0, 2.0, 5.0, 10.0, 1000.0):
        sets[f"kmm linear kernel B {bound:g}"] = kmm(source @ source.T, source @ target.T, bound=bound)
    return sets


def score_weighted_svms(experiment: Experiment, pair: DatabasePair) -> pd.DataFrame:
    """LIBSVM with instance weights: every weighting, kernel and C, with the distance to both published cells."""
    span = Span.of(pair.source.X, pair.target.X)
    source, target = span.source, span.target
    median, n_features = median_distance(source, target), pair.source.X.shape[1]
    kernels = {"linear": (source @ source.T, target @ source.T)}
    widths = {f"rbf {factor:g} median": factor * median for factor in (0.125, 0.25, 0.5, 1.0, 2.0)}
    for name, width in {"rbf gamma 1/D": float(np.sqrt(n_features / 2)), **widths}.items():
        kernels[name] = gaussian(source, source, width), gaussian(target, source, width)
    rows, predictions = [], []
    for weighting, weights in raw_weights(span).items():
        floored = np.maximum(weights, 1e-6 * weights.mean())
        for (name, (train, test)), C in itertools.product(kernels.items(), (0.01, 0.1, 1.0, 10.0, 100.0)):
            if (100.0 if name == "linear" else 0.01) == C:
                continue
            fitted = SVC(kernel="precomputed", C=C).fit(train, pair.source.labels, sample_weight=floored)
            rows.append({"experiment": experiment.name, "weighting": weighting, "kernel": name, "C": C})
            predictions.append(fitted.predict(test))
    scores = score_batch(pair.target.labels, np.array(predictions), len(pair.target.class_names))
    table = pd.DataFrame(rows).assign(macro_f1=scores.macro_f1, accuracy=scores.accuracy)
    for method in ("IW-SVM", "STM"):
        cell = published_result(experiment, method)
        if cell is not None:
            table[method] = abs(scores.macro_f1 - cell.macro_f1) + abs(scores.accuracy - cell.accuracy)
    return table


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
def wide(data: Path) -> None:
    """Find the raw weights and the LIBSVM settings nearest to the published cells of IW-SVM and STM."""
    tables = []
    for experiment, pair in available_pairs(data)[0].items():
        tables.append(score_weighted_svms(experiment, pair))
        for method in ("IW-SVM", "STM"):
            nearest = tables[-1].iloc[int(tables[-1][method].to_numpy().argmin())]
            click.echo(f"{method} {published_result(experiment, method)}\n  {nearest.to_dict()}")
    overall = pd.concat(tables).groupby(["weighting", "kernel", "C"])[["IW-SVM", "STM"]].mean()
    for method in ("IW-SVM", "STM"):
        click.echo(overall.sort_values(method)[[method]].head(5).to_string())


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--experiment", required=True)
@click.option("--methods", default=",".join(name for name in METHODS if name not in ("TSRG", "TGSR")))
@click.option("--jobs", type=int, default=2)
def cost(data: Path, experiment: str, methods: str, jobs: int) -> None:
    """Time the oracle of each method."""
    chosen = get_experiment(experiment)
    pair = available_pairs(data)[0][chosen]
    total = 0.0
    for name in methods.split(","):
        result = run_method(chosen, pair, name, "oracle", ComparisonOptions(jobs=jobs))
        total += result.seconds
        click.echo(f"{result.method:8s} {result.n_candidates:6d} candidates {result.seconds:8.1f} s")
    click.echo(f"{'all':8s} {'':17s} {total:8.1f} s")


if __name__ == "__main__":
    main()
