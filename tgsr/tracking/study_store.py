"""A study's run in MLflow and the trials below it, held by its only writer: every cell once, each a whole run."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from tgsr.errors import TgsrError, TrackingError
from tgsr.evaluation.choice import RULE
from tgsr.tracking._bulk import BulkWriter
from tgsr.tracking._client import ClientWriter, common_params
from tgsr.tracking.client import ensure_experiment, local_artifact_folder, open_client, retry
from tgsr.tracking.config import TrackingConfig
from tgsr.tracking.lock import study_lock
from tgsr.tracking.names import CLASSES, GENERATED_NOTE, STUDY_JSON, Tag, experiment_title
from tgsr.tracking.records import StudyRecord, read_trials, trial_table
from tgsr.tracking.runs import find_run_of, finish_run, log_params, source_tags
from tgsr.tracking.storage_errors import storage_errors
from tgsr.tracking.summary import log_summary
from tgsr.tracking.views import prepare_experiment
from tgsr.trials.spec import StudySpec
from tgsr.trials.trial import Trial, encode_predictions
from tgsr.version import code_digest, code_version

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["StudyStore"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_DIGEST_LENGTH = 36
"""MLflow's limit; the whole digest is in the tags and in the dataset's profile."""


class StudyStore:
    """A study's run, found again or started; nobody else may write to it until it is closed.

    Parameters
    ----------
    spec : StudySpec
    pair : DatabasePair
    config : TrackingConfig
    data_folder : str
        Where the databases were read from; logged with them.
    parent_run_id : str, optional
        A run that the study's becomes a child of.
    restore : bool
        Whether trials that somebody has deleted come back.

    Attributes
    ----------
    run_id : str
    table : DataFrame
        The finished trials that were there at the start, see `tgsr.evaluation.choice`.
    deleted : set of str
        Cells whose runs somebody has deleted: they stay deleted, and are not run again.

    Raises
    ------
    LockedError
        If another process works on the study.
    TrackingError
        If the tracking store cannot be used: what is full or not writable is named.
    """

    def __init__(
        self,
        spec: StudySpec,
        pair: DatabasePair,
        config: TrackingConfig,
        *,
        data_folder: str,
        parent_run_id: str | None = None,
        restore: bool = False,
    ) -> None:
        self._spec, self._uri = spec, config.tracking_uri
        self._client = open_client(config.tracking_uri)
        self._whole: dict[str, str] = {}
        """Run ids of the trials that are there, by cell."""
        self._changed = False
        with self._errors(), ExitStack() as opening:
            experiment_id = ensure_experiment(self._client, experiment_title(spec.pair), config)
            self._lock = opening.enter_context(study_lock(config, self._client, experiment_id, spec.name))
            self.run_id = find_run_of(self._client, "study", spec.name) or self._start(pair, experiment_id)
            self._run = self._client.get_run(self.run_id)
            self._was_finished = self._run.info.status == "FINISHED"
            try:
                self._writer: ClientWriter = BulkWriter(self._client, self._run, spec)
            except TrackingError as error:
                self._writer = self._by_client(error)
            self._sort(restore)
            self._describe(pair, data_folder)
            if parent_run_id is not None:  # it stands below the run that asked for it
                self._client.set_tag(self.run_id, Tag.PARENT, parent_run_id)
            self._compare_code()
            self.table = trial_table(self._client, self.run_id, experiment_id)
            self._stack = opening.pop_all()
        if self.deleted:
            _log.info("%d trials were deleted in MLflow and stay so; --restore brings them back", len(self.deleted))

    def write(self, trials: Sequence[Trial]) -> None:
        """Write finished trials with their files; a cell that is there, or that somebody deleted, is left as it is."""
        new = [trial for trial in trials if trial.cell not in self._whole and trial.cell not in self.deleted]
        if not new:
            return
        self._begin()
        ids = self._store(lambda writer: writer.write(new))
        self._whole |= zip((trial.cell for trial in new), ids, strict=True)

    def add_values(self, values: Mapping[str, Mapping[str, float]]) -> None:
        """Give trials that are there the values of rules: cell → rule → value; what is there already is replaced."""
        found = {
            self._whole[cell]: {f"{RULE}{rule}": value for rule, value in given.items()}
            for cell, given in values.items()
            if cell in self._whole
        }
        if found:
            self._begin()
            self._store(lambda writer: writer.add_metrics(found, int(time.time() * 1000)))

    def read_table(self) -> pd.DataFrame:
        """Read the trials that are there now."""
        with self._errors():
            experiment_id = str(self._run.info.experiment_id)
            return trial_table(self._client, self.run_id, experiment_id) if self._changed else self.table

    def record(self, table: pd.DataFrame | None = None) -> StudyRecord:
        """The study as it is stored."""
        return StudyRecord(self._client, self._client.get_run(self.run_id), table)

    def is_summed_up(self, by: str) -> bool:
        """Whether the run shows what it should: it was finished, nothing was added, and the same rule chose."""
        return self._was_finished and not self._changed and self.record().tags.get(Tag.CHOOSE) == by

    def finish(
        self,
        by: str,
        table: pd.DataFrame,
        *,
        metrics: Mapping[str, float],
        files: Mapping[str, str],
    ) -> None:
        """Sum the study up by a rule, with further metrics and text files, and end its run."""
        with self._errors():
            log_summary(self._client, self.record(table), by, metrics, files)
            finish_run(self._client, self.run_id)

    def close(self) -> None:
        """Let go of the study."""
        with self._errors():
            self._stack.close()

    def abort(self, error: BaseException) -> None:
        """Let go of the study, its run KILLED or FAILED unless it is as finished as before."""
        with self._stack, self._errors():
            if self._changed or not self._was_finished:
                finish_run(self._client, self.run_id, error)

    def _begin(self) -> None:
        """Before anything is written: the lock is held, and the run is at work again."""
        self._lock.check()
        if not self._changed:
            self._changed = True
            self._client.update_run(self.run_id, status="RUNNING")

    def _start(self, pair: DatabasePair, experiment_id: str) -> str:
        spec = self._spec
        tags = {
            Tag.KIND: "study",
            Tag.STUDY: spec.name,
            Tag.EXPERIMENT: spec.pair,
            Tag.METHOD: spec.method,
            Tag.SAMPLER: spec.sampler,
            Tag.SOURCE_DIGEST: spec.source_digest,
            Tag.TARGET_DIGEST: spec.target_digest,
            Tag.CODE_VERSION: code_version(),
            Tag.CODE_DIGEST: _code(),
            Tag.NOTE: f"{GENERATED_NOTE}\n\n" * pair.is_generated + _note(spec, pair),
            **({Tag.GROUPING: spec.grouping} if spec.grouping else {}),
            **({Tag.GENERATED: "true"} if pair.is_generated else {}),
            **source_tags(),
        }
        return str(self._client.create_run(experiment_id, tags=tags, run_name=spec.title).info.run_id)

    def _describe(self, pair: DatabasePair, data_folder: str) -> None:
        """Log what the study is, unless that is there already: whoever began it may have been killed before."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        spec, client, run_id = self._spec, self._client, self.run_id
        with suppress(TgsrError):
            if self.record().spec.name == spec.name:  # logged last
                return
        prepare_experiment(client, str(self._run.info.experiment_id))
        params = {"sampler": spec.sampler, "seed": str(spec.seed), **common_params(spec)}
        log_params(client, run_id, _searched(spec) | params)
        labels = None if pair.target.labels is None else encode_predictions(pair.target.labels)
        classes = {"classes": list(pair.source.class_names), "target_labels": labels}
        client.log_text(run_id, json.dumps(classes), CLASSES)
        inputs = []
        for role, data in (("source", pair.source), ("target", pair.target)):
            profile = {"samples": len(data), **data.counts, "digest": data.digest, "parameters": data.parameters}
            dataset = Dataset(
                name=f"{data.name} (generated)" if data.is_generated else data.name,
                digest=data.digest[:_DIGEST_LENGTH],
                source_type="local",
                source=json.dumps({"uri": data_folder}),
                schema=json.dumps({"features": list(data.features.shape[1:]), "dtype": "float64"}),
                profile=json.dumps(profile),
            )
            inputs.append(DatasetInput(dataset, tags=[InputTag(Tag.DATASET_ROLE, role)]))
        retry(lambda: client.log_inputs(run_id, inputs))
        client.set_tag(run_id, Tag.DATA_FOLDER, data_folder)
        client.log_text(run_id, spec.to_json(), STUDY_JSON)

    def _compare_code(self) -> None:
        """Say so where trials that are there were computed by other code; they are kept all the same."""
        tags = self._run.data.tags
        if tags.get(Tag.CODE_DIGEST) != _code():
            _log.warning(
                "%s: its trials were computed by other code (%s) and are kept; to compute all anew, delete its run %s",
                self._spec.title,
                tags.get(Tag.CODE_VERSION, "unknown"),
                self.run_id,
            )

    def _store(self, call: Callable[[ClientWriter], T]) -> T:
        """Let the writer work; where the database does not take what is written in bulk, MLflow's client does it."""
        with self._errors():
            try:
                return call(self._writer)
            except TrackingError as error:
                self._writer = self._by_client(error)
                return call(self._writer)

    def _by_client(self, error: TrackingError) -> ClientWriter:
        _log.info("trials are written by MLflow's client, which is slower: %s", error)
        return ClientWriter(self._client, self._run, self._spec)

    def _sort(self, restore: bool) -> None:
        """Find the whole runs and those that a person has deleted; remove what an interruption left.

        An interruption leaves runs that never finished, lost files, or are a cell's second.
        """
        keys = [Tag.CELL, Tag.FILES, Tag.DISCARDED]
        runs = read_trials(self._client, self.run_id, str(self._run.info.experiment_id), keys)
        runs[keys] = runs[keys].astype(object).fillna("")
        folder = local_artifact_folder(str(self._run.info.artifact_uri))
        root = None if folder is None else folder.parents[1]
        if root is not None and not root.is_dir() and runs["is_finished"].any():
            # it is away, and not only empty: that makes no trial unfinished
            raise TrackingError(f"{root} with the artifacts of the experiment is not there; mount or restore it")
        gone: dict[str, str] = {}
        scraps: list[str] = []
        for run in runs.to_dict("records"):
            cell, run_id = run[Tag.CELL], run["run_id"]
            if run["is_deleted"]:
                if run["is_finished"] and not run[Tag.DISCARDED]:
                    gone[cell] = run_id
            elif run["is_finished"] and cell and cell not in self._whole and _has_files(root, run_id, run[Tag.FILES]):
                self._whole[cell] = run_id
            else:
                scraps.append(run_id)
        gone = {cell: run_id for cell, run_id in gone.items() if cell not in self._whole}
        if scraps:
            self._store(lambda writer: writer.remove(scraps))
            _log.info("%d trials that an interruption left unfinished are removed", len(scraps))
        if restore and gone:
            self._changed = True
            for run_id in gone.values():
                self._client.restore_run(run_id)
            self._whole |= gone
            _log.info("%d deleted trials are restored", len(gone))
            gone = {}
        self.deleted = set(gone)

    def _errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._uri, None)


