"""Which regions are kept, and how much that can be relied on: ``python -m studies.regions --data DIR --out DIR``.

For every pair of databases in a folder and both groupings: the whole grid with its oracle, and, for one setting, how
often each group is kept by refits on bootstrap samples of the source's subjects, and by the neighbouring cells. Writes
``regions.csv`` (a row a pair and grouping), ``frequencies.csv`` (a row a group), ``surfaces.png`` (the two groupings
side by side) and ``stability.png``. For generated databases (``--demo``) also precision and recall against the regions
that move. The target's labels are used for scores and for the oracle only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import cpu_count
from tgsr.evaluation.rules._refits import selection_stability
from tqdm import tqdm

from studies.demo_experiments import moving_regions
from tgsr.datasets import DatabasePair, find_databases, load_pair
from tgsr.errors import ParameterError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import mask_target, score_batch
from tgsr.evaluation.choice import best_trial
from tgsr.evaluation.rules.folds import bootstrap_samples
from tgsr.files import write_text
from tgsr.protocols import N_REGIONS, XIS, parse_pair
from tgsr.regions import SCALES, region_boxes
from tgsr.reports._masks import draw_overlay, histogram_norms
from tgsr.reports.style import PAGE, new_figure, save_figure, styled

__all__ = ["RegionStudy", "border_regions", "main", "study_regions"]

GROUPINGS = ("region", "released")
_OFTEN = 0.5
_NEAR_KAPPA, _NEAR_XI = 5, 10.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegionStudy:
    """One pair of databases with one grouping.

    Attributes
    ----------
    pair, grouping : str
    cells : DataFrame
        A row a cell of the grid: kappa, xi, macro_f1, accuracy.
    oracle_norms : array of shape (85,)
        ‖C_i‖_F of the best cell.
    kept, bootstrap, neighbours : array of shape (85,)
        For the setting that was asked for: whether each group is kept, and the share of bootstrap refits and of
        neighbouring cells (κ ± 5, ξ up to a factor of 10 away) that keep it.
    stability : float
        Of the bootstrap refits' kept sets (Nogueira et al. 2018): 1 if all are equal, 0 by chance.
    """

    pair: str
    grouping: str
    cells: pd.DataFrame
    oracle_norms: Array
    kept: npt.NDArray[np.bool_]
    bootstrap: Array
    neighbours: Array
    stability: float

    @property
    def name(self) -> str:
        """Pair and grouping."""
        return f"{self.pair}, {self.grouping}"


def study_regions(
    pair: DatabasePair,
    grouping: str,
    setting: tuple[int, float],
    *,
    kappas: Sequence[int] = tuple(range(1, N_REGIONS + 1)),
    xis: Sequence[float] = tuple(XIS.tolist()),
    n_refits: int = 50,
    scaling: str = "none",
    seed: int = 0,
    n_jobs: int = 1,
) -> RegionStudy:
    """Solve the grid, and refit one setting on bootstrap samples of the source's subjects.

    Parameters
    ----------
    pair : DatabasePair
        With known labels of the target.
    grouping : {"region", "released"}
    setting : tuple of int and float
        (κ, ξ) whose regions are looked at; it was fixed beforehand.
    kappas, xis : sequences
        The grid.
    n_refits, seed : int
        Of the bootstrap.
    scaling : str
        See `tgsr.estimators.TGSRClassifier`.
    n_jobs : int
        Threads.

    Raises
    ------
    ParameterError
        If the grid has no cell near the setting.
    """
    task, labels = mask_target(pair), pair.target.known_labels
    model = TGSRClassifier(groups=grouping, scaling=scaling, n_jobs=n_jobs)
    outcomes = model.path(task.X, task.y, kappas, xis, X_target=task.X_target)
    scored = score_batch(labels, np.array([outcome.codes for outcome in outcomes]), len(task.class_names))
    cells = pd.DataFrame([outcome.settings for outcome in outcomes])
    cells = cells.assign(macro_f1=scored.macro_f1, accuracy=scored.accuracy, trial=np.arange(len(cells)))
    norms = np.array([outcome.group_norms for outcome in outcomes])
    kappa, xi = setting
    near = (abs(cells["kappa"] - kappa) <= _NEAR_KAPPA) & cells["xi"].between(xi / _NEAR_XI, xi * _NEAR_XI)
    if not near.any():
        raise ParameterError(
            f"no cell of the grid is near κ = {kappa}, ξ = {xi:g}; choose another setting, or more of ξ"
        )
    model.set_params(kappa=kappa, xi=xi)
    refits = [
        model.fit(task.X[sample], task.y[sample], X_target=task.X_target).region_norms_ > 0
        for sample in bootstrap_samples(task, seed, n_refits)
    ]
    return RegionStudy(
        pair.name,
        grouping,
        cells,
        norms[int(best_trial(cells, "macro_f1").row["trial"])],
        model.fit(task.X, task.y, X_target=task.X_target).region_norms_ > 0,
        np.mean(refits, axis=0),
        np.mean(norms[near.to_numpy()] > 0, axis=0),
        selection_stability(np.array(refits)),
    )


def border_regions() -> npt.NDArray[np.bool_]:
    """Which of the 85 regions touch the image's border; of the 8 × 8 blocks 28 of 64 do."""
    boxes = region_boxes(106, 106)
    border: npt.NDArray[np.bool_] = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == 106).any(axis=1)
    return border


