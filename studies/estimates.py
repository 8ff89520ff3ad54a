"""How long studies will take: a few of each method's settings are fitted, and the rest is reckoned from them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from studies.fitting import Fitter
from studies.plans import grid_tasks
from studies.spec import DEFAULT_TRIALS
from tgsr.tracking.config import open_client
from tgsr.tracking.names import Tag
from tgsr.tracking.reading import list_studies

if TYPE_CHECKING:
    from studies.study import StudyRequest

__all__ = ["describe_estimate", "estimate_seconds"]

_FEW = 100
"""Settings so few that trying some would take as long as running them."""
_PROBE_SECONDS = 1.0
_PROBES = 3


def estimate_seconds(requests: Sequence[StudyRequest]) -> dict[str, float]:
    """Estimate what is lacking of some studies, in seconds of one thread, by method; empty for a few settings.

    Settings of each method and rule are fitted on the pair with the most samples, spread over the grid; another pair
    is taken to cost in proportion to its samples.
    """
    finished = _finished(requests)
    lacking = {request: count for request in requests if (count := _lacking(request, finished))}
    if sum(lacking.values()) < _FEW:
        return {}
    kinds: dict[tuple[str, str, str], list[StudyRequest]] = {}
    for request in lacking:
        spec = request.spec
        kinds.setdefault((spec.method, spec.selection, repr(spec.fixed)), []).append(request)
    seconds: dict[str, float] = {}
    for (method, _, _), alike in kinds.items():
        if sum(lacking[one] for one in alike) <= 2 * _PROBES:  # trying three would cost as much
            continue
        largest = max(alike, key=_samples)
        each = _seconds_a_setting(largest) / _samples(largest)
        seconds[method] = seconds.get(method, 0.0) + sum(each * _samples(one) * lacking[one] for one in alike)
    return seconds


def describe_estimate(seconds: dict[str, float], jobs: int) -> str:
    """Say an estimate in words, such as "about 40 minutes on 2 threads: TSRG 25, STM 8"."""
    minutes = {method: one / 60 / jobs for method, one in sorted(seconds.items(), key=lambda item: -item[1])}
    total = sum(minutes.values())
    parts = [f"{method} {_round(one)}" for method, one in minutes.items() if one >= 1]
    threads = f"{jobs} thread{'s' * (jobs > 1)}"
    if total < 1:
        return f"less than a minute on {threads}"
    return f"about {_round(total)} minute{'s' * (_round(total) > 1)} on {threads}{': ' * bool(parts)}{', '.join(parts)}"


def _round(minutes: float) -> int:
    """To two digits at most: more would look as if they were known."""
    return int(round(minutes, -max(0, int(math.log10(max(minutes, 1))) - 1)))


def _samples(request: StudyRequest) -> int:
    return len(request.pair.source) + len(request.pair.target)


def _finished(requests: Sequence[StudyRequest]) -> dict[str, int]:
    """Trials of the stored studies that are finished, by name."""
    stored = list_studies(open_client(requests[0].options.config.tracking_uri)) if requests else []
    return {
        study.tags.get(Tag.STUDY, ""): int(study.metrics.get("trials", 0))
        for study in stored
        if study.status == "FINISHED"
    }


def _lacking(request: StudyRequest, finished: dict[str, int]) -> int:
    spec, n_trials = request.spec, request.options.n_trials
    if spec.sampler == "grid":
        total = sum(len(task.numbers) for task in grid_tasks(spec, n_trials))
    else:
        total = n_trials or DEFAULT_TRIALS
    return max(0, total - finished.get(spec.name, 0))


def _seconds_a_setting(request: StudyRequest) -> float:
    fitter = Fitter(request.spec, request.pair)
    tasks = grid_tasks(request.spec, request.options.n_trials)
    started, fitted = time.perf_counter(), 0
    for task in tasks[len(tasks) // (2 * _PROBES) :: max(1, len(tasks) // _PROBES)]:
        fitter.fit(task.numbers, task.settings, keep=0)
        fitted += len(task.settings)
        if time.perf_counter() - started > _PROBE_SECONDS:
            break
    return (time.perf_counter() - started) / fitted
