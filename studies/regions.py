"""Which regions are kept, and how much that can be relied on: ``python -m studies.regions --data DIR --out DIR``.

For every pair of databases in a folder and both groupings: how often each group is kept by refits of one setting on
bootstrap samples of the source's subjects. Writes ``regions.csv`` (a row a pair and grouping), ``frequencies.csv`` (a
row a group) and, as pictures, how often the refits keep each group. For generated databases (``--demo``) also precision
and recall against the regions that move. No label of the target is used.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from studies.evidence import make_pairs, read_folder
from tgsr.datasets import DatabasePair
from tgsr.errors import MissingDataError
from tgsr.estimators import TGSRClassifier
from tgsr.evaluation import mask_target
from tgsr.evaluation.rules.folds import bootstrap_samples
from tgsr.files import write_text
from tgsr.regions import SCALES, region_boxes
from tgsr.reports import draw_frequency, save_figure

__all__ = ["border_regions", "describe", "keep_in_refits", "main", "moving_regions", "selection_stability"]

GROUPINGS = ("region", "released")
_OFTEN = 0.5

Kept = npt.NDArray[np.bool_]


def keep_in_refits(
    pair: DatabasePair, grouping: str, kappa: int, xi: float, *, n_refits: int, scaling: str = "none", seed: int = 0
) -> Kept:
    """Which groups a setting, fixed beforehand, keeps: of the source as it is, then of bootstrap samples of its people.

    Returns
    -------
    array of bool, shape (1 + n_refits, n_groups)
    """
    task, model = mask_target(pair), TGSRClassifier(kappa, xi, groups=grouping, scaling=scaling)
    samples = [np.arange(len(task.y)), *bootstrap_samples(task, seed, n_refits)]
    fits = (model.fit(task.X[sample], task.y[sample], X_target=task.X_target) for sample in samples)
    return np.array([fitted.region_norms_ > 0 for fitted in fits])


def selection_stability(kept: Kept) -> float:
    """Stability of selected sets (n_refits, n_groups): 1 if all are equal, 0 by chance or where nothing is selected.

    Nogueira, Sechidis and Brown, JMLR 2018, Equ. (4).
    """
    frequency = kept.mean(axis=0)
    share = float(frequency.mean())
    if share in (0.0, 1.0):
        return 0.0
    spread = len(kept) / (len(kept) - 1) * frequency * (1 - frequency)
    return 1 - float(spread.mean()) / (share * (1 - share))


def border_regions() -> Kept:
    """Which of the 85 regions touch the image's border; of the 8 × 8 blocks 28 of 64 do."""
    boxes = region_boxes(106, 106)
    border: Kept = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == 106).any(axis=1)
    return border


def describe(kept: Kept, grouping: str, moving: frozenset[int] = frozenset()) -> dict[str, Any]:
    """A row of ``regions.csv``; ``moving`` are the regions that are known to move, of generated databases."""
    own, refits = kept[0], kept[1:]
    frequency = refits.mean(axis=0)
    often = frequency >= _OFTEN
    facts: dict[str, Any] = {
        "stability": selection_stability(refits),
        "kept_in_9_of_10": (frequency >= 0.9).sum(),
        "kept_in_half": often.sum(),
        "ever_kept": (frequency > 0).sum(),
    }
    if grouping == "region":
        scales = np.repeat(SCALES, np.square(SCALES))
        facts |= {f"kept_{scale}x{scale}": own[scales == scale].sum() for scale in SCALES}
        facts["border_share"] = (own & border_regions())[-64:].sum() / max(own[-64:].sum(), 1)
        if moving:
            truth = np.isin(np.arange(len(own)), list(moving))
            for name, chosen in (("kept", own), ("often", often)):
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
@click.option("--refits", "n_refits", default=50, show_default=True, help="Bootstrap samples of the source's subjects.")
@click.option("--demo", type=click.Path(exists=True, path_type=Path), help="Folder of tgsr demo-data.")
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
def main(data: Path, out: Path, patterns: Sequence[str], demo: Path | None, **setting: Any) -> None:
    """Say which regions are kept, and how much that can be relied on."""
    pairs = make_pairs(read_folder(data, out / "imported"), patterns)
    refit = joblib.Memory(out / "parts", verbose=0).cache(keep_in_refits)  # a rerun goes on
    facts, groups = [], {}
    for (name, pair), grouping in tqdm(list(itertools.product(pairs.items(), GROUPINGS)), unit="study"):
        kept = refit(pair, grouping, **setting)
        moving = moving_regions(demo, pair.source.name) if demo else frozenset()
        facts.append({"pair": name, "grouping": grouping, **describe(kept, grouping, moving)})
        shares = kept[1:].mean(axis=0)
        groups[name, grouping] = pd.DataFrame({"kept": kept[0], "bootstrap": shares}).rename_axis("group")
        title = f"{name}, share of refits at κ = {setting['kappa']}, ξ = {setting['xi']:g}"
        save_figure(draw_frequency(shares, grouping, title=title), out / f"{name}-{grouping}.png")
    write_text(out / "regions.csv", pd.DataFrame(facts).to_csv(index=False))
    write_text(out / "frequencies.csv", pd.concat(groups, names=["pair", "grouping"]).to_csv())
    click.echo(pd.DataFrame(facts).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
