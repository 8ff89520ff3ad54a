"""``tgsr study``: search the settings of a method for a pair of databases, every trial tracked."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command()
@shared.pair_options
@shared.data
@shared.method
@click.option(
    "--sampler",
    type=click.Choice(["grid", "fixed", "tpe", "random"]),
    default="grid",
    help="grid: every cell; fixed: the one trial whose settings were fixed beforehand; tpe, random: between the ends "
    "of the grid (κ and log ξ; of other methods their ranges).",
)
@click.option(
    "--objective",
    help="What tpe and random maximise: a rule, or oracle (the score by the target's labels).  [default: circular]",
)
@click.option(
    "--rules",
    help="Further rules whose values every trial gets, with commas: source-cv, iw-cv, dev, agreement, entropy, or your "
    "own, package.module:NAME. A finished study gets them, too: only what a rule needs is fitted.",
)
@click.option(
    "--choose",
    "--selection",
    help="The rule that summary, page and champion go by; it fits nothing. oracle: by the target's labels, as the "
    "paper does.  [default: the study's last choice, at first circular]",
)
@click.option("--trials", type=shared.NATURAL, default=0, help="Trials in all; 0: the grid, or 200 sampled.")
@shared.grid_options
@shared.grouping()
@shared.solver_options
@shared.seed
@click.option(
    "--matrices",
    type=click.Choice(["all", "none"]),
    default="all",
    help="Whether regression matrices are kept; without them a model is fitted again when it is registered.",
)
@shared.run_options
@shared.home
@shared.flag("--status", "Show how the studies stand, and do nothing.")
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Search (κ, ξ), or another method's settings, for one pair of databases; every trial becomes an MLflow run.

    Interrupted or killed, the same command goes on where it stopped. While it runs, a second one is refused.
    """
    from tgsr.study.status import result_lines, status_lines
    from tgsr.tracking.config import resolve_config

    config = resolve_config(given["home"])
    if given["status"]:
        click.echo("\n".join(status_lines(config)))
        return
    from tgsr.study.pairs import choose_pair
    from tgsr.study.running import run_studies

    pair = choose_pair(given["data"], experiment, source, target)
    spec, options = shared.make_study_spec(pair, given), shared.make_options(config, given)
    (record,) = run_studies([(spec, pair, options)])
    click.echo("\n".join(result_lines(record, options.choose or record.default_choice)))
    shared.mention_generated([pair])
