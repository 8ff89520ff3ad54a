"""What a report needs to know about a study of any method, read from MLflow or from the file of ``tgsr grid``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.errors import DataError, MissingDataError, ParameterError, TrackingError
from tgsr.evaluation import score
from tgsr.evaluation.choice import Best, best_trial
from tgsr.evaluation.remarks import choice_remarks

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.datasets import DatabasePair

__all__ = ["StudyRecord", "complete_record", "read_table", "record_from_grid", "record_from_run", "row_name"]

_SHOWN_PARAMS = ("mu", "rho", "mu_max", "tol", "max_iter")


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """One study as stored.

    Attributes
    ----------
    title, pair, method, selection, sampler : str
        Such as ``"V-N TGSR grid oracle region"``, and what that is made of.
    table : DataFrame
        A row a finished trial: ``trial``, a column for each setting, ``selection_value``, scores on the target where
        that has labels, and what else was stored; may be empty.
    fixed : dict
        Parameters of every fit, such as ``groups`` and ``scaling``.
    class_names : tuple of str
    facts : dict
        What was run, for people: data and digests, versions, seeds, settings.
    digests : dict
        Role (``source, target``) → digest.
    group_norms : array of shape (n_groups,), optional
        ‖C_i‖_F of the chosen trial.
    confusion : array of shape (n_classes, n_classes), optional
        Of the chosen trial on the target.
    n_whole : int, optional
        Cells of the method's whole grid on these databases; None for sampled studies.
    n_groups : int, optional
        Groups of features, of a method that has them.
    generated : bool
        Whether the databases were drawn by ``tgsr demo-data``, so that the paper's numbers do not apply.
    status, run_id : str
        MLflow's state, such as ``KILLED``, and id, empty if there is none.
    """

    title: str
    pair: str
    method: str
    selection: str
    sampler: str
    table: pd.DataFrame
    fixed: dict[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    group_norms: npt.NDArray[np.float64] | None = None
    confusion: npt.NDArray[np.int64] | None = None
    n_whole: int | None = None
    n_groups: int | None = None
    generated: bool = False
    status: str = "FINISHED"
    run_id: str = ""

    @property
    def oracle(self) -> bool:
        """Whether target labels chose."""
        return self.selection == "oracle"

    @property
    def scored(self) -> bool:
        """Whether there are scores on the target: not where it has no labels."""
        return "macro_f1" in self.table and bool(self.table["macro_f1"].notna().any())

    @cached_property
    def best(self) -> Best | None:
        """The chosen trial, None while there is none."""
        try:
            return best_trial(self.table)
        except TrackingError:
            return None

    @property
    def remarks(self) -> list[str]:
        """How the choice was come by, see `tgsr.evaluation.remarks`."""
        return choice_remarks(self.table, selection=self.selection, sampler=self.sampler, n_groups=self.n_groups)

    @property
    def grouping(self) -> str:
        """Name of the groups of features, empty for a method that has none."""
        return str(self.fixed.get("groups", ""))

    @property
    def row(self) -> str:
        """What tables call the method, see `row_name`."""
        return row_name(self.method, self.fixed)

    @property
    def coverage(self) -> str:
        """What part of the method's whole grid was tried, such as ``"510 of 23,035 cells"``; empty for all of it."""
        n_trials = len(self.table)
        if self.selection == "fixed":
            return ""
        if self.sampler != "grid":
            return f"{n_trials:,} sampled trials"
        return f"{n_trials:,} of {self.n_whole:,} cells" if self.n_whole and n_trials < self.n_whole else ""

    @property
    def label(self) -> str:
        """The title, and whether the data are generated."""
        return f"{self.title}, generated data" if self.generated else self.title

    @property
    def heading(self) -> str:
        """What figures are headed with: pair and method; the study's name belongs into the caption."""
        return f"{self.pair}, {self.row}{', generated data' if self.generated else ''}"

    @property
    def slug(self) -> str:
        """The title as a file name."""
        return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in self.title)


def row_name(method: str, fixed: Mapping[str, Any]) -> str:
    """What tables call a method: groups and scaling that are not those of the published records are named."""
    grouping, scaling = (str(fixed.get(name, "")) for name in ("groups", "scaling"))
    named = {"": "", "region": "regions", "released": ""}.get(grouping, f"{grouping} groups")
    variant = [part for part in (named, "" if scaling == "none" else scaling) if part]
    return f"{method} ({', '.join(variant)})" if variant else method


