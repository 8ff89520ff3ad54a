"""``tgsr grid``: a method's whole grid for one pair of databases, as a table and a picture."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command(name="grid")
@shared.pair_options
@shared.data
@shared.method
@click.option("--out", type=shared.PATH, default="grid.csv", help="CSV to write; a picture stands beside it.")
@click.option("--trials", type=shared.NATURAL, default=0, help="So many cells, spread over the grid; 0: all.")
@click.option("--rules", default="", help="Rules whose values the table has besides the scores, with commas.")
@shared.grid_options
@shared.grouping()
@shared.solver_options
@shared.seed
@shared.jobs
@shared.scheduler
@shared.quiet
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Score a grid on the target's labels, without MLflow: what an oracle picks from, as the paper's tables do.

    Interrupted, the same command continues; its result is the same file.
    """
    from tgsr.evaluation.choice import METRIC, ORACLE, SCORE, choose
    from tgsr.evaluation.metrics import METRICS
    from tgsr.reports import save_surface
    from tgsr.study import grid_table
    from tgsr.study.pairs import choose_pair
    from tgsr.trials.trial import show_settings

    out, rules = given["out"], shared.parse_names(given["rules"])
    pair = choose_pair(given["data"], experiment, source, target)
    spec = shared.make_study_spec(pair, given)
    named = {"n_trials": given["trials"] or None, "jobs": given["jobs"] or None, "scheduler": given["scheduler"]}
    table = grid_table(spec, pair, out, rules=rules, progress=not given["quiet"], **named)
    click.echo(f"{out}: {len(table)} cells")
    shared.mention_generated([pair])
    if METRIC + SCORE not in table:
        click.echo("the target has no labels: the table has predictions, and no scores")
        return
    if save_surface(table, out.with_suffix(".png"), f"{spec.title}{', generated data' * pair.is_generated}"):
        click.echo(f"picture: {out.with_suffix('.png')}")
    best, median = choose(table, ORACLE), METRICS[SCORE].show(table[METRIC + SCORE].median())
    scores = ", ".join(METRICS[key].describe(best.metrics[key]) for key in (SCORE, "accuracy"))
    click.echo(
        f"oracle (chosen by target labels): {show_settings(best.settings)}; {scores}; median of the grid {median}"
    )
