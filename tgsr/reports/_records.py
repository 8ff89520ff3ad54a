"""What a report needs to know about a study of any method, read from MLflow or from the file of ``tgsr grid``."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.errors import DataError, MissingDataError, ParameterError, TrackingError
from tgsr.evaluation.best import Best, best_trial
from tgsr.evaluation.remarks import choice_remarks

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["StudyRecord", "record_from_grid", "record_from_run", "row_name"]

_CONFUSION = "confusion_"
_SHOWN_PARAMS = ("mu", "rho", "mu_max", "tol", "max_iter")


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """One study as stored.

    Attributes
    ----------
    title : str
        Such as ``"V-N TGSR grid oracle region"``.
    pair : str
        Such as ``"V-N"``.
    method, selection, sampler : str
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
    n_cells : int, optional
        Cells of the study's grid; None for sampled studies, and where it is not stored.
    n_whole : int, optional
        Cells of the method's whole grid on these databases.
    n_groups : int, optional
        Groups of features, of a method that has them.
    generated : bool
        Whether the databases were drawn by ``tgsr demo-data``, so that the paper's numbers do not apply.
    status : str
        ``FINISHED``, ``RUNNING``, ``FAILED`` or ``KILLED``.
    run_id : str
        MLflow's, empty if there is none.
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
    n_cells: int | None = None
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

    @property
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
        n_trials, n_whole = len(self.table), self.n_whole or self.n_cells
        if self.selection == "fixed":
            return ""
        if self.sampler != "grid":
            return f"{n_trials:,} sampled trials"
        if n_whole is not None:
            return f"{n_trials:,} of {n_whole:,} cells" if n_trials < n_whole else ""
        return "" if self.status == "FINISHED" else f"{n_trials:,} trials, then {self.status}"

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


def record_from_grid(path: Path) -> StudyRecord:
    """Read the CSV that ``tgsr grid`` writes, and the description beside it.

    Raises
    ------
    MissingDataError
        If one of the two is not there.
    DataError
        If the file is no table of trials, or not as it was written.
    """
    sidecar = path.with_name(f"{path.name}.json")
    for needed in (path, sidecar):
        if not needed.is_file():
            raise MissingDataError(f"{needed}: no such file; `tgsr grid --out {path}` writes it")
    content = path.read_bytes()
    try:
        stored = json.loads(sidecar.read_text(encoding="utf-8"))
        spec, source, target = stored["spec"], stored["source"], stored["target"]
        facts = {"file": path.name, "tgsr": str(stored["tgsr"])}
        for role, data in (("source", source), ("target", target)):
            facts[role] = f"{data['name']}, digest {data['digest']}"
        class_names, digest = tuple(stored["class_names"]), stored["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{sidecar}: does not describe a grid ({error!r}); compute the grid again") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{path} was changed since it was written (see {sidecar.name}); compute the grid again")
    try:
        table = pd.read_csv(io.BytesIO(content), dtype={"predictions": str})
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    record = _from_spec(spec, table, str(sidecar))
    return replace(
        record,
        class_names=class_names,
        facts=facts | record.facts,
        confusion=_counted(record, class_names),
        generated=any(data.get("generated", False) for data in (source, target)),
    )


def record_from_run(client: MlflowClient, run_id: str, *, details: bool = True) -> StudyRecord:
    """Read a study's run; without ``details``, the chosen trial's regions and confusion matrix are left out.

    Raises
    ------
    MissingDataError
        If there is no such run, or it is no study.
    """
    from tgsr.tracking.names import Tag
    from tgsr.tracking.reading import find_run, read_spec_json, read_trials

    run = find_run(client, run_id)
    if run.data.tags.get(Tag.KIND) != "study":
        what = run.data.tags.get(Tag.KIND, "something else")
        raise MissingDataError(f"run {run_id} ({run.info.run_name}) is no study, but {what}; see `tgsr trials --list`")
    record = _from_spec(read_spec_json(client, run_id), read_trials(client, run_id), f"run {run_id}")
    profiles = _profiles(run)
    record = replace(
        record,
        class_names=tuple(profiles.get("source", {})),
        facts=_facts(run, record, profiles) | record.facts | {"MLflow run": run_id},
        generated=run.data.tags.get(Tag.GENERATED) == "true",
        status=str(run.info.status),
        run_id=run_id,
    )
    if not details or record.best is None:
        return record
    return replace(record, group_norms=_norms(client, record.best), confusion=_confusion(client, record))


