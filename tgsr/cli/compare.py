"""``tgsr compare``: methods side by side, beside the published numbers."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command(name="compare")
@shared.pair_options
@shared.pairs("one", default="one")
@shared.data
@click.option(
    "--methods", default="all", help="Methods, with commas, or 'all' ten; one of your own is package.module:Class."
)
@click.option(
    "--choose",
    "--selection",
    "choices",
    default="oracle,circular,fixed",
    help="Rows a method, with commas: oracle (best target macro-F1, as published), a rule without target labels, "
    "consensus (the best twentieth averaged), fixed (settings fixed beforehand). Each grid is fitted once.",
)
@shared.grid_options
@shared.grouping("released")
@shared.limits
@shared.seed
@shared.run_options
@click.option("--out", type=shared.PATH, default="compare.csv", help="CSV to write.")
@shared.home
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Put methods side by side: a row for each pair of databases, method and choice, from the methods' studies.

    All scores are fractions in 0…1, also paper_accuracy, which the paper prints in per cent; the published numbers are
    oracles. Studies that are there are taken as they are; interrupted, the same command continues.
    """
    from tgsr.evaluation.remarks import REMEDY
    from tgsr.files import check_output, write_text
    from tgsr.study import compare_methods, resolve_config
    from tgsr.study.pairs import choose_pairs

    out, plan = check_output(given["out"], ".csv"), shared.make_plan(given, given["grouping"])
    pairs = choose_pairs(given["data"], experiment, source, target, given["pairs"])
    table = compare_methods(pairs, plan, shared.make_options(resolve_config(given["home"]), given))
    write_text(out, table.to_csv(index=False))
    columns = ["experiment", "method", "choice", "macro_f1", "accuracy", "paper_macro_f1", "paper_accuracy"]
    columns += ["partial", "remark"]
    shown = table[[name for name in columns if name in table]].dropna(axis=1, how="all")
    click.echo(shown.to_string(index=False, float_format="{:.4f}".format, na_rep="–"))
    if "remark" in table and table["remark"].str.contains("did not converge").any():
        click.echo(f"for what did not converge: {REMEDY}")
    click.echo(f"{out}: {len(table)} rows; 'oracle' rows were chosen with the target's labels")
    shared.mention_generated(pairs)