def read_table(path: Path, command: str) -> pd.DataFrame:
    """Read a CSV that a command wrote; see `record_from_grid` for the errors."""
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; `{command} --out {path}` writes it")
    try:
        return pd.read_csv(path, dtype={"predictions": str})
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error


def record_from_grid(path: Path) -> StudyRecord:
    """Read the CSV that ``tgsr grid`` writes, and the description beside it.

    Raises
    ------
    MissingDataError
        If one of the two is not there.
    DataError
        If the file is no table of trials, or not as it was written.
    """
    table, sidecar = read_table(path, "tgsr grid"), path.with_name(f"{path.name}.json")
    if not sidecar.is_file():
        raise MissingDataError(f"{sidecar}: no such file; `tgsr grid --out {path}` writes it")
    try:
        stored = json.loads(sidecar.read_text(encoding="utf-8"))
        spec, digest, class_names = stored["spec"], stored["sha256"], tuple(stored["class_names"])
        databases = {role: stored[role] for role in ("source", "target")}
        facts = {"file": path.name, "tgsr": str(stored["tgsr"])}
        facts |= {role: f"{data['name']}, digest {data['digest']}" for role, data in databases.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{sidecar}: does not describe a grid ({error!r}); compute the grid again") from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise DataError(f"{path} was changed since it was written (see {sidecar.name}); compute the grid again")
    record = _from_spec(
        spec,
        table,
        str(sidecar),
        facts=facts,
        class_names=class_names,
        generated=any(data.get("generated", False) for data in databases.values()),
    )
    counts = [f"confusion_{true}_{predicted}" for true in class_names for predicted in class_names]
    if record.best is None or not set(counts) <= set(table):
        return record
    matrix = np.array([int(record.best.row[name]) for name in counts]).reshape(len(class_names), -1)
    return replace(record, confusion=matrix)


def record_from_run(client: MlflowClient, run_id: str) -> StudyRecord:
    """Read a study's run.

    Raises
    ------
    MissingDataError
        If there is no such run, or it is no study.
    """
    from tgsr.tracking.names import CONFUSION, REGIONS, Tag
    from tgsr.tracking.reading import find_run, read_spec_json, read_trials

    run = find_run(client, run_id)
    tags, params = run.data.tags, run.data.params
    if tags.get(Tag.KIND) != "study":
        what = tags.get(Tag.KIND, "something else")
        raise MissingDataError(f"run {run_id} ({run.info.run_name}) is no study, but {what}; see `tgsr trials --list`")
    spec = read_spec_json(client, run_id)
    given = run.inputs.dataset_inputs if run.inputs else []
    databases = {tag.value: one.dataset for one in given for tag in one.tags}
    counts = {role: _class_counts(dataset) for role, dataset in databases.items()}
    facts = {}
    for role in ("source", "target"):
        known = [databases[role].name, *(f"{n} {name}" for name, n in counts[role].items())] if role in counts else []
        facts[role] = ", ".join([*known, f"digest {spec.get(f'{role}_digest')}"])
    facts |= {"code version": tags.get(Tag.CODE_VERSION, "unknown"), "MLflow run": run_id}
    facts |= {key: str(params[key]) for key in _SHOWN_PARAMS if key in params}
    record = _from_spec(
        spec,
        read_trials(client, run_id),
        f"run {run_id}",
        facts=facts,
        class_names=tuple(counts.get("source", ())),
        generated=tags.get(Tag.GENERATED) == "true",
        status=str(run.info.status),
        run_id=run_id,
    )
    if record.best is None:
        return record
    best_run = str(record.best.row["run_id"])
    norms = _stored(client, best_run, REGIONS).get("group_norms")
    counted = _stored(client, run_id, CONFUSION)
    matrix = counted.get("confusion") if counted.get("run_id") == best_run else None  # a study that went on has another
    return replace(
        record,
        group_norms=None if norms is None else np.array(norms, dtype=np.float64),
        confusion=None if matrix is None else np.array(matrix, dtype=np.int64),
    )


def complete_record(record: StudyRecord, pair: DatabasePair) -> StudyRecord:
    """Add the confusion matrix and the kept groups of the chosen trial, where they are missing.

    The confusion matrix is counted from the stored predictions; for the groups the chosen trial is fitted again.

    Raises
    ------
    DataError
        If the databases are not those of the study.
    """
    from tgsr.estimators.methods import get_method
    from tgsr.estimators.sweep import prepare_sweep
    from tgsr.trials.trial import decode_predictions

    best, norms, confusion = record.best, record.group_norms, record.confusion
    if best is None or (confusion is not None and (norms is not None or not record.grouping)):
        return record
    for role, data in (("source", pair.source), ("target", pair.target)):
        if data.digest != record.digests[role]:
            raise DataError(
                f"{data.name} (digest {data.digest[:12]}) is not the {role} that {record.title} was made with "
                f"({record.digests[role][:12]}); give the folder with the same feature files"
            )
    source, target, n_classes = pair.source, pair.target, len(pair.class_names)
    if norms is None and record.grouping:
        own_groups = {} if source.groups is None else {"groups": source.groups}
        estimator = get_method(record.method).make(**{**record.fixed, **own_groups})
        sweep = prepare_sweep(estimator, source.X, source.known_labels, target.X, n_classes=n_classes)
        norms = sweep([best.settings])[0].group_norms
    predictions = best.row.get("predictions")
    if target.labels is not None and isinstance(predictions, str):
        confusion = score(target.labels, decode_predictions(predictions), n_classes).confusion
    return replace(record, group_norms=norms, confusion=confusion, class_names=pair.class_names)


def _from_spec(
    spec: Mapping[str, Any], table: pd.DataFrame, where: str, *, facts: Mapping[str, str], **known: Any
) -> StudyRecord:
    """What the specification tells, see ``tgsr.trials.spec``, with what else is known."""
    try:
        pair, method, sampler, selection = (str(spec[key]) for key in ("pair", "method", "sampler", "selection"))
        fixed, shape = dict(spec["fixed"]), spec.get("shape", {})
        digests = {role: str(spec[f"{role}_digest"]) for role in ("source", "target")}
        n_cells = sum(int(np.prod([len(values) for values in part.values()])) for part in spec["grid"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: its specification cannot be read ({error!r}); run the study again") from error
    missing = [name for name in ("trial", "selection_value") if name not in table]
    if missing and len(table):
        raise DataError(f"{where}: a table of trials needs the column {missing[0]}; run the study again")
    parts = [pair, method, sampler, selection, fixed.get("groups", ""), fixed.get("scaling", "none")]
    return StudyRecord(
        title=" ".join(str(part) for part in parts if part not in ("", "none")),
        pair=pair,
        method=method,
        selection=selection,
        sampler=sampler,
        table=table.assign(**{name: pd.Series(dtype=float) for name in missing}),
        fixed=fixed,
        facts={**facts, **{name: str(value) for name, value in fixed.items()}, "seed": str(spec.get("seed", ""))},
        digests=digests,
        n_whole=(_whole_grid(method, shape) or n_cells) if sampler == "grid" else None,
        n_groups=shape.get("n_groups") if "groups" in fixed else None,
        **known,
    )


def _whole_grid(method: str, shape: Mapping[str, int]) -> int | None:
    """Cells of a method's own grid; None where it is not one of the registry, or sizes are not stored."""
    from tgsr.estimators.methods import TaskShape, expand_grid, get_method

    if ":" in method:  # a report imports no code that a stored file names
        return None
    try:
        return len(expand_grid(get_method(method).param_grid(TaskShape(**shape))))
    except (ParameterError, TypeError):
        return None


def _class_counts(dataset: Any) -> dict[str, int]:
    """Number of samples of each class, from the profile of a run's dataset."""
    profile = json.loads(dataset.profile or "{}")
    return {name: count for name, count in profile.items() if isinstance(count, int) and name != "samples"}


def _stored(client: MlflowClient, run_id: str, name: str) -> dict[str, Any]:
    """A JSON artifact of a run, empty if there is none."""
    from tgsr.tracking.reading import read_artifact

    try:
        content: dict[str, Any] = json.loads(read_artifact(client, run_id, name))
    except (MissingDataError, ValueError):
        return {}
    return content
