"""All experiments in one go: studies, models, comparison and report, under one run; resumable."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studies.space import Space
from studies.spec import StudySpec
from studies.study import StudyOptions, StudyResult, run_study
from tgsr.datasets import DatabasePair
from tgsr.estimators.spaces import METHODS, get_method
from tgsr.evaluation.comparison import SELECTIONS, ComparisonOptions, available_pairs, comparison_table, run_comparison
from tgsr.evaluation.selection import DEFAULT_RULE
from tgsr.protocols import Experiment
from tgsr.tracking.comparison_run import ComparisonRun
from tgsr.tracking.names import PAPER_TITLE, Tag, model_name
from tgsr.tracking.place import open_client
from tgsr.tracking.registry import CHAMPION, register_trial
from tgsr.tracking.study_runs import ParentSpec, ending, find_parent, finish_parent, mark_generated, start_parent
from tgsr.version import code_version

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

__all__ = ["PaperPlan", "PaperResult", "run_paper"]


@dataclass(frozen=True)
class PaperPlan:
    """What is run in every experiment.

    Attributes
    ----------
    sampler, selection, grouping : str
    space : Space
    seed : int
    methods : sequence of str
        Methods that are compared; none leaves the comparison out.
    thin_tsrg : bool
        See `ComparisonOptions`.
    """

    sampler: str = "grid"
    selection: str = DEFAULT_RULE
    grouping: str = "region"
    space: Space = field(default_factory=Space)
    seed: int = 0
    methods: Sequence[str] = tuple(METHODS)
    thin_tsrg: bool = False

    def spec(self, experiment: Experiment, pair: DatabasePair) -> StudySpec:
        """The study of one experiment."""
        return StudySpec(
            experiment=experiment.name,
            source_digest=pair.source.digest,
            target_digest=pair.target.digest,
            space=self.space,
            sampler=self.sampler,
            selection=self.selection,
            grouping=self.grouping,
            seed=self.seed,
        )


@dataclass(frozen=True)
class PaperResult:
    """What was run.

    Attributes
    ----------
    run_id : str
        The run above all.
    studies : dict of str to StudyResult
        By experiment.
    missing : dict of str to list of str
        Experiments left out, with the databases that are not there.
    comparison : DataFrame or None
    """

    run_id: str
    studies: dict[str, StudyResult]
    missing: dict[str, list[str]]
    comparison: pd.DataFrame | None


def run_paper(plan: PaperPlan, options: StudyOptions) -> PaperResult:
    """Run every experiment whose databases are in ``options.data_folder``; run again, it goes on where it stopped.

    Raises
    ------
    MissingDataError
        If no experiment has both of its databases there.
    ParameterError
        If a method is unknown.
    """
    for method in plan.methods:
        get_method(method)  # before hours of studies
    pairs, absent = available_pairs(options.data_folder)
    missing = {experiment.name: names for experiment, names in absent.items()}
    for name, databases in missing.items():
        options.say(f"left out: {name} (no {' and '.join(databases)})")
    client = open_client(options.place.tracking_uri)
    run_id = _open_parent(client, plan, pairs, options)
    inside = replace(options, parent_run_id=run_id)
    with ending(client, run_id):
        studies = {}
        for experiment, pair in pairs.items():
            studies[experiment.name] = run_study(plan.spec(experiment, pair), pair, inside)
            _register(client, experiment, pair, studies[experiment.name], options)
        comparison = _compare(client, plan, pairs, inside) if plan.methods else None
        _report(client, run_id, studies, comparison, plan.grouping, missing)
    finish_parent(client, run_id)
    return PaperResult(run_id, studies, missing, comparison)


def _open_parent(
    client: MlflowClient, plan: PaperPlan, pairs: Mapping[Experiment, DatabasePair], options: StudyOptions
) -> str:
    names = [plan.spec(experiment, pair).name for experiment, pair in pairs.items()]
    key = hashlib.sha256(json.dumps([names, list(plan.methods), plan.thin_tsrg]).encode()).hexdigest()[:12]
    known = find_parent(client, "paper", key)
    if known is not None:
        options.say(f"going on with run {known}")
        return known
    spec = ParentSpec(
        title=PAPER_TITLE,
        name=f"paper {plan.sampler} {plan.selection} {plan.grouping}",
        description=f"{len(pairs)} of the paper's twelve experiments: a study each, the methods' comparison, a report.",
        tags={
            Tag.KIND: "paper",
            Tag.STUDY: key,
            Tag.SELECTION: plan.selection,
            Tag.GROUPING: plan.grouping,
            Tag.SAMPLER: plan.sampler,
            Tag.CODE_VERSION: code_version(),
        },
        params={"experiments": " ".join(experiment.name for experiment in pairs), "seed": str(plan.seed)},
    )
    run_id = start_parent(client, spec, options.place.artifact_root)
    if any(pair.is_generated for pair in pairs.values()):
        mark_generated(client, run_id)
    return run_id


def _register(
    client: MlflowClient, experiment: Experiment, pair: DatabasePair, study: StudyResult, options: StudyOptions
) -> None:
    from mlflow.exceptions import MlflowException

    best = str(study.best["run_id"])
    try:
        if client.get_model_version_by_alias(model_name(experiment.name), CHAMPION).run_id == best:
            return  # registered before an interruption
    except MlflowException:
        pass  # no such model yet
    source = pair.source
    registered = register_trial(client, study.run_id, extraction=source.parameters, example=source.X[:1])
    options.say(f"{registered.name} version {registered.version} is the champion")


def _compare(
    client: MlflowClient, plan: PaperPlan, pairs: Mapping[Experiment, DatabasePair], options: StudyOptions
) -> pd.DataFrame:
    with ComparisonRun(
        client, options.place.artifact_root, pairs, plan.grouping, options.data_folder, options.parent_run_id
    ) as run:
        results = run_comparison(
            pairs,
            plan.methods,
            SELECTIONS,
            options=ComparisonOptions(plan.grouping, thin_tsrg=plan.thin_tsrg, jobs=options.jobs),
            parts=options.place.home / "comparison.parts",
            on_result=run.log,
        )
    return comparison_table(results)


def _report(
    client: MlflowClient,
    run_id: str,
    studies: Mapping[str, StudyResult],
    comparison: pd.DataFrame | None,
    grouping: str,
    missing: Mapping[str, Sequence[str]],
) -> None:
    from tgsr.reports.pages import render_study
    from tgsr.reports.paper_page import name_by_groups
    from tgsr.reports.records import record_from_run
    from tgsr.reports.writing import write_paper_report

    records = [record_from_run(client, study.run_id) for study in studies.values()]
    for study, record in zip(studies.values(), records, strict=True):
        client.log_text(study.run_id, render_study(record), "report.html")
    warnings = [f"{name} is left out: no {' and '.join(databases)}" for name, databases in missing.items()]
    if comparison is not None:
        comparison = name_by_groups(comparison, grouping)
    with tempfile.TemporaryDirectory() as folder:
        write_paper_report(records, comparison, Path(folder), warnings=warnings)
        client.log_artifacts(run_id, folder)
    for name, study in studies.items():
        for metric in ("macro_f1", "accuracy"):
            client.log_metric(run_id, f"{metric}_{name}", float(study.best[metric]))
