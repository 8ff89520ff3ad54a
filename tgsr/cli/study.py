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
    show_default=True,
    help="grid: every cell; tpe, random: between the ends of the grid (κ and log ξ; of other methods their ranges).",
)
@click.option(
    "--selection",
    default="auto",
    show_default=True,
    help="What ranks the trials; auto: fixed, the settings fixed beforehand. source-cv and other rules need no target "
    "labels either; oracle uses them, as the paper does.",
)
@click.option(
    "--trials", type=shared.NATURAL, default=0, show_default=True, help="Trials in all; 0: the grid, or 200 sampled."
)
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
        from studies.status import status_lines

        click.echo("\n".join(status_lines(config)))
        return
    from studies.pairs import choose_pair
    from studies.spec import make_spec
    from studies.study import run_study
    from tgsr.evaluation.selection import DEFAULT_RULE

    pair = choose_pair(given["data"], experiment, source, target)
    fixed, axes = shared.fixed_of(given)
    spec = make_spec(
        pair,
        given["method"],
        selection=DEFAULT_RULE if given["selection"] == "auto" else given["selection"],
        grouping=given["grouping"],
        fixed=fixed,
        axes=axes,
        sampler=given["sampler"],
        seed=given["seed"],
    )
    try:
        result = run_study(spec, pair, shared.make_options(config, given))
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise
    click.echo("\n".join(result.lines(config)))
    shared.tell_generated([pair])
