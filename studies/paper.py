"""All pairs of databases in one go: studies, models, comparison and report, under one run; resumable."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from studies.compare import ComparePlan, comparison_rows, requests_of
from studies.options import StudyOptions
from studies.sinks.mlflow import StudyResult
from studies.spec import StudySpec, make_spec
from studies.study import StudyRequest, run_studies
from tgsr.evaluation.selection import DEFAULT_RULE, get_rule
from tgsr.reports.building import log_paper_report
from tgsr.tracking._runs import ParentSpec, ending, find_parent, finish_parent, mark_generated, start_parent
from tgsr.tracking.config import ensure_experiment, open_client
from tgsr.tracking.names import PAPER_TITLE, Tag, model_name
from tgsr.tracking.registry import aliased_run, register
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.datasets import DatabasePair

__all__ = ["PaperPlan", "PaperResult", "run_paper"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PaperPlan:
    """What is run for every pair.

    Attributes
    ----------
    sampler, selection, grouping : str
        Of TGSR's studies.
    fixed, axes : mapping
        See `studies.spec.make_spec`.
    seed : int
    compare : ComparePlan or None
        What is compared; None leaves the comparison out.
    """

    sampler: str = "grid"
    selection: str = DEFAULT_RULE
    grouping: str = "region"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    seed: int = 0
    compare: ComparePlan | None = field(default_factory=ComparePlan)

    def spec(self, pair: DatabasePair) -> StudySpec:
        """The study of one pair."""
        return make_spec(
            pair,
            selection=self.selection,
            grouping=self.grouping,
            fixed=self.fixed,
            axes=self.axes,
            sampler=self.sampler,
            seed=self.seed,
        )


@dataclass(frozen=True)
class PaperResult:
    """What was run.

    Attributes
    ----------
    run_id : str
        The run above all.
    studies : list of StudyResult
        TGSR's, a pair each.
    """

    run_id: str
    studies: list[StudyResult]


def run_paper(pairs: Sequence[DatabasePair], plan: PaperPlan, options: StudyOptions) -> PaperResult:
    """Run every pair; run again, it goes on where it stopped. All tasks go to one executor, so that it never idles.

    Raises
    ------
    ParameterError
        If a method or a rule is unknown.
    """
    client = open_client(options.config.tracking_uri)
    run_id = _open_parent(client, plan, pairs, options)
    inside = replace(options, parent_run_id=run_id)
    with ending(client, run_id):
        own = [StudyRequest(plan.spec(pair), pair, inside) for pair in pairs]
        labelled = [pair for pair in pairs if pair.target.is_labelled]
        others = requests_of(labelled, plan.compare, inside) if plan.compare is not None else []
        results = run_studies([*own, *others])
        studies = results[: len(own)]
        for request, study in zip(own, studies, strict=True):
            _register(client, request, study)
        rows = [
            row
            for request, result in zip(others, results[len(own) :], strict=True)
            for row in comparison_rows(request.spec, request.pair, result, plan.compare or ComparePlan())
        ]
        log_paper_report(client, run_id, [result.run_id for result in results], rows)
        for study in studies:
            for metric in ("macro_f1", "accuracy"):
                if metric in study.best.row:
                    client.log_metric(run_id, f"{metric}_{study.spec.pair}", float(study.best.row[metric]))
    finish_parent(client, run_id)
    return PaperResult(run_id, studies)


def _register(client: MlflowClient, request: StudyRequest, study: StudyResult) -> None:
    """Make a study's choice the champion (an oracle's has the alias ``oracle``), unless it is that already."""
    alias = "oracle" if get_rule(request.spec.selection).uses_target_labels else "champion"
    if aliased_run(client, model_name(request.spec.pair, request.spec.method), alias) != study.best.row["run_id"]:
        model = register(client, study.run_id, request.pair, alias=alias)
        _log.info("%s version %s has the alias %s", model.name, model.version, alias)


def _open_parent(client: MlflowClient, plan: PaperPlan, pairs: Sequence[DatabasePair], options: StudyOptions) -> str:
    key = hashlib.sha256(
        json.dumps([[plan.spec(pair).name for pair in pairs], repr(plan.compare)]).encode()
    ).hexdigest()[:12]
    ensure_experiment(client, PAPER_TITLE, options.config.artifact_root)
    known = find_parent(client, "paper", key)
    if known is not None:
        _log.info("going on with run %s", known)
        return known
    spec = ParentSpec(
        title=PAPER_TITLE,
        name=f"paper {plan.sampler} {plan.selection} {plan.grouping}",
        description=f"{len(pairs)} pairs of databases: a study each, the methods' comparison, a report.",
        tags={
            Tag.KIND: "paper",
            Tag.STUDY: key,
            Tag.SELECTION: plan.selection,
            Tag.GROUPING: plan.grouping,
            Tag.SAMPLER: plan.sampler,
            Tag.CODE_VERSION: code_version(),
        },
        params={"pairs": " ".join(pair.name for pair in pairs)[:6000], "seed": str(plan.seed)},
    )
    run_id = start_parent(client, spec, options.config.artifact_root)
    if any(pair.is_generated for pair in pairs):
        mark_generated(client, run_id)
    return run_id
