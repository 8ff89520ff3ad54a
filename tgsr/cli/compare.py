"""``tgsr compare``: methods side by side, beside the published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command(name="compare")
@shared.pair_options
@click.option(
    "--pairs",
    type=click.Choice(["one", "paper", "all", "leave-one-out"]),
    default="one",
    show_default=True,
    help="paper: those of the twelve whose databases are there (as --experiment all); all: every "
    "pair of the folder; leave-one-out: each database the target of all others.",
)
@shared.data
@click.option(
    "--methods",
    default="all",
    show_default=True,
    help="Methods, with commas, or 'all' ten; one of your own is package.module:Class.",
)
@click.option(
    "--selection",
    default="oracle,class-balance,fixed",
    show_default=True,
    help="With commas: oracle (best target macro-F1, as published), fixed (settings fixed beforehand), or a rule "
    "without target labels, such as source-cv.",
)
@shared.grid_options
@shared.grouping("released")
@click.option(
    "--limit", "limits", multiple=True, metavar="METHOD=N", help="So many settings of a method's grid, spread over it."
)
@shared.seed
@shared.run_options
@click.option("--out", type=click.Path(path_type=Path), default="compare.csv", show_default=True, help="CSV to write.")
@shared.home
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Put methods side by side: a row for each pair of databases, method and selection, from the methods' studies.

    All scores are fractions in 0…1, also paper_accuracy, which the paper prints in per cent; the published numbers are
    oracles. Studies that are there are taken as they are; interrupted, the same command continues.
    """
    from tgsr.study.comparing import ComparePlan, comparison_table
    from tgsr.study.pairs import choose_pairs
    from tgsr.cli._options import parse_limits, parse_names
    from tgsr.estimators.methods import METHODS
    from tgsr.files import atomic_path, check_output
    from tgsr.tracking.config import resolve_config

    out = check_output(given["out"], ".csv")
    fixed, axes = shared.fixed_of(given)
    plan = ComparePlan(
        methods=list(METHODS) if given["methods"] == "all" else parse_names(given["methods"]),
        selections=parse_names(given["selection"]),
        grouping=given["grouping"],
        fixed=fixed,
        axes=axes,
        limits=parse_limits(given["limits"]),
        seed=given["seed"],
    )
    pairs = choose_pairs(given["data"], experiment, source, target, given["pairs"])
    table = comparison_table(pairs, plan, shared.make_options(resolve_config(given["home"]), given))
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)
    columns = ["experiment", "method", "selection", "macro_f1", "accuracy", "paper_macro_f1", "paper_accuracy"]
    click.echo(table[columns].to_string(index=False, float_format="{:.4f}".format))
    click.echo(f"{out}: {len(table)} rows; 'oracle' rows were chosen with the target's labels")
    shared.tell_generated(pairs)
