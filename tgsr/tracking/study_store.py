"""Trials as MLflow runs below the study's run: the record of a study."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tgsr.trials.fitter import Fitter, make_context
from tgsr.study.options import StudyOptions
from tgsr.trials.tasks import Task, grid_tasks
from tgsr.trials.spec import StudySpec
from tgsr.errors import TrackingError
from tgsr.estimators.sweep import Outcome
from tgsr.evaluation.metrics import score
from tgsr.evaluation.choice import Best, best_trial
from tgsr.evaluation.remarks import choice_remarks, show_setting
from tgsr.evaluation.selection import get_rule
from tgsr.tracking._lock import study_lock
from tgsr.tracking._runs import (
    ParentSpec,
    ending,
    find_parent,
    finish_parent,
    log_inputs,
    log_summary,
    reopen_parent,
    start_parent,
)
from tgsr.tracking._store import TrialStore
from tgsr.trials.trial import StudyRun, Trial, cell_id, decode_predictions, source_tags
from tgsr.tracking.config import TrackingConfig, ensure_experiment, open_client, storage_errors
from tgsr.tracking.names import CONFUSION, STUDY_JSON, Tag, experiment_title
from tgsr.tracking.reading import read_trials
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd

    from tgsr.datasets import DatabasePair

__all__ = ["MlflowSink", "StudyResult"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A finished study: its run, the rule's choice and all trials."""

    spec: StudySpec
    run_id: str
    best: Best
    table: pd.DataFrame

    def lines(self, config: TrackingConfig) -> list[str]:
        """Text for the terminal: what was chosen, how, and what to do next."""
        best, spec = self.best, self.spec
        named = (("macro_f1", "macro-F1"), ("accuracy", "accuracy"))
        scores = ", ".join(f"{name} {best.row[key]:.4f}" for key, name in named if key in best.row)
        by_labels = get_rule(spec.selection).uses_target_labels
        chosen = ", ".join(show_setting(name, value) for name, value in best.settings.items()) or "no setting to choose"
        n_groups = spec.shape.n_groups if spec.grouping else None
        return [
            f"{spec.title}: {len(self.table):,} trials; MLflow run {self.run_id}",
            f"best: {chosen}; {f'on the target {scores}' if scores else 'the target has no labels'}",
            f"{spec.selection}: chosen by the target's labels" if by_labels else f"chosen by {spec.selection}",
            *choice_remarks(self.table, selection=spec.selection, sampler=spec.sampler, n_groups=n_groups),
            f"register it: tgsr register --study {self.run_id}{config.option}",
            f"look at it:  {config.ui_hint}",
        ]


