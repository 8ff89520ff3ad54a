"""All clips of a database to one feature dataset: processes, cache, and an account of what was skipped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tgsr import __version__
from tgsr.datasets.clips import Clip, ClipCollection, Skipped, read_frames
from tgsr.datasets.dataset import FeatureDataset, read_only
from tgsr.errors import DataError, TgsrError
from tgsr.features.cache import FeatureCache, content_key
from tgsr.features.extraction import ExtractionSettings, clip_features
from tgsr.protocols import CLASS_NAMES, EXPECTED_COUNTS, check_integer

__all__ = ["Extraction", "extract_collection"]

_FEWEST_FRAMES = 1500
"""Frames below which starting processes takes longer than it saves: about a second's work."""
_FRAMES_OF_A_VIDEO = 100


@dataclass(frozen=True)
class Extraction:
    """Features of a database, and what happened on the way."""

    dataset: FeatureDataset  # a sample for each usable clip, in the collection's order
    skipped: tuple[Skipped, ...]  # those the collection had skipped, then those that could not be read or used
    notes: tuple[str, ...]  # the collection's; classes that lost clips, clips of equal content, unknown subjects
    n_cached: int  # clips whose features were found in the cache


@dataclass(frozen=True)
class _Outcome:
    """What became of one clip: features, or the reason why not."""

    features: npt.NDArray[np.float64] | None
    key: str = ""
    cached: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Task:
    """What a worker needs to know beside the clip."""

    settings: ExtractionSettings
    parameters: dict[str, Any]
    cache: Path | None

    def __call__(self, clip: Clip) -> _Outcome:
        try:
            key = content_key(clip, self.parameters)
            cache = None if self.cache is None else FeatureCache(self.cache)
            if cache is not None and (known := cache.get(key)) is not None:
                return _Outcome(known[0], key, cached=True, notes=known[1])
            notes: list[str] = []
            features = clip_features(read_frames(clip, notes), self.settings, cropped=clip.cropped)
        except TgsrError as error:
            return _Outcome(None, reason=str(error))
        if cache is not None:
            cache.put(key, features, notes)
        return _Outcome(features, key, notes=tuple(notes))


def extract_collection(
    collection: ClipCollection,
    settings: ExtractionSettings | None = None,
    *,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Compute the features of all clips of a database.

    A clip that cannot be used is skipped and reported. Interrupted and run again with the same cache, it goes on where
    it stopped.

    ``jobs`` are processes at most: a small database is not worth starting them. ``cache`` is the folder of the feature
    cache; None computes everything. ``progress`` is called with the clips done and the clips in all.

    Raises
    ------
    DataError
        If no clip can be used, a label is not a class of the collection, or the cache cannot be written.
    ParameterError
        If ``jobs`` is not positive.
    """
    import cv2

    settings = settings or ExtractionSettings()
    check_integer("jobs", jobs, 1)
    labelled = any(clip.label is not None for clip in collection.clips)
    for clip in collection.clips:
        if labelled and clip.label not in collection.class_names:
            raise DataError(f"{clip.path}: label {clip.label!r} is not one of {', '.join(collection.class_names)}")
    # all that decides the features, with the versions of what decodes and resizes
    parameters = {**settings.to_dict(), "opencv": cv2.__version__, "tgsr": __version__}
    outcomes = []
    for outcome in _run(_Task(settings, parameters, cache), collection.clips, jobs):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(collection.clips))
    pairs = list(zip(collection.clips, outcomes, strict=True))
    failed = tuple(Skipped(clip.id, clip.path, outcome.reason) for clip, outcome in pairs if outcome.features is None)
    skipped = collection.skipped + failed
    used = [(clip, outcome) for clip, outcome in pairs if outcome.features is not None]
    if not used:
        reasons = "; ".join(f"{entry.clip} ({entry.path}): {entry.reason}" for entry in skipped[:3]) or "it has none"
        raise DataError(f"{collection.database}: no clip can be used: {reasons}")
    # what "auto" came to, so that a model does the same with new clips
    cropped = {settings.crops(clip.cropped) for clip, _ in used}
    recorded = {
        "origin": "generated" if collection.generated else "clips",
        **parameters,
        "crop": "auto" if len(cropped) > 1 else "face" if cropped == {True} else "none",
        "skipped": [entry.clip for entry in skipped],
        **({"label_map": collection.label_map} if collection.label_map else {}),
    }
    subjects = [clip.subject for clip, _ in used]
    codes = [collection.class_names.index(clip.label) for clip, _ in used if clip.label is not None]
    dataset = FeatureDataset(
        name=collection.database,
        features=read_only(np.stack([outcome.features for _, outcome in used if outcome.features is not None])),
        labels=np.array(codes, dtype=np.int64) if codes else None,
        class_names=collection.class_names,
        subjects=None if None in subjects else np.array(subjects, dtype=np.str_),
        sample_ids=np.array([clip.id for clip, _ in used], dtype=np.str_),
        parameters=recorded,
    )
    notes = collection.notes + tuple(_remarks(collection, dataset, used))
    return Extraction(dataset, skipped, notes, sum(outcome.cached for outcome in outcomes))


def _run(task: _Task, clips: tuple[Clip, ...], jobs: int) -> Iterator[_Outcome]:
    """Outcomes in the order of the clips."""
    n_frames = sum(len(clip.frames) if clip.video is None else _FRAMES_OF_A_VIDEO for clip in clips)
    if min(jobs, len(clips)) == 1 or n_frames < _FEWEST_FRAMES:
        yield from map(task, clips)
        return
    # spawned, not forked: a fork of a process with running threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(clips)), mp_context=context, initializer=_start_worker) as pool:
        try:
            yield from pool.map(task, clips)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process died while it decoded a clip, or memory ran out; run the command again (finished "
                "clips are kept in the cache), with --jobs 1 to see where it stops"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    import cv2

    cv2.setNumThreads(1)  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone answers Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _remarks(collection: ClipCollection, dataset: FeatureDataset, used: list[tuple[Clip, _Outcome]]) -> Iterator[str]:
    # the collection's notes compare the clips found with the protocol; what was lost since is told here
    found = Counter(clip.label for clip in collection.clips)
    expected = dict(zip(CLASS_NAMES, EXPECTED_COUNTS.get(dataset.name, ()), strict=False))
    for class_name, count in dataset.counts.items():
        if count != found[class_name]:
            protocol = f"; the published database has {expected[class_name]}" if class_name in expected else ""
            yield f"{dataset.name} {class_name}: {count} of {found[class_name]} clips can be used{protocol}"
    if dataset.parameters["crop"] == "auto":
        yield f"{dataset.name}: raw and cropped clips are mixed; a model takes new clips as cropped, or see --crop"
    if dataset.subjects is None and dataset.is_labelled:
        yield f"{dataset.name}: subjects are not known for all clips, so they are left out"
    same: dict[str, list[Clip]] = defaultdict(list)
    for clip, outcome in used:
        same[outcome.key].append(clip)
    for clip, outcome in used:
        yield from (f"{clip.path}: {note}" for note in outcome.notes)
    for clips in same.values():
        if len(clips) > 1:
            labels = "" if len({clip.label for clip in clips}) == 1 else ", under different labels"
            yield f"{dataset.name}: {' and '.join(clip.id for clip in clips)} have the same frames{labels}"
