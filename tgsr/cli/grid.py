"""``tgsr grid``: a method's whole grid for one pair of databases, as a table and a picture."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command(name="grid")
@shared.pair_options
@shared.data
@shared.method
@click.option("--out", type=shared.PATH, default="grid.csv", help="CSV to write; a picture stands beside it.")
@click.option("--trials", type=shared.NATURAL, default=0, help="So many cells, spread over the grid; 0: all.")
@click.option("--selection", default="oracle", help="The rule whose values the table has.")
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
    from tgsr.study.pairs import choose_pair
    from tgsr.study.running import run_study
    from tgsr.evaluation.choice import best_trial
    from tgsr.evaluation.remarks import show_settings
    from tgsr.reports._settings import save_surface
    from tgsr.tracking.config import resolve_config

    out = given["out"]
    pair = choose_pair(given["data"], experiment, source, target)
    spec = shared.make_study_spec(pair, given)
    table = run_study(spec, pair, shared.make_options(resolve_config(), given, out=out, matrices="none"), sink="csv")
    click.echo(f"{out}: {len(table)} cells")
    if save_surface(table, out.with_suffix(".png"), f"{spec.title}{', generated data' * pair.is_generated}"):
        click.echo(f"picture: {out.with_suffix('.png')}")
    shared.tell_generated([pair])
    best = best_trial(table)
    by = "oracle best (chosen by target labels)" if spec.selection == "oracle" else f"best by {spec.selection}"
    scores = ""
    if "macro_f1" in table:
        scores = (
            f"; macro-F1 {best.row['macro_f1']:.4f}, accuracy {100 * best.row['accuracy']:.2f} %; "
            f"median of the grid: macro-F1 {table['macro_f1'].median():.4f}"
        )
    click.echo(f"{by}: {show_settings(best.settings)}{scores}")
