"""What a report needs to know about a study, read from a grid's file or from MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tgsr.errors import DataError, MissingDataError
from tgsr.protocols import EXPERIMENTS, get_experiment

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
    best_trial : int, optional
        The chosen trial's number; otherwise the largest ``selection_value`` (or macro-F1) is chosen.
    group_norms : array of shape (85,), optional
        ‖C_i‖_F of the chosen trial.
    confusion : array of shape (3, 3), optional
        Of the chosen trial on the target.
    n_failed : int
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
    best_trial: int | None = None
    group_norms: npt.NDArray[np.float64] | None = None
    confusion: npt.NDArray[np.int64] | None = None
    n_failed: int = 0
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
        if self.best_trial is not None and "trial" in self.table:
            found: pd.DataFrame = self.table[self.table["trial"] == self.best_trial]
            if len(found):
                return found.iloc[0]
        finite: pd.DataFrame = self.table[np.isfinite(self.table[self.value].to_numpy(dtype=np.float64))]
        if finite.empty:
            return None
        ranked: pd.DataFrame = finite.sort_values([self.value, "kappa", "xi"], ascending=[False, True, True])
        return ranked.iloc[0]

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
    facts = {"file": path.name}
    for role, data in (("source", source), ("target", target)):
        if data:
            facts[role] = f"{data['name']}, digest {data['digest']}"
    if "tgsr" in provenance:
        facts["tgsr"] = str(provenance["tgsr"])
        facts["solver"] = ", ".join(f"{key} = {value}" for key, value in provenance["solver"].items())
    return StudyRecord(f"{experiment} grid oracle {grouping}", experiment, "oracle", grouping, "grid", table, facts)


def record_from_run(client: MlflowClient, run_id: str) -> StudyRecord:
    """Read a study's (or a logged grid's) run.

    Raises
    ------
    MissingDataError
        If there is no such run, or it is no study.
    """
    from tgsr.tracking.names import Tag
    from tgsr.tracking.reading import find_run, read_trials
    from tgsr.tracking.report_run import read_confusion, read_csv

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
    best_run = tags.get(Tag.BEST_RUN)
    best_trial = tags.get(Tag.BEST_TRIAL)
    return StudyRecord(
        title=str(run.info.run_name),
        experiment=tags.get(Tag.EXPERIMENT, ""),
        selection=tags.get(Tag.SELECTION, ""),
        grouping=tags.get(Tag.GROUPING, "region"),
        sampler=tags.get(Tag.SAMPLER, "grid"),
        table=table,
        facts=_facts(run),
        best_trial=None if best_trial is None else int(float(best_trial)),
        group_norms=_norms(client, best_run),
        confusion=read_confusion(client, run_id),
        n_failed=_count_failed(client, run) if kind == "study" else 0,
        status=str(run.info.status),
        run_id=run_id,
    )


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


def _norms(client: MlflowClient, run_id: str | None) -> npt.NDArray[np.float64] | None:
    from tgsr.tracking.reading import read_regions

    if run_id is None:
        return None
    try:
        return np.array(read_regions(client, run_id)["group_norms"], dtype=np.float64)
    except (MissingDataError, KeyError):
        return None


def _count_failed(client: MlflowClient, run: Run) -> int:
    from tgsr.tracking.names import Tag

    mine = f"tags.`{Tag.PARENT}` = '{run.info.run_id}' and tags.`{Tag.KIND}` = 'trial'"
    experiment = run.data.tags.get(Tag.TRIAL_EXPERIMENT, run.info.experiment_id)
    return sum(
        len(client.search_runs([experiment], f"{mine} and attributes.status = '{status}'", max_results=5000))
        for status in ("FAILED", "KILLED")
    )