def _from_spec(spec: Mapping[str, Any], table: pd.DataFrame, where: str) -> StudyRecord:
    """What the specification tells, see ``studies.spec``."""
    try:
        pair, method, sampler, selection = (str(spec[key]) for key in ("pair", "method", "sampler", "selection"))
        fixed, grid = dict(spec["fixed"]), spec["grid"]
        digests = {role: str(spec[f"{role}_digest"]) for role in ("source", "target")}
        sizes = [int(np.prod([len(values) for values in part.values()])) for part in grid]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: its specification cannot be read ({error!r}); run the study again") from error
    record = StudyRecord(
        title=_title(spec),
        pair=pair,
        method=method,
        selection=selection,
        sampler=sampler,
        table=_checked(table, where),
        fixed=fixed,
        digests=digests,
        n_cells=sum(sizes) if sampler == "grid" else None,
        n_whole=_whole_grid(method, spec.get("shape", {})),
        n_groups=spec.get("shape", {}).get("n_groups") if "groups" in fixed else None,
    )
    facts = {name: str(value) for name, value in fixed.items()} | {"seed": str(spec.get("seed", ""))}
    return replace(record, facts=facts)


def _title(spec: Mapping[str, Any]) -> str:
    scaling = spec["fixed"].get("scaling", "none")
    parts = [spec[key] for key in ("pair", "method", "sampler", "selection")]
    parts += [spec["fixed"].get("groups", ""), "" if scaling == "none" else scaling]
    return " ".join(str(part) for part in parts if part)


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    for column in ("trial", "selection_value"):
        if column not in table:
            if len(table):
                raise DataError(f"{where}: a table of trials needs the column {column}; run the study again")
            table = table.assign(**{column: pd.Series(dtype=float)})
    return table


def _whole_grid(method: str, shape: Mapping[str, int]) -> int | None:
    """Cells of a method's own grid; None where it is not one of the registry, or sizes are not stored."""
    from tgsr.estimators.methods import TaskShape, expand_grid, get_method

    if ":" in method:  # a report imports no code that a stored file names
        return None
    try:
        return len(expand_grid(get_method(method).param_grid(TaskShape(**shape))))
    except (ParameterError, TypeError):
        return None


def _counted(record: StudyRecord, class_names: tuple[str, ...]) -> npt.NDArray[np.int64] | None:
    """The confusion matrix that stands in the chosen trial's row of a CSV."""
    names = [f"{_CONFUSION}{true}_{predicted}" for true in class_names for predicted in class_names]
    if record.best is None or not names or not set(names) <= set(record.table):
        return None
    counts = [int(record.best.row[name]) for name in names]
    return np.array(counts, dtype=np.int64).reshape(len(class_names), len(class_names))


def _facts(run: Run, record: StudyRecord, profiles: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    from tgsr.tracking.names import Tag

    facts: dict[str, str] = {}
    names = {tag.value: given.dataset.name for given in _inputs(run) for tag in given.tags}
    for role, digest in record.digests.items():
        counts = ", ".join(f"{count} {name}" for name, count in profiles.get(role, {}).items())
        parts = [str(names.get(role, "")), f"{counts}" if counts else "", f"digest {digest}"]
        facts[role] = ", ".join(part for part in parts if part)
    facts["code version"] = run.data.tags.get(Tag.CODE_VERSION, "unknown")
    return facts | {key: str(run.data.params[key]) for key in _SHOWN_PARAMS if key in run.data.params}


def _inputs(run: Run) -> list[Any]:
    return list(run.inputs.dataset_inputs) if run.inputs else []


def _profiles(run: Run) -> dict[str, dict[str, int]]:
    """Role → number of samples of each class, from the run's dataset inputs."""
    found: dict[str, dict[str, int]] = {}
    for given in _inputs(run):
        try:
            profile = json.loads(given.dataset.profile or "{}")
        except ValueError:
            continue
        profile.pop("samples", None)
        counts = {str(name): count for name, count in profile.items() if isinstance(count, int)}
        found |= {str(tag.value): counts for tag in given.tags if tag.key == "mlflow.data.context"}
    return found


def _norms(client: MlflowClient, best: Best) -> npt.NDArray[np.float64] | None:
    """Of the chosen trial, from its own run."""
    from tgsr.tracking.reading import read_regions

    try:
        return np.array(read_regions(client, str(best.row["run_id"]))["group_norms"], dtype=np.float64)
    except (MissingDataError, KeyError, ValueError):
        return None


def _confusion(client: MlflowClient, record: StudyRecord) -> npt.NDArray[np.int64] | None:
    """The one on the study's run, if it is of the chosen trial: a study that went on may have a better one by now."""
    from tgsr.tracking.names import CONFUSION, Tag
    from tgsr.tracking.reading import find_run, read_artifact

    assert record.best is not None
    try:
        stored = json.loads(read_artifact(client, record.run_id, CONFUSION))
        matrix = np.array(stored["confusion"], dtype=np.int64)
    except (MissingDataError, KeyError, ValueError):
        return None
    of = stored.get("run_id") or find_run(client, record.run_id).data.tags.get(Tag.BEST_RUN)
    return matrix if of == record.best.row.get("run_id") else None