def _code() -> str:
    return code_digest("tgsr.solvers", "tgsr.estimators", "tgsr.evaluation", "tgsr.trials")[:16]


def _has_files(root: Path | None, run_id: str, sizes: str) -> bool:
    """Whether all files of a trial are there, and none was emptied or cut."""
    if root is None or not sizes:  # elsewhere, files were there before the run was FINISHED
        return True
    folder = f"{root}/{run_id}/artifacts"
    try:  # a `Path` for each file would cost more than looking at it
        return all(os.stat(f"{folder}/{name}").st_size == size for name, size in json.loads(sizes).items())  # noqa: PTH116
    except OSError:
        return False


def _searched(spec: StudySpec) -> dict[str, str]:
    """What is searched, as text."""
    if spec.is_sampled:
        ranges = {f"range_{name}": str(distribution) for name, distribution in spec.distributions().items()}
        return {"objective": spec.objective, **ranges}
    texts = {"cells": str(len(spec.cells()))}
    for name, values in spec.values().items():
        numbers = [value for value in values if isinstance(value, (int, float))]
        many = len(values) > 6 and len(numbers) == len(values)
        extent = f"{len(values)} values, {min(numbers):g} to {max(numbers):g}" if many else ", ".join(map(str, values))
        texts[f"grid_{name}"] = extent
    return texts


def _note(spec: StudySpec, pair: DatabasePair) -> str:
    groups = f", groups `{spec.grouping}`" if spec.grouping else ""
    objective = f" of `{spec.objective}`" if spec.objective else ""
    return (
        f"{spec.method}, **{spec.pair}**: train on {pair.source.name} ({len(pair.source)} samples), "
        f"test on {pair.target.name} ({len(pair.target)}{'' if pair.target.is_labelled else ', without labels'}). "
        f"Sampler `{spec.sampler}`{objective}{groups}.\n\nTrials are the child runs; views that sort them are under "
        "*Views*."
    )
