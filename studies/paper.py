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

from tgsr.cli import _shared as shared
from tgsr.evaluation.choice import ORACLE
from tgsr.models.registry import aliased_run, register
from tgsr.reports import log_report
from tgsr.study import ComparePlan, RunOptions, make_spec, resolve_config, run_studies
from tgsr.study.comparing import comparison_rows, comparison_table, requests_of
from tgsr.study.pairs import choose_pairs
from tgsr.study.status import result_lines
from tgsr.tracking.client import open_client
from tgsr.tracking.names import model_name
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.runs import command_run

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair

__all__ = ["run_paper"]

_log = logging.getLogger(__name__)


def run_paper(
    pairs: Sequence[DatabasePair], options: RunOptions, compare: ComparePlan | None = None, **studied: Any
) -> tuple[str, list[StudyRecord]]:
    """Run every pair; run again, it goes on where it stopped. All tasks go to one executor, so that it never idles.

    Parameters
    ----------
    pairs : sequence of DatabasePair
    options : RunOptions
    compare : ComparePlan, optional
        What is compared; None leaves the comparison out.
    **studied
        What TGSR's studies are; see `tgsr.study.make_spec`.

    Returns
    -------
    run_id : str
        The run above all.
    studies : list of StudyRecord
        TGSR's, a pair each.
    """
    client = open_client(options.config.tracking_uri)
    specs = [make_spec(pair, **studied) for pair in pairs]
    key = hashlib.sha256(f"{[spec.name for spec in specs]} {compare and compare.key}".encode()).hexdigest()[:12]
    names = " ".join(pair.name for pair in pairs)
    with command_run(
        client,
        options.config,
        "paper",
        key,
        name=f"paper {specs[0].sampler} {specs[0].grouping}",
        description=f"{len(pairs)} pairs of databases: a study each, the methods' comparison, a report.",
        params={"pairs": names, "seed": str(specs[0].seed)},
    ) as run_id:
        inside = replace(options, parent_run_id=run_id)
        own = [(spec, pair, inside) for spec, pair in zip(specs, pairs, strict=True)]
        labelled = [pair for pair in pairs if pair.target.is_labelled]
        others = requests_of(labelled, compare, inside) if compare is not None else []
        records = run_studies([*own, *others])
        for pair, record in zip(pairs, records, strict=False):
            alias = ORACLE if record.default_choice == ORACLE else "champion"
            if aliased_run(client, model_name(record.pair, record.method), alias) != record.run_id:
                model = register(client, record.run_id, pair, alias=alias)
                _log.info("%s version %s has the alias %s", model.name, model.version, alias)
        if compare is not None and others:
            table = comparison_table(comparison_rows(others, records[len(own) :], compare))
            client.log_text(run_id, table.to_csv(index=False), "compare.csv")
        log_report(client, run_id, records)
    return run_id, records[: len(own)]


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
    from tgsr.cli._options import parse_limits, parse_names
    from tgsr.estimators.methods import METHODS

    fixed, axes = shared.fixed_of(given)
    named = {"all": list(METHODS), "none": []}.get(given["methods"], parse_names(given["methods"]))
    compare = None
    if named:
        compare = ComparePlan(
            methods=named,
            choices=parse_names(given["choices"]),
            preprocess=given["preprocess"],
            fixed=fixed,
            axes=axes,
            limits=parse_limits(given["limits"]),
            seed=given["seed"],
        )
    studied = {"fixed": fixed, "axes": axes}
    studied |= {name: given[name] for name in ("sampler", "grouping", "preprocess", "seed")}
    pairs = choose_pairs(given["data"], None, None, None, given["pairs"])
    config = resolve_config(given["home"])
    run_id, studies = run_paper(pairs, shared.make_options(config, given), compare, **studied)
    for record in studies:
        click.echo("\n".join(result_lines(record, record.default_choice)))
    click.echo(f"report.html is with run {run_id}; look at it: {config.ui_command or config.ui_address}")
    shared.mention_generated(pairs)


if __name__ == "__main__":
    main()