class MlflowSink:
    """A study's run in MLflow, found again or started, held by a lock until it is closed.

    Raises
    ------
    LockedError
        If another process works on the study.
    TrackingError
        If the tracking store cannot be used.
    """

    def __init__(self, spec: StudySpec, pair: DatabasePair, options: StudyOptions) -> None:
        self._spec, self._pair, self._options = spec, pair, options
        self._uri = options.config.tracking_uri
        self._client = open_client(self._uri)
        with storage_errors(self._uri, None), ExitStack() as opening:
            self._open(opening)
            self._stack = opening.pop_all()

    def _open(self, opening: ExitStack) -> None:
        spec, options, client = self._spec, self._options, self._client
        experiment_id = ensure_experiment(client, experiment_title(spec.pair), options.config.artifact_root)
        self._lock = opening.enter_context(study_lock(options.config, client, experiment_id, spec.name))
        known = find_parent(client, "study", spec.name)
        self._was_finished = known is not None and client.get_run(known).info.status == "FINISHED"
        self.run_id = known or self._start()
        self._store = TrialStore(client, self._study_run(), options.writer)
        if options.restore and (restored := self._store.restore()):
            _log.info("%d deleted runs are restored", restored)
        self._store.clean()
        self.table = self._store.table()
        self.deleted = self._store.deleted()
        if self.deleted:
            _log.info("%d trials were deleted in MLflow and stay so; --restore brings them back", len(self.deleted))
        self._written = 0

    def write(self, trials: Sequence[Trial]) -> None:
        """Write finished trials, of which none is there yet."""
        self._lock.check()
        if not self._written:
            reopen_parent(self._client, self.run_id)
        self._store.write(trials)
        self._written += len(trials)

    def finish(self, seconds: dict[str, float]) -> StudyResult:
        """Sum the study up and let go of it."""
        with storage_errors(self._uri, None), self._stack, ending(self._client, self.run_id):
            if self._was_finished and not self._written:
                if self._options.parent_run_id is not None:  # it stands below the run that asked for it
                    self._client.set_tag(self.run_id, Tag.PARENT, self._options.parent_run_id)
                table = self.table if len(self.table) else read_trials(self._client, self.run_id)
                self._fill_storage(table)  # it may be new, or restored from a backup
                return StudyResult(self._spec, self.run_id, self._choose(table), table)
            self._store.clean()
            table = self._store.table()
            best = self._choose(table)
            self._keep_best_matrix(best)
            self._sum_up(table, best, seconds)
            finish_parent(self._client, self.run_id)
            return StudyResult(self._spec, self.run_id, best, table)

    def abort(self, error: BaseException) -> None:
        """Let go of the study, its run KILLED or FAILED unless it was finished before."""
        with storage_errors(self._uri, None), self._stack:
            if self._was_finished and not self._written:
                return
            finish_parent(self._client, self.run_id, error)

    def _start(self) -> str:
        spec, pair, options = self._spec, self._pair, self._options
        parent = ParentSpec(
            title=experiment_title(spec.pair),
            name=spec.title,
            description=_description(spec, pair),
            tags={
                **self._tags(),
                Tag.KIND: "study",
                Tag.SAMPLER: spec.sampler,
                Tag.STUDY: spec.name,
                Tag.SOURCE_DIGEST: spec.source_digest,
                Tag.TARGET_DIGEST: spec.target_digest,
                Tag.CODE_VERSION: code_version(),
            },
            params={**_grid_params(spec), "sampler": spec.sampler, "seed": str(spec.seed), **self._common_params()},
            parent_run_id=options.parent_run_id,
            files={STUDY_JSON: spec.to_json()},
        )
        run_id = start_parent(self._client, parent, options.config.artifact_root)
        log_inputs(self._client, run_id, {"source": pair.source, "target": pair.target}, options.data_folder)
        return run_id

    def _study_run(self) -> StudyRun:
        info = self._client.get_run(self.run_id).info
        location = str(self._client.get_experiment(info.experiment_id).artifact_location)
        return StudyRun(
            run_id=self.run_id,
            experiment_id=str(info.experiment_id),
            artifact_location=location,
            label=f"{self._spec.method} {self._spec.selection}",
            grouping=self._spec.grouping,
            params=self._common_params(),
            tags={**self._tags(), **source_tags()},
        )

    def _tags(self) -> dict[str, str]:
        spec = self._spec
        tags = {Tag.EXPERIMENT: spec.pair, Tag.SELECTION: spec.selection, Tag.METHOD: spec.method}
        return tags | ({Tag.GROUPING: spec.grouping} if spec.grouping else {})

    def _common_params(self) -> dict[str, str]:
        spec = self._spec
        fixed = {name if name != "groups" else "grouping": str(value) for name, value in spec.fixed.items()}
        return {"method": spec.method, "selection": spec.selection, **fixed}

    def _choose(self, table: pd.DataFrame) -> Best:
        """The rule's choice; a rule that compares all trials gives them their values now."""
        if not len(table):
            raise TrackingError(
                f"study {self._spec.title!r} has no trial: all were deleted; --restore brings them back"
            )
        rule = get_rule(self._spec.selection)
        if rule.needs_all:
            scorer = rule.scorer(make_context(self._spec, self._pair))
            table["selection_value"] = scorer(
                [Outcome(settings={}, codes=decode_predictions(text)) for text in table["predictions"]]
            )
        return best_trial(table)

    def _keep_best_matrix(self, best: Best) -> None:
        """Keep the best trial's matrix where others are not: its task is run again, so that the bytes are the same."""
        if self._options.keep is None:
            return
        tasks = grid_tasks(self._spec, self._options.n_trials) if self._spec.sampler == "grid" else []
        tasks.append(Task((int(best.row["trial"]),), (best.settings,)))
        task = next(task for task in tasks if best.row["cell"] in map(cell_id, task.settings))
        trials = Fitter(self._spec, self._pair).fit(task.numbers, task.settings)
        (trial,) = (trial for trial in trials if trial.cell == best.row["cell"])
        if trial.coef is not None:
            self._store.write_coef(trial.cell, trial.coef)

    def _fill_storage(self, table: pd.DataFrame) -> None:
        if self._options.storage is not None:
            from tgsr.study.sampling import fill_storage

            started = time.perf_counter()
            added = fill_storage(self._spec, table, self._options.storage)
            _log.info("%d trials added to Optuna's storage in %.1f s", added, time.perf_counter() - started)

    def _sum_up(self, table: pd.DataFrame, best: Best, seconds: Mapping[str, float]) -> None:
        client, spec, options = self._client, self._spec, self._options
        files, labels = {}, self._pair.target.labels
        if labels is not None:
            names = self._pair.source.class_names
            confusion = score(labels, decode_predictions(best.row["predictions"]), len(names)).confusion
            counts = {"classes": list(names), "confusion": confusion.tolist(), "run_id": best.row["run_id"]}
            files[CONFUSION] = json.dumps(counts)
        whole = spec.sampler == "grid" and len(table) == len(spec.cells())
        log_summary(client, self.run_id, table, best.row, best.settings, grid=whole, files=files)
        for part, value in seconds.items():
            client.log_metric(self.run_id, f"seconds_{part}", value)
        self._fill_storage(table)
        if options.page:
            from tgsr.reports.building import add_study_page

            finish_parent(client, self.run_id)
            add_study_page(client, self.run_id)


def _grid_params(spec: StudySpec) -> dict[str, str]:
    """What is searched, as text."""
    if spec.sampler != "grid":
        return {f"range_{name}": str(distribution) for name, distribution in spec.distributions().items()}
    texts = {f"grid_{name}": _values_text(values) for name, values in spec.values().items()}
    return {"cells": str(len(spec.cells())), **texts}


def _values_text(values: Sequence[Any]) -> str:
    if len(values) > 6 and all(isinstance(value, (int, float)) for value in values):
        return f"{len(values)} values, {min(values):g} to {max(values):g}"
    return ", ".join(map(str, values))


def _description(spec: StudySpec, pair: DatabasePair) -> str:
    rule = get_rule(spec.selection)
    warning = (
        "\n\n**Oracle**: these trials were ranked by the target's own labels, as in the paper; "
        "the best of them is no estimate of what the method achieves in use."
        if rule.uses_target_labels
        else ""
    )
    groups = f", groups `{spec.grouping}`" if spec.grouping else ""
    return (
        f"{spec.method}, **{spec.pair}**: train on {pair.source.name} ({len(pair.source)} samples), "
        f"test on {pair.target.name} ({len(pair.target)}{'' if pair.target.is_labelled else ', without labels'}). "
        f"Sampler `{spec.sampler}`{groups}.\n\nSelection `{spec.selection}`: {rule.description}.{warning}\n\n"
        "Trials are the child runs. Best first: sort them by `selection_value`; views for that are under *Views*."
    )
