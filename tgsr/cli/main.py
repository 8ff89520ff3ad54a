"""``tgsr main``: from nothing to predictions: generated clips, features, a short study, a registered model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
import numpy as np
from joblib import cpu_count

from tgsr.cli import options as shared
from tgsr.datasets import load_clips, load_features, load_pair, save_features
from tgsr.errors import TgsrError
from tgsr.evaluation.choice import METRIC, ORACLE, SCORE
from tgsr.evaluation.metrics import METRICS
from tgsr.models import first_frame, load_model, predict_clips, register
from tgsr.protocols import get_experiment
from tgsr.reports import draw_frequency, save_figure
from tgsr.study import RunOptions, make_spec, resolve_config, run_studies
from tgsr.tracking.records import StudyRecord
from tgsr.trials.trial import show_settings

__all__ = ["command"]

_log = logging.getLogger(__name__)

_AXES: dict[str, list[Any]] = {
    "kappa": [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 85],
    "xi": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0],
}
_CLIPS = 6
_SALIENT = 5
"""Regions that are named."""


@click.command()
@click.option("--experiment", default="V-N", help="1 to 12, or a name such as V-N.")
@click.option("--seed", type=int, default=0, help="Of the generated clips and of the study.")
@shared.home
def command(experiment: str, seed: int, home: str | None) -> None:
    """Generated clips → features → a short study → a registered model → predictions. Needs no database.

    Clips go to demo/clips-<pair>-<seed> in the home folder, features beside them; what was made before is found again.
    """
    from tgsr.demo import DemoSettings, write_demo

    config = resolve_config(home)
    chosen, demo = get_experiment(experiment), config.home / "demo"
    root, folder = (demo / f"{kind}-{chosen.name}-{seed}" for kind in ("clips", "features"))
    overlay = demo / "regions.png"
    _log.info("1. clips of generated faces, in the databases' own layouts: %s", root)
    write_demo(root, DemoSettings(seed=seed, databases=(chosen.source, chosen.target)))
    _log.info("2. LBP-TOP features of both databases: %s", folder)
    for database in (chosen.source, chosen.target):
        _extract(root, database, folder / f"{database}.tgsr.npz")
    pair = load_pair(chosen.source, chosen.target, folder)
    spec = make_spec(pair, axes=_AXES, seed=seed)
    _log.info("3. a study of %s: %d trials, each an MLflow run", chosen.name, len(spec.cells()))
    (record,) = run_studies([(spec, pair, RunOptions(config, str(folder)))])
    _log.info("4. the consensus of its best trials becomes the champion of the model registry")
    model = register(record.client, record.run_id, pair)
    _log.info("5. the registered model looks at clips of the target database")
    clips = load_clips(chosen.target, root).clips
    some = [clips[index] for index in range(0, len(clips), max(1, len(clips) // _CLIPS))][:_CLIPS]
    paths = [Path(clip.path) for clip in some]
    loaded = load_model(model.uri, tracking_uri=config.tracking_uri)
    predicted = predict_clips(loaded, paths)
    right = sum(clip.label == label for clip, label in zip(some, predicted.table["label"], strict=True))
    frequency = loaded.strengths  # of a consensus
    save_figure(draw_frequency(frequency, spec.grouping, first_frame(loaded, predicted.clips[0])), overlay)
    kept = ", ".join(
        f"{region} ({frequency[region]:.0%})" for region in np.argsort(-frequency, kind="stable")[:_SALIENT]
    )
    lines = [
        "",
        f"made        {len(pair.source)} + {len(pair.target)} generated clips, {pair.name}; {len(record.table)} trials",
        *_scores(record),
        f"regions     most often kept: {kept}; drawn in {overlay}",
        f"champion    {model.uri}, version {model.version}: {right} of {len(some)} clips labelled as generated",
        "            (generated data: the scores show that the chain works, not how good the method is)",
        "",
        f"look at it  {config.ui_command}",
        f"next        tgsr trials{config.option}",
        f"            tgsr compare --experiment {pair.name} --data {folder} --methods SVM,TCA,TGSR{config.option}",
        f"            tgsr predict --model {model.uri}{config.option} {paths[0].parent}",
    ]
    click.echo("\n".join(lines))


def _extract(root: Path, database: str, path: Path) -> None:
    """Extract a database's features, unless they are there."""
    from tgsr.features import extract_collection

    try:
        load_features(path)
    except TgsrError:
        save_features(extract_collection(load_clips(database, root), jobs=cpu_count()).dataset, path)


def _scores(record: StudyRecord) -> list[str]:
    """What the rule chose, beside what it could not know: the best score that there is, and the median."""
    f1, choice = METRICS[SCORE], record.choose()
    known = {
        "consensus of the best twentieth": record.metrics.get(f"{SCORE}.consensus"),
        "median of all": record.table[METRIC + SCORE].median(),
        "oracle, by the target's labels": record.choose(ORACLE).value,
    }
    others = ", ".join(f"{name} {f1.show(value)}" for name, value in known.items())
    return [
        f"chosen      {show_settings(choice.settings)}, by {choice.by} validation, without target labels",
        f"{f1.label}    {f1.show(choice.metrics[SCORE])} on the target; {others}",
    ]
