"""All pairs of databases in one go: studies, models, comparison and report, under one run; resumable."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tgsr.study.comparing import ComparePlan, comparison_rows, requests_of
from tgsr.study.options import StudyOptions
from tgsr.tracking.study_store import StudyResult
from tgsr.trials.spec import StudySpec, make_spec
from tgsr.study.running import StudyRequest, run_studies
from tgsr.evaluation.selection import get_rule
from tgsr.reports.building import log_paper_report
from tgsr.tracking._runs import ParentSpec, ending, find_parent, finish_parent, mark_generated, start_parent
from tgsr.tracking.config import ensure_experiment, open_client
from tgsr.tracking.names import PAPER_TITLE, Tag, model_name
from tgsr.models.registry import aliased_run, register
from tgsr.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tgsr.datasets import DatabasePair

__all__ = ["PaperResult", "run_paper"]

_log = logging.getLogger(__name__)


class PaperResult(NamedTuple):
    """The run above all, and TGSR's studies, a pair each."""

    run_id: str
    studies: list[StudyResult]


def run_paper(
    pairs: Sequence[DatabasePair], options: StudyOptions, compare: ComparePlan | None = None, **studied: Any
) -> PaperResult:
    """Run every pair; run again, it goes on where it stopped. All tasks go to one executor, so that it never idles.

    Parameters
    ----------
    pairs : sequence of DatabasePair
    options : StudyOptions
    compare : ComparePlan, optional
        What is compared; None leaves the comparison out.
    **studied
        What TGSR's studies are; see `tgsr.trials.spec.make_spec`.

    Raises
    ------
    ParameterError
        If a method or a rule is unknown.
    """
    client = open_client(options.config.tracking_uri)
    specs = [make_spec(pair, **studied) for pair in pairs]
    run_id = _open_parent(client, specs, pairs, compare, options)
    inside = replace(options, parent_run_id=run_id)
    with ending(client, run_id):
        own = [StudyRequest(spec, pair, inside) for spec, pair in zip(specs, pairs, strict=True)]
        labelled = [pair for pair in pairs if pair.target.is_labelled]
        others = requests_of(labelled, compare, inside) if compare is not None else []
        results = run_studies([*own, *others])
        studies = results[: len(own)]
        for request, study in zip(own, studies, strict=True):
            _register(client, request, study)
        rows = comparison_rows(others, results[len(own) :], compare) if compare is not None else []
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


def _open_parent(
    client: MlflowClient,
    specs: Sequence[StudySpec],
    pairs: Sequence[DatabasePair],
    compare: ComparePlan | None,
    options: StudyOptions,
) -> str:
    key = hashlib.sha256(json.dumps([[spec.name for spec in specs], repr(compare)]).encode()).hexdigest()[:12]
    ensure_experiment(client, PAPER_TITLE, options.config.artifact_root)
    known = find_parent(client, "paper", key)
    if known is not None:
        _log.info("going on with run %s", known)
        return known
    first = specs[0]
    spec = ParentSpec(
        title=PAPER_TITLE,
        name=f"paper {first.sampler} {first.selection} {first.grouping}",
        description=f"{len(pairs)} pairs of databases: a study each, the methods' comparison, a report.",
        tags={
            Tag.KIND: "paper",
            Tag.STUDY: key,
            Tag.SELECTION: first.selection,
            Tag.GROUPING: first.grouping,
            Tag.SAMPLER: first.sampler,
            Tag.CODE_VERSION: code_version(),
        },
        params={"pairs": " ".join(pair.name for pair in pairs)[:6000], "seed": str(first.seed)},
    )
    run_id = start_parent(client, spec, options.config.artifact_root)
    if any(pair.is_generated for pair in pairs):
        mark_generated(client, run_id)
    return run_id
