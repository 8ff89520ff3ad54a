"""From nothing to a prediction: generated clips, their features, a short study, a registered model, one clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from studies.space import Space
from studies.spec import StudySpec
from studies.study import StudyOptions, StudyResult, run_study
from tgsr.datasets import DatabasePair, FeatureDataset, load_features, load_pair, save_features
from tgsr.errors import TgsrError
from tgsr.protocols import XIS, Experiment, get_experiment
from tgsr.tracking.place import Place, open_client
from tgsr.tracking.registry import Registered, load_model, register_trial

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Walkthrough", "walk_through"]

_KAPPAS = (5, 10, 20, 40, 60, 85)
_XIS = tuple(XIS[::30].tolist())


@dataclass(frozen=True)
class Walkthrough:
    """What was made on the way.

    Attributes
    ----------
    study : StudyResult
    model : Registered
    prediction : DataFrame
        The model's answer for one clip, with its true class.
    """

    study: StudyResult
    model: Registered
    prediction: pd.DataFrame


def walk_through(
    place: Place, experiment: str = "V-N", seed: int = 0, say: Callable[[str], None] = lambda _: None
) -> Walkthrough:
    """Go the whole way on generated clips; what was made before is found again.

    Parameters
    ----------
    place : Place
        Clips go to ``demo`` and features to ``demo/features`` in its home folder.
    experiment : str
        One of the twelve.
    seed : int
        Of the clips and of the study.
    say : callable, optional
        Takes the messages for the user.
    """
    chosen = get_experiment(experiment)
    say("1. generated clips in the databases' own layouts")
    root = _clips(place.home / "demo", seed)
    say(f"   {root}")
    say("2. LBP-TOP features of both databases")
    folder = _features(root, chosen, say)
    pair = load_pair(chosen, folder)
    say(f"3. a short study of {chosen.name}: {len(_KAPPAS) * len(_XIS)} trials, each an MLflow run")
    study = _study(pair, chosen, place, folder, seed, say)
    say("4. the best trial becomes the champion of the model registry")
    client = open_client(place.tracking_uri)
    source = pair.source
    model = register_trial(client, study.run_id, extraction=source.parameters, example=source.X[:1])
    say(f"   {model.uri}, version {model.version}")
    say("5. the registered model looks at a clip of the target database")
    return Walkthrough(study, model, _predict(model, root, chosen))


def _clips(folder: Path, seed: int) -> Path:
    from tgsr.demo import DemoSettings, write_demo

    root = folder / f"clips-{seed}"
    write_demo(root, DemoSettings(seed=seed))
    return root


def _features(root: Path, experiment: Experiment, say: Callable[[str], None]) -> Path:
    folder = root.parent / f"features-{root.name.removeprefix('clips-')}"
    for database in (experiment.source, experiment.target):
        path = folder / f"{database}.tgsr.npz"
        data = _known(path) or _extract(root, database, path)
        say(f"   {path}: {', '.join(f'{count} {name}' for name, count in data.counts.items())}")
    return folder


def _known(path: Path) -> FeatureDataset | None:
    try:
        return load_features(path)
    except TgsrError:
        return None


def _extract(root: Path, database: str, path: Path) -> FeatureDataset:
    from tgsr.datasets.loading import load_clips
    from tgsr.features.collection import extract_collection

    extraction = extract_collection(load_clips(database, root), jobs=cpu_count(), root=root)
    save_features(extraction.dataset, path)
    return extraction.dataset


def _study(
    pair: DatabasePair, experiment: Experiment, place: Place, folder: Path, seed: int, say: Callable[[str], None]
) -> StudyResult:
    spec = StudySpec(
        experiment=experiment.name,
        source_digest=pair.source.digest,
        target_digest=pair.target.digest,
        space=Space(_KAPPAS, _XIS),
        seed=seed,
    )
    return run_study(spec, pair, StudyOptions(place=place, data_folder=str(folder), say=say))


def _predict(model: Registered, root: Path, experiment: Experiment) -> pd.DataFrame:
    from tgsr.datasets.loading import load_clips
    from tgsr.tracking.prediction import predict_clips

    clip = load_clips(experiment.target, root).clips[0]
    table = predict_clips(load_model(model.uri), [Path(clip.path)]).table
    table.insert(1, "true", clip.label)
    return table
