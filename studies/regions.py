"""Which regions are kept, and how much that can be relied on: ``python -m studies.regions --data DIR --out DIR``.

For every pair of databases in a folder and both groupings: the whole grid with its oracle, and, for one setting, how
often each group is kept by refits on bootstrap samples of the source's subjects. Writes ``regions.csv`` (a row a pair
and grouping), ``frequencies.csv`` (a row a group) and, as pictures, how often the refits keep each group. For generated
databases (``--demo``) also precision and recall against the regions that move. The target's labels are used for scores
and for the oracle only.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from studies.evidence import make_pairs, read_folder
from tgsr.datasets import DatabasePair
from tgsr.errors import DataError, MissingDataError
from tgsr.estimators import TGSRClassifier, prepare_sweep
from tgsr.evaluation import TransferTask, mask_target, score_batch
from tgsr.files import write_text
from tgsr.protocols import N_REGIONS, XIS
from tgsr.regions import SCALES, region_boxes
from tgsr.reports import draw_frequency, save_figure

__all__ = ["RegionStudy", "border_regions", "main", "selection_stability", "study_regions"]

GROUPINGS = ("region", "released")
_OFTEN, _MAX_DRAWS = 0.5, 1000

Array = npt.NDArray[np.float64]


class RegionStudy(NamedTuple):
    """One pair of databases with one grouping.

    Attributes
    ----------
    cells : DataFrame
        A row a cell of the grid: kappa, xi, macro_f1, accuracy.
    groups : DataFrame
        A row a group: ``oracle``, ‖C_i‖_F of the best cell; for the setting that was asked for, whether it is ``kept``,
        and the share of ``bootstrap`` refits that keep it.
    stability : float
        Of the bootstrap refits' kept sets, see `selection_stability`.
    """

    cells: pd.DataFrame
    groups: pd.DataFrame
    stability: float

    @property
    def best(self) -> dict[str, Any]:
        """The cell with the highest macro-F1, of equal ones the first."""
        return dict(self.cells.iloc[int(self.cells["macro_f1"].to_numpy().argmax())])


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
    """Solve the grid, and refit one setting (κ, ξ), fixed beforehand, on bootstrap samples of the source's subjects.

    The target's labels must be known. For ``scaling`` see `tgsr.estimators.TGSRClassifier`.
    """
    task, (kappa, xi) = mask_target(pair), setting
    model = TGSRClassifier(kappa, xi, groups=grouping, scaling=scaling)
    cells = pd.DataFrame(itertools.product(kappas, xis), columns=["kappa", "xi"])
    columns = [[{"kappa": kappa, "xi": xi} for kappa in kappas] for xi in xis]
    sweep = prepare_sweep(model, task.X, task.y, task.X_target)
    with threadpool_limits(limits=1, user_api="blas"):
        solved = joblib.Parallel(n_jobs, prefer="threads")(map(joblib.delayed(sweep), columns))
    outcomes = [outcome for row in zip(*solved, strict=True) for outcome in row]
    codes = np.array([outcome.codes for outcome in outcomes])
    scored = score_batch(pair.target.known_labels, codes, len(task.class_names))

    def kept(sample: npt.NDArray[np.intp] | slice = slice(None)) -> npt.NDArray[np.bool_]:
        norms: Array = model.fit(task.X[sample], task.y[sample], X_target=task.X_target).region_norms_
        return norms > 0

    refits = np.array([kept(sample) for sample in bootstrap_samples(task, seed, n_refits)])
    groups = pd.DataFrame(
        {
            "oracle": outcomes[int(scored.macro_f1.argmax())].group_norms,
            "kept": kept(),
            "bootstrap": refits.mean(axis=0),
        }
    ).rename_axis("group")
    cells = cells.assign(macro_f1=scored.macro_f1, accuracy=scored.accuracy)
    return RegionStudy(cells, groups, selection_stability(refits))


def bootstrap_samples(task: TransferTask, seed: int, n_samples: int) -> list[npt.NDArray[np.intp]]:
    """Draw the source with replacement: whole subjects where they are known, else samples within each class.

    Raises
    ------
    DataError
        If draws of subjects nearly always lack a class.
    """
    rng = np.random.default_rng(seed)
    if task.subjects is None:
        members = [np.flatnonzero(task.y == code) for code in np.unique(task.y)]
        return [np.concatenate([rng.choice(part, len(part)) for part in members]) for _ in range(n_samples)]
    people = [np.flatnonzero(task.subjects == subject) for subject in np.unique(task.subjects)]
    drawn = []
    for _ in range(_MAX_DRAWS):
        sample = np.concatenate([people[index] for index in rng.integers(len(people), size=len(people))])
        if set(task.y[sample]) == set(task.y):
            drawn.append(sample)
        if len(drawn) == n_samples:
            return drawn
    raise DataError("draws of the source's subjects lack a class; use a source with more subjects in each class")


def selection_stability(kept: npt.NDArray[np.bool_]) -> float:
    """Stability of selected sets (n_refits, n_groups): 1 if all are equal, 0 by chance or where nothing is selected.

    Nogueira, Sechidis and Brown, JMLR 2018, Equ. (4).
    """
    frequency = kept.mean(axis=0)
    share = float(frequency.mean())
    if share in (0.0, 1.0):
        return 0.0
    spread = len(kept) / (len(kept) - 1) * frequency * (1 - frequency)
    return 1 - float(spread.mean()) / (share * (1 - share))


def border_regions() -> npt.NDArray[np.bool_]:
    """Which of the 85 regions touch the image's border; of the 8 × 8 blocks 28 of 64 do."""
    boxes = region_boxes(106, 106)
    border: npt.NDArray[np.bool_] = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == 106).any(axis=1)
    return border


