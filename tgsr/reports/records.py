"""What a report needs to know about a study, read from a grid's file or from MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.errors import DataError, MissingDataError
from tgsr.protocols import EXPERIMENTS, get_experiment
from tgsr.solvers import SolverSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["StudyRecord", "record_from_grid", "record_from_run"]

_NEEDED = ("kappa", "xi", "macro_f1", "accuracy")
_SHOWN_PARAMS = ("kappas", "xis", "seed", "mu", "rho", "mu_max", "tol", "max_iter")


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """One study as stored.

    Attributes
    ----------
    title : str
        Such as ``"V-N grid oracle region"``.
    experiment : str
        Such as ``"V-N"``.
    selection, grouping, sampler : str
    table : DataFrame
        A row a finished trial: ``kappa, xi, macro_f1, accuracy`` and what else was stored; may be empty.
    facts : dict
        What was run, for people: data and digests, versions, seeds, settings.
    group_norms : array of shape (85,), optional
        ‖C_i‖_F of the chosen trial.
    confusion : array of shape (3, 3), optional
        Of the chosen trial on the target.
    n_cells : int, optional
        Cells of the whole grid; None for sampled studies, and where it is not stored.
    settings : SolverSettings
        What the trials were solved with.
    generated : bool
        Whether the databases were drawn by ``tgsr demo-data``, so that the paper's numbers do not apply.
    status : str
        ``FINISHED``, ``RUNNING``, ``FAILED`` or ``KILLED``.
    run_id : str
        MLflow's, empty if there is none.
    """

    title: str
    experiment: str
    selection: str
    grouping: str
    sampler: str
    table: pd.DataFrame
    facts: dict[str, str] = field(default_factory=dict)
    group_norms: npt.NDArray[np.float64] | None = None
    confusion: npt.NDArray[np.int64] | None = None
    n_cells: int | None = None
    settings: SolverSettings = field(default_factory=SolverSettings)
    generated: bool = False
    status: str = "FINISHED"
    run_id: str = ""

    @property
    def oracle(self) -> bool:
        """Whether target labels chose."""
        return self.selection == "oracle"

    @property
    def value(self) -> str:
        """The column by which the best trial is chosen."""
        return "selection_value" if "selection_value" in self.table else "macro_f1"

    @property
    def best(self) -> pd.Series | None:
        """The chosen trial's row: the largest value, of equal ones the smallest κ, then the smallest ξ."""
        finite: pd.DataFrame = self.table[np.isfinite(self.table[self.value].to_numpy(dtype=np.float64))]
        if finite.empty:
            return None
        ranked: pd.DataFrame = finite.sort_values([self.value, "kappa", "xi"], ascending=[False, True, True])
        return ranked.iloc[0]

    @property
    def shortfall(self) -> str:
        """How much of an unfinished study there is, such as ``"1,870 of 23,035 cells"``; empty for a whole one."""
        n_trials = len(self.table)
        if self.n_cells is not None:
            return f"{n_trials:,} of {self.n_cells:,} cells" if n_trials < self.n_cells else ""
        return "" if self.status == "FINISHED" else f"{n_trials:,} trials, then {self.status}"

    @property
    def label(self) -> str:
        """The title, and whether the data are generated."""
        return f"{self.title}, generated data" if self.generated else self.title

    @property
    def slug(self) -> str:
        """The title as a file name."""
        return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in self.title)


