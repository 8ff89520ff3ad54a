"""``tgsr study``: search the settings of a method for a pair of databases, every trial tracked."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command()
@shared.pair_options
@shared.data
@shared.method
@click.option(
    "--sampler",
    type=click.Choice(["grid", "tpe", "random"]),
    default="grid",
    help="grid: every cell; tpe, random: between the ends of the grid (κ and log ξ; of other methods their ranges).",
)
@click.option(
    "--selection",
    type=shared.unless("auto"),
    default="auto",
    help="What ranks the trials; auto: fixed, the settings fixed beforehand (IW-SVM, TKL: class-balance). source-cv "
    "and other rules need no target labels either; oracle uses them, as the paper does.",
)
@click.option("--trials", type=shared.NATURAL, default=0, help="Trials in all; 0: the grid, or 200 sampled.")
@shared.grid_options
@shared.grouping()
@shared.solver_options
@shared.seed
@shared.run_options
@shared.home
@click.option("--status", is_flag=True, help="Show how the studies stand, and do nothing.")
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Search (κ, ξ), or another method's settings, for one pair of databases; every trial becomes an MLflow run.

    Interrupted or killed, the same command goes on where it stopped. While it runs, a second one is refused.
    """
    from tgsr.tracking.config import resolve_config

    config = resolve_config(given["home"])
    if given["status"]:
        from tgsr.study.status import status_lines

        click.echo("\n".join(status_lines(config)))
        return
    from tgsr.study.pairs import choose_pair
    from tgsr.study.running import run_study

    pair = choose_pair(given["data"], experiment, source, target)
    spec = shared.make_study_spec(pair, given)
    try:
        result = run_study(spec, pair, shared.make_options(config, given))
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise
    click.echo("\n".join(result.lines(config)))
    shared.tell_generated([pair])
