"""All experiments of the paper in one go: a study each, models, the methods' comparison, a report.

    python -m studies.paper --data features/

Interrupted or killed, the same command goes on where it stopped. It takes hours on a laptop.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import options as shared
from tgsr.evaluation.choice import ORACLE
from tgsr.models import register
from tgsr.models.registry import find_version
from tgsr.reports import log_report
from tgsr.study import ComparePlan, RunOptions, compare_methods, make_spec, resolve_config, run_studies
from tgsr.study.pairs import choose_pairs
from tgsr.study.status import result_lines
from tgsr.tracking.client import open_client
from tgsr.tracking.names import Tag, model_name
from tgsr.tracking.records import StudyRecord, list_studies
from tgsr.tracking.runs import command_run

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["run_paper"]

_log = logging.getLogger(__name__)


def run_paper(
    pairs: Sequence[DatabasePair], options: RunOptions, compare: ComparePlan | None = None, **studied: Any
) -> tuple[str, list[StudyRecord]]:
    """Run every pair: TGSR's studies as `tgsr.study.make_spec` takes ``studied``, and what a plan compares.

    Run again, it goes on where it stopped. Returns the id of the run above all, and TGSR's studies, a pair each.
    """
    client, config = open_client(options.config.tracking_uri), options.config
    specs = [make_spec(pair, **studied) for pair in pairs]
    key = hashlib.sha256(f"{[spec.name for spec in specs]} {compare and compare.key}".encode()).hexdigest()[:12]
    with command_run(
        client,
        config,
        "paper",
        key,
        name=f"paper {specs[0].sampler} {specs[0].grouping}",
        description=f"{len(pairs)} pairs of databases: a study each, the methods' comparison, a report.",
        params={"pairs": " ".join(pair.name for pair in pairs), "seed": str(specs[0].seed)},
    ) as run_id:
        inside = replace(options, parent_run_id=run_id)
        studies = run_studies([(spec, pair, inside) for spec, pair in zip(specs, pairs, strict=True)])
        for pair, record in zip(pairs, studies, strict=True):
            alias = ORACLE if record.default_choice == ORACLE else "champion"
            # a consensus is its study's model, a single trial its own
            known = (record.run_id, record.choose().row["run_id"])
            holder = find_version(client, model_name(record.pair, record.method), alias)
            if holder is None or holder.run_id not in known:
                model = register(client, record.run_id, pair, alias=alias)
                _log.info("%s version %s has the alias %s", model.name, model.version, alias)
        labelled = [pair for pair in pairs if pair.target.is_labelled]
        if compare is not None and labelled:
            compare_methods(labelled, compare, inside)
        log_report(client, run_id, [one for one in list_studies(client) if one.tags.get(Tag.PARENT) == run_id])
    return run_id, studies


@click.command()
@shared.data
@shared.pairs(default="paper")
@click.option("--sampler", type=click.Choice(["grid", "tpe", "random"]), default="grid", help="Of TGSR's studies.")
@click.option("--choose", help="Rule that TGSR's studies are summed up by; oracle as in the paper.")
@click.option("--trials", type=shared.NATURAL, default=0, help="Trials each; 0: the grid, or 200 sampled.")
@shared.grid_options
@shared.grouping()
@click.option("--methods", default="all", help="Methods to compare, with commas; all; or none.")
@click.option("--choices", default="oracle,circular,fixed", help="Rows a method, as in tgsr compare.")
@shared.limits
@shared.seed
@click.option("--matrices", type=click.Choice(["all", "none"]), default="all", help="As in tgsr study.")
@shared.run_options
@shared.home
def main(**given: Any) -> None:
    """Run every pair whose databases are there: studies, models, comparison, report; one run above all."""
    fixed, axes = shared.fixed_of(given)
    studied = {name: given[name] for name in ("sampler", "grouping", "preprocess", "seed")}
    compare = None if given["methods"] == "none" else shared.make_plan(given, "released")
    pairs = choose_pairs(given["data"], None, None, None, given["pairs"])
    config = resolve_config(given["home"])
    options = shared.make_options(config, given)
    run_id, studies = run_paper(pairs, options, compare, fixed=fixed, axes=axes, **studied)
    for record in studies:
        click.echo("\n".join(result_lines(record, record.default_choice)))
    click.echo(f"report.html is with run {run_id}; look at it: {config.ui_command}")
    shared.mention_generated(pairs)


if __name__ == "__main__":
    main()