def _facts(study: RegionStudy, moving: frozenset[int]) -> dict[str, Any]:
    """A row of ``regions.csv``."""
    best = best_trial(study.cells, "macro_f1").row
    kept = study.oracle_norms > 0
    facts: dict[str, Any] = {
        "pair": study.pair,
        "grouping": study.grouping,
        "cells": len(study.cells),
        "oracle": best["macro_f1"],
        "oracle_accuracy": best["accuracy"],
        "oracle_kappa": best["kappa"],
        "oracle_xi": best["xi"],
        "median": study.cells["macro_f1"].median(),
        "stability": study.stability,
        "kept_in_9_of_10": int((study.bootstrap >= 0.9).sum()),
        "kept_in_half": int((study.bootstrap >= _OFTEN).sum()),
        "ever_kept": int((study.bootstrap > 0).sum()),
        "oracle_keeps": " ".join(map(str, np.flatnonzero(kept))),
    }
    if study.grouping == "region":
        edges = np.cumsum([0, *(scale * scale for scale in SCALES)])
        for scale, start, stop in zip(SCALES, edges, edges[1:], strict=False):
            facts[f"kept_{scale}x{scale}"] = int(study.kept[start:stop].sum())
        facts["border_share"] = (study.kept & border_regions())[-64:].sum() / max(study.kept[-64:].sum(), 1)
        if moving:
            truth = np.isin(np.arange(len(study.kept)), list(moving))
            for name, chosen in (("kept", study.kept), ("often", study.bootstrap >= _OFTEN)):
                facts[f"precision_{name}"] = (chosen & truth).sum() / max(chosen.sum(), 1)
                facts[f"recall_{name}"] = (chosen & truth).sum() / truth.sum()
            facts["chance"] = truth.mean()
    return facts


def _over_face(values: Array, grouping: str) -> Array:
    """Values of the groups as values of the regions; of the released ones' the mean of the three planes."""
    over: Array = values if grouping == "region" else histogram_norms(values).mean(axis=0)
    return over


@styled
def _draw_surfaces(studies: Sequence[RegionStudy]) -> Any:
    pairs = list(dict.fromkeys(study.pair for study in studies))
    figure = new_figure(PAGE, 1.5 * len(pairs) + 0.4)
    panels = figure.subplots(len(pairs), len(GROUPINGS), squeeze=False, sharex=True, sharey=True)
    for study in studies:
        axis = panels[pairs.index(study.pair), GROUPINGS.index(study.grouping)]
        own = [other.cells["macro_f1"] for other in studies if other.pair == study.pair]
        scores = study.cells.pivot_table(index="kappa", columns="xi", values="macro_f1")
        limits = {"vmin": min(part.min() for part in own), "vmax": max(part.max() for part in own)}
        drawn = axis.pcolormesh(scores.columns, scores.index, scores, shading="nearest", rasterized=True, **limits)
        best = best_trial(study.cells, "macro_f1").row
        axis.plot(best["xi"], best["kappa"], "o", mfc="none", mec="white", ms=7)
        axis.set_xscale("log")
        axis.set_title(f"{study.name}: oracle {best['macro_f1']:.3f} at κ = {best['kappa']:.0f}, ξ = {best['xi']:g}")
        axis.set(xlabel="ξ", ylabel="κ")
        axis.label_outer()
        if study.grouping == GROUPINGS[-1]:
            figure.colorbar(drawn, ax=panels[pairs.index(study.pair)], label="macro-F1", pad=0.02)
    return figure