def describe(study: RegionStudy, grouping: str, moving: frozenset[int] = frozenset()) -> dict[str, Any]:
    """A row of ``regions.csv``; ``moving`` are the regions that are known to move, of generated databases."""
    best, often = study.best, study.groups["bootstrap"] >= _OFTEN
    kept = study.groups["kept"].to_numpy()
    facts: dict[str, Any] = {
        "cells": len(study.cells),
        **{f"oracle_{name}": best[name] for name in ("macro_f1", "accuracy", "kappa", "xi")},
        "median": study.cells["macro_f1"].median(),
        "stability": study.stability,
        "kept_in_9_of_10": (study.groups["bootstrap"] >= 0.9).sum(),
        "kept_in_half": often.sum(),
        "ever_kept": (study.groups["bootstrap"] > 0).sum(),
        "oracle_keeps": " ".join(map(str, np.flatnonzero(study.groups["oracle"]))),
    }
    if grouping == "region":
        scales = np.repeat(SCALES, np.square(SCALES))
        facts |= {f"kept_{scale}x{scale}": kept[scales == scale].sum() for scale in SCALES}
        facts["border_share"] = (kept & border_regions())[-64:].sum() / max(kept[-64:].sum(), 1)
        if moving:
            truth = np.isin(np.arange(len(kept)), list(moving))
            for name, chosen in (("kept", kept), ("often", often.to_numpy())):
                facts[f"precision_{name}"] = (chosen & truth).sum() / max(chosen.sum(), 1)
                facts[f"recall_{name}"] = (chosen & truth).sum() / truth.sum()
            facts["chance"] = truth.mean()
    return facts


def moving_regions(root: Path, database: str) -> frozenset[int]:
    """Regions that move in any class of a demo database, from the truth file in the folder of ``tgsr demo-data``.

    Raises
    ------
    MissingDataError
        If the folder does not hold this database.
    """
    for truth in map(json.loads, (path.read_text(encoding="utf-8") for path in root.rglob("truth.json"))):
        if truth["database"] == database:
            return frozenset(truth["moving_in_any_class"])
    raise MissingDataError(f"{root}: no truth.json of {database}; make the demo databases with `tgsr demo-data`")


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of feature files.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results.")
@click.option("--pair", "patterns", multiple=True, help="Such as V-N or 'V-*'; by default all.")
@click.option("--kappa", default=20, show_default=True, help="κ of the setting that is looked at.")
@click.option("--xi", default=1.0, show_default=True, help="ξ of the setting that is looked at.")
@click.option("--scaling", default="none", show_default=True, help="Of the groups.")
@click.option("--every-xi", default=1, show_default=True, help="Every n-th ξ of the grid only.")
@click.option("--refits", "n_refits", default=50, show_default=True, help="Bootstrap samples of the source's subjects.")
@click.option("--demo", type=click.Path(exists=True, path_type=Path), help="Folder of tgsr demo-data.")
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@click.option("--jobs", "n_jobs", default=-1, show_default=True, help="Threads; -1 for all cores.")
def main(
    data: Path,
    out: Path,
    patterns: Sequence[str],
    kappa: int,
    xi: float,
    every_xi: int,
    demo: Path | None,
    **options: Any,
) -> None:
    """Say which regions are kept, and how much that can be relied on."""
    pairs = make_pairs(read_folder(data, out / "imported"), patterns)
    xis, setting = tuple(XIS.tolist()[::every_xi]), (kappa, xi)
    kept = joblib.Memory(out / "parts", verbose=0).cache(study_regions, ignore=["n_jobs"])  # a rerun goes on
    facts, groups = [], {}
    for (name, pair), grouping in tqdm(list(itertools.product(pairs.items(), GROUPINGS)), unit="study"):
        study = kept(pair, grouping, setting, xis=xis, **options)
        moving = moving_regions(demo, pair.source.name) if demo else frozenset()
        facts.append({"pair": name, "grouping": grouping, **describe(study, grouping, moving)})
        groups[name, grouping] = study.groups
        title = f"{name}, share of refits at κ = {kappa}, ξ = {xi:g}"
        figure = draw_frequency(study.groups["bootstrap"].to_numpy(), grouping, title=title)
        save_figure(figure, out / f"{name}-{grouping}.png")
    write_text(out / "regions.csv", pd.DataFrame(facts).to_csv(index=False))
    write_text(out / "frequencies.csv", pd.concat(groups, names=["pair", "grouping"]).to_csv())
    click.echo(pd.DataFrame(facts).drop(columns="oracle_keeps").to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
