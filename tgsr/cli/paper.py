"""``tgsr paper``: all pairs of databases in one go."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command()
@shared.data
@click.option(
    "--pairs",
    type=click.Choice(["paper", "all", "leave-one-out"]),
    default="paper",
    show_default=True,
    help="paper: those of the twelve experiments whose databases are there; all: every "
    "pair of the folder; leave-one-out: each database the target of all others.",
)
@click.option(
    "--sampler",
    type=click.Choice(["grid", "tpe", "random"]),
    default="grid",
    show_default=True,
    help="Of TGSR's studies.",
)
@click.option("--selection", default="auto", show_default=True, help="Rule of TGSR's studies; oracle as in the paper.")
@click.option(
    "--trials", type=shared.NATURAL, default=0, show_default=True, help="Trials each; 0: the grid, or 200 sampled."
)
@shared.grid_options
@shared.grouping()
@click.option("--methods", default="all", show_default=True, help="Methods to compare, with commas; all; or none.")
@click.option(
    "--compare-by",
    default="oracle,class-balance,fixed",
    show_default=True,
    help="Selections of the comparison, as in tgsr compare.",
)
@click.option(
    "--limit", "limits", multiple=True, metavar="METHOD=N", help="So many settings of a method's grid, spread over it."
)
@shared.seed
@shared.run_options
@shared.home
def command(**given: Any) -> None:
    """Run every pair whose databases are there: studies, models, comparison, report; one run above all.

    Interrupted or killed, the same command goes on where it stopped.
    """
    from tgsr.study.comparing import ComparePlan
    from tgsr.study.pairs import choose_pairs
    from studies.paper import run_paper
    from tgsr.cli._options import parse_limits, parse_names
    from tgsr.estimators.methods import METHODS
    from tgsr.tracking.config import resolve_config

    fixed, axes = shared.fixed_of(given)
    named = {"all": list(METHODS), "none": []}.get(given["methods"], parse_names(given["methods"]))
    compare = None
    if named:
        compare = ComparePlan(
            methods=named,
            selections=parse_names(given["compare_by"]),
            fixed=fixed,
            axes=axes,
            limits=parse_limits(given["limits"]),
            seed=given["seed"],
        )
    studied = {
        "selection": None if given["selection"] == "auto" else given["selection"],
        "fixed": fixed,
        "axes": axes,
        **{name: given[name] for name in ("sampler", "grouping", "seed")},
    }
    pairs = choose_pairs(given["data"], None, None, None, given["pairs"])
    config = resolve_config(given["home"])
    try:
        result = run_paper(pairs, shared.make_options(config, given), compare, **studied)
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise
    for study in result.studies:
        click.echo("\n".join(study.lines(config)[:3]))
    click.echo(f"report.html is with run {result.run_id}; look at it: {config.ui_hint}")
    shared.tell_generated(pairs)
