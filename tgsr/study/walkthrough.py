"""From nothing to predictions: generated clips, their features, a short study, a registered model, some clips."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import cpu_count

from tgsr.study.options import StudyOptions
from tgsr.tracking.study_store import StudyResult
from tgsr.trials.spec import make_spec
from tgsr.study.running import run_study
from tgsr.datasets import FeatureDataset, load_clips, load_features, load_pair, save_features
from tgsr.errors import TgsrError
from tgsr.protocols import get_experiment
from tgsr.reports._masks import draw_mask
from tgsr.reports._style import save_figure
from tgsr.models.prediction import first_frame, predict_clips
from tgsr.tracking.config import TrackingConfig, open_client
from tgsr.models.loading import load_model
from tgsr.models.registry import Registered, register

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Walkthrough", "walk_through"]

_log = logging.getLogger(__name__)

_AXES: dict[str, list[Any]] = {"kappa": [5, 10, 20, 40, 60, 85], "xi": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]}
_CLIPS = 6


class Walkthrough(NamedTuple):
    """What was made on the way.

    The predictions are the model's for some clips of the target, with ``true``, the class that each was generated as;
    the overlay is the picture of the kept regions over the first of them.
    """

    study: StudyResult
    model: Registered
    predictions: pd.DataFrame
    overlay: Path


def walk_through(config: TrackingConfig, experiment: str = "V-N", seed: int = 0) -> Walkthrough:
    """Go the whole way on generated clips, for one of the twelve experiments; what was made before is found again.

    Clips go to ``demo`` and features to ``demo/features-<seed>`` in the home folder; the seed is of clips and study.
    """
    from tgsr.demo import DemoSettings, write_demo

    chosen = get_experiment(experiment)
    _log.info("1. generated clips in the databases' own layouts")
    demo = config.home / "demo"
    root, folder = demo / f"clips-{seed}", demo / f"features-{seed}"
    write_demo(root, DemoSettings(seed=seed))
    _log.info("   %s", root)
    _log.info("2. LBP-TOP features of both databases")
    for database in (chosen.source, chosen.target):
        counts = _features(root, database, folder / f"{database}.tgsr.npz").counts
        _log.info("   %s: %s", database, ", ".join(f"{count} {name}" for name, count in counts.items()))
    pair = load_pair(chosen.source, chosen.target, folder)
    spec = make_spec(pair, axes=_AXES, seed=seed)
    _log.info("3. a short study of %s: %d trials, each an MLflow run", chosen.name, len(spec.cells()))
    study = run_study(spec, pair, StudyOptions(config, str(folder)))
    _log.info("4. the best trial becomes the champion of the model registry")
    model = register(open_client(config.tracking_uri), study.run_id, pair)
    _log.info("   %s, version %s", model.uri, model.version)
    _log.info("5. the registered model looks at clips of the target database")
    clips = load_clips(chosen.target, root).clips
    some = [clips[index] for index in range(0, len(clips), max(1, len(clips) // _CLIPS))][:_CLIPS]
    loaded = load_model(model.uri)
    predictions = predict_clips(loaded, [Path(clip.path) for clip in some]).table
    predictions.insert(1, "true", [clip.label for clip in some])
    overlay = demo / "regions.png"
    frame = first_frame(loaded, Path(some[0].path))
    save_figure(draw_mask(np.array(loaded.header.group_norms), loaded.header.grouping, frame), overlay, dpi=150)
    return Walkthrough(study, model, predictions, overlay)


def _features(root: Path, database: str, path: Path) -> FeatureDataset:
    """A database's features, extracted unless they are there."""
    from tgsr.features._collection import extract_collection

    with suppress(TgsrError):
        return load_features(path)
    extraction = extract_collection(load_clips(database, root), jobs=cpu_count())
    save_features(extraction.dataset, path)
    return extraction.dataset