@styled
def _draw_stability(studies: Sequence[RegionStudy], setting: tuple[int, float]) -> Any:
    columns: dict[str, Callable[[RegionStudy], Array]] = {
        "the oracle's ‖C$_i$‖": lambda study: study.oracle_norms / study.oracle_norms.max(),
        "bootstrap": lambda study: study.bootstrap,
        "neighbouring cells": lambda study: study.neighbours,
    }
    figure = new_figure(PAGE, 1.35 * len(studies) / len(GROUPINGS) + 0.6)
    rows = list(dict.fromkeys(study.pair for study in studies))
    panels = figure.subplots(len(rows), len(columns) * len(GROUPINGS), squeeze=False)
    for study in studies:
        row, start = rows.index(study.pair), len(columns) * GROUPINGS.index(study.grouping)
        for column, (name, values) in enumerate(columns.items(), start):
            axis = panels[row, column]
            drawn = draw_overlay(axis, _over_face(values(study), study.grouping), 1.0)
            if row == 0:
                axis.set_title(f"{study.grouping}:\n{name}", fontsize=7)
        panels[row, 0].set_ylabel(study.pair)
    at = f"κ = {setting[0]}, ξ = {setting[1]:g}"
    label = f"share that keeps a region at {at}, summed over the scales (oracle: its norm, the largest 1)"
    figure.colorbar(drawn, ax=panels, location="bottom", aspect=60, pad=0.02, label=label)
    return figure


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False), help="Folder of feature files.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--pair", "pairs", multiple=True, help="A pair such as V-N; by default all in the folder.")
@click.option("--kappa", default=20, show_default=True, help="κ of the setting that is looked at.")
@click.option("--xi", default=1.0, show_default=True, help="ξ of the setting that is looked at.")
@click.option("--scaling", default="none", show_default=True, help="Of the groups.")
@click.option("--every-xi", default=1, show_default=True, help="Every n-th ξ of the grid only.")
@click.option("--refits", default=50, show_default=True, help="Bootstrap samples of the source's subjects.")
@click.option(
    "--demo", type=click.Path(exists=True, path_type=Path), help="Folder of tgsr demo-data the features are of."
)
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@click.option("--jobs", default=cpu_count(), show_default=True, help="Threads.")
def main(
    data: str,
    out: Path,
    pairs: Sequence[str],
    kappa: int,
    xi: float,
    scaling: str,
    every_xi: int,
    refits: int,
    demo: Path | None,
    seed: int,
    jobs: int,
) -> None:
    """Say which regions are kept, and how much that can be relied on."""
    names = sorted(found.name for found in find_databases(data))
    wanted = [parse_pair(pair) for pair in pairs] or list(itertools.permutations(names, 2))
    xis = tuple(XIS.tolist()[::every_xi])
    kept = joblib.Memory(out / "parts", verbose=0).cache(study_regions, ignore=["n_jobs"])  # a rerun goes on
    studies, facts = [], []
    for (source, target), grouping in tqdm(list(itertools.product(wanted, GROUPINGS)), unit="study"):
        pair = load_pair(source, target, data)
        study = kept(pair, grouping, (kappa, xi), xis=xis, n_refits=refits, scaling=scaling, seed=seed, n_jobs=jobs)
        studies.append(study)
        facts.append(_facts(study, moving_regions(demo, source) if demo else frozenset()))
    frequencies = pd.concat(
        pd.DataFrame(
            {
                "pair": study.pair,
                "grouping": study.grouping,
                "group": np.arange(len(study.kept)),
                "oracle_norm": study.oracle_norms,
                "kept": study.kept,
                "bootstrap": study.bootstrap,
                "neighbours": study.neighbours,
            }
        )
        for study in studies
    )
    write_text(out / "regions.csv", pd.DataFrame(facts).to_csv(index=False))
    write_text(out / "frequencies.csv", frequencies.to_csv(index=False))
    save_figure(_draw_surfaces(studies), out / "surfaces.png", dpi=110)
    save_figure(_draw_stability(studies, (kappa, xi)), out / "stability.png", dpi=110)
    click.echo(pd.DataFrame(facts).drop(columns="oracle_keeps").to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
