"""From nothing to predictions: generated clips, their features, a short study, a registered model, some clips."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import cpu_count

from tgsr.datasets import load_clips, load_features, load_pair, save_features
from tgsr.errors import TgsrError
from tgsr.evaluation.choice import METRIC, ORACLE, SCORE
from tgsr.evaluation.metrics import METRICS
from tgsr.models import first_frame, load_model, predict_clips, register
from tgsr.protocols import get_experiment
from tgsr.reports import draw_frequency, save_figure
from tgsr.study.options import RunOptions
from tgsr.study.running import run_studies
from tgsr.tracking.views import page_address, view_address
from tgsr.trials.spec import make_spec
from tgsr.trials.trial import show_settings

if TYPE_CHECKING:
    from tgsr.tracking.config import TrackingConfig
    from tgsr.tracking.records import StudyRecord

__all__ = ["walk_through"]

_log = logging.getLogger(__name__)

_AXES: dict[str, list[Any]] = {
    "kappa": [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 85],
    "xi": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0],
}
_CLIPS = 6
_SALIENT = 5
"""Regions that are named."""


def walk_through(config: TrackingConfig, experiment: str = "V-N", seed: int = 0) -> list[str]:
    """Go the whole way on generated clips, for one of the twelve experiments; what was made before is found again.

    Clips go to ``demo/clips-<pair>-<seed>`` in the home folder, features beside them; the seed is of clips and study.

    Returns
    -------
    list of str
        What was made, what was chosen and how good it is, and what to do next: lines for the terminal.
    """
    from tgsr.demo import DemoSettings, write_demo

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
    return [
        "",
        f"made        {len(pair.source)} + {len(pair.target)} generated clips, {pair.name}; {len(record.table)} trials",
        *_scores(record),
        f"regions     most often kept: {kept}; drawn in {overlay}",
        f"champion    {model.uri}, version {model.version}: {right} of {len(some)} clips labelled as generated",
        "            (generated data: the scores show that the chain works, not how good the method is)",
        "",
        f"look at it  {config.ui_command or 'in your tracking server'}",
        f"            trials: {view_address(config, record.experiment_id)}",
        f"            page:   {page_address(config, record.experiment_id, record.run_id)}",
        f"next        tgsr trials{config.option}",
        f"            tgsr compare --experiment {pair.name} --data {folder} --methods SVM,TCA,TGSR{config.option}",
        f"            tgsr predict --model {model.uri}{config.option} {paths[0].parent}",
    ]


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