def record_from_grid(path: Path) -> StudyRecord:
    """Read the CSV that ``tgsr grid`` writes, and the provenance beside it.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is no table of trials.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; `tgsr grid --out {path}` writes it")
    try:
        table = _checked(pd.read_csv(path), str(path))
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    provenance: dict[str, Any] = {}
    sidecar = path.with_name(f"{path.name}.json")
    if sidecar.is_file():
        try:
            provenance = json.loads(sidecar.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{sidecar}: is not JSON ({error}); compute the grid again") from error
    source, target = (provenance.get(role, {}) for role in ("source", "target"))
    experiment = _experiment_of(source.get("name", ""), target.get("name", "")) or path.stem
    grouping = str(provenance.get("grouping", "unknown"))
    n_cells = len(provenance.get("kappas", ())) * len(provenance.get("xis", ())) or None
    settings = _settings(provenance.get("solver", {}), str(sidecar))
    facts = {"file": path.name}
    for role, data in (("source", source), ("target", target)):
        if data:
            facts[role] = f"{data['name']}, digest {data['digest']}"
    if "tgsr" in provenance:
        facts["tgsr"] = str(provenance["tgsr"])
        facts["solver"] = ", ".join(f"{key} = {value}" for key, value in provenance["solver"].items())
    return StudyRecord(
        title=f"{experiment} grid oracle {grouping}",
        experiment=experiment,
        selection="oracle",
        grouping=grouping,
        sampler="grid",
        table=table,
        facts=facts,
        n_cells=n_cells,
        settings=settings,
        generated=any(data.get("generated", False) for data in (source, target)),
    )


def record_from_run(client: MlflowClient, run_id: str) -> StudyRecord:
    """Read a study's (or a logged grid's) run.

    Raises
    ------
    MissingDataError
        If there is no such run, or it is no study.
    """
    from tgsr.tracking.names import Tag
    from tgsr.tracking.reading import find_run, read_trials
    from tgsr.tracking.report_run import read_csv

    run = find_run(client, run_id)
    tags = dict(run.data.tags)
    kind = tags.get(Tag.KIND)
    if Tag.METHOD in tags:
        raise MissingDataError(
            f"run {run_id} ({run.info.run_name}) has trials of {tags[Tag.METHOD]}: reports show TGSR's κ, ξ and "
            "regions; `tgsr trials` shows its trials, `tgsr compare` puts methods side by side"
        )
    if kind == "study":
        table = read_trials(client, run_id)
    elif kind == "grid":
        table = _checked(read_csv(client, run_id), f"run {run_id}")
    else:
        raise MissingDataError(f"run {run_id} ({run.info.run_name}) is no study and no grid, but {kind or 'something'}")
    for column in _NEEDED:
        if column not in table:
            table[column] = pd.Series(dtype=float)
    sampler = tags.get(Tag.SAMPLER, "grid")
    record = StudyRecord(
        title=str(run.info.run_name),
        experiment=tags.get(Tag.EXPERIMENT, ""),
        selection=tags.get(Tag.SELECTION, ""),
        grouping=tags.get(Tag.GROUPING, "region"),
        sampler=sampler,
        table=table,
        facts=_facts(run),
        n_cells=_n_cells(run.data.params) if sampler == "grid" else None,
        settings=_settings(run.data.params, f"run {run_id}"),
        generated=tags.get(Tag.GENERATED) == "true",
        status=str(run.info.status),
        run_id=run_id,
    )
    return replace(record, group_norms=_norms(client, record), confusion=_confusion(client, record, tags))


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    missing = [column for column in _NEEDED if column not in table]
    if missing:
        raise DataError(f"{where}: a table of trials needs the columns {', '.join(_NEEDED)}; missing: {missing}")
    return table


def _experiment_of(source: str, target: str) -> str | None:
    for experiment in EXPERIMENTS:
        if (experiment.source, experiment.target) == (source, target):
            return experiment.name
    return None


def _facts(run: Run) -> dict[str, str]:
    from tgsr.tracking.names import Tag

    tags, params = dict(run.data.tags), dict(run.data.params)
    facts: dict[str, str] = {}
    try:
        experiment = get_experiment(tags.get(Tag.EXPERIMENT, ""))
        names = {"source": experiment.source, "target": experiment.target}
    except ValueError:
        names = {}
    counts = _profiles(run)
    for role, key in (("source", Tag.SOURCE_DIGEST), ("target", Tag.TARGET_DIGEST)):
        parts = [names.get(role, ""), counts.get(role, ""), f"digest {tags[key]}" if key in tags else ""]
        facts[role] = ", ".join(part for part in parts if part) or "unknown"
    facts["code version"] = tags.get(Tag.CODE_VERSION, "unknown")
    facts |= {key: _short(params[key]) for key in _SHOWN_PARAMS if key in params}
    if Tag.STUDY in tags:
        facts["Optuna study"] = tags[Tag.STUDY]
    facts["MLflow run"] = str(run.info.run_id)
    return facts


def _short(text: str) -> str:
    """A number without its row of zeros; other texts as they are."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _profiles(run: Run) -> dict[str, str]:
    """Role → number of samples in all and of each class, from the run's dataset inputs."""
    found = {}
    for given in run.inputs.dataset_inputs if run.inputs else []:
        roles = [tag.value for tag in given.tags if tag.key == "mlflow.data.context"]
        try:
            profile = json.loads(given.dataset.profile or "{}")
        except ValueError:
            continue
        samples = profile.pop("samples", None)
        classes = ", ".join(f"{count} {name}" for name, count in profile.items() if isinstance(count, int))
        for role in roles:
            found[str(role)] = f"{samples} samples ({classes})"
    return found


def _n_cells(params: Mapping[str, str]) -> int | None:
    if "cells" in params:
        return int(params["cells"])
    sizes = [re.match(r"(\d+) values", params.get(axis, "")) for axis in ("kappas", "xis")]
    return int(sizes[0][1]) * int(sizes[1][1]) if sizes[0] and sizes[1] else None


def _settings(stored: Mapping[str, Any], where: str) -> SolverSettings:
    defaults = asdict(SolverSettings())
    try:
        return SolverSettings(**{name: type(defaults[name])(stored[name]) for name in defaults if name in stored})
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its solver settings cannot be read ({error})") from error


def _norms(client: MlflowClient, record: StudyRecord) -> npt.NDArray[np.float64] | None:
    """Of the chosen trial, from its own run."""
    from tgsr.tracking.reading import read_regions

    best = record.best
    if best is None or "run_id" not in best:
        return None
    try:
        return np.array(read_regions(client, best["run_id"])["group_norms"], dtype=np.float64)
    except (MissingDataError, KeyError, ValueError):
        return None


def _confusion(client: MlflowClient, record: StudyRecord, tags: Mapping[str, str]) -> npt.NDArray[np.int64] | None:
    """The one on the study's run, if it is of the chosen trial: a study that went on may have a better one by now."""
    from tgsr.tracking.names import Tag
    from tgsr.tracking.report_run import read_confusion

    best = record.best
    if best is None:
        return None
    stored = read_confusion(client, record.run_id)
    if stored is None or (stored.trial_run_id or tags.get(Tag.BEST_RUN)) != best.get("run_id"):
        return None
    return stored.matrix
