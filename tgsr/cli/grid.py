"""``tgsr grid``: a method's whole grid for one pair of databases, as a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command(name="grid")
@shared.pair_options
@shared.data
@shared.method
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="grid.csv",
    show_default=True,
    help="CSV to write; a picture stands beside it.",
)
@click.option(
    "--trials", type=shared.NATURAL, default=0, show_default=True, help="So many cells, spread over the grid; 0: all."
)
@click.option("--selection", default="oracle", show_default=True, help="The rule whose values the table has.")
@shared.grid_options
@shared.grouping()
@shared.solver_options
@shared.seed
@click.option("--jobs", type=shared.NATURAL, default=0, show_default=True, help="Threads; 0: one a core.")
@click.option(
    "--scheduler", default="none", show_default=True, help="A Dask scheduler, tcp://host:8786, instead of threads."
)
@click.option("--quiet", type=bool, default=False, is_flag=False, flag_value=True, help="No progress bar.")
def command(experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Score a grid on the target's labels, without MLflow: what an oracle picks from, as the paper's tables do.

    Interrupted, the same command continues; its result is the same file.
    """
    from studies.options import StudyOptions
    from studies.pairs import choose_pair
    from studies.spec import make_spec
    from studies.study import run_study
    from tgsr.evaluation.best import best_trial
    from tgsr.reports._surface import save_surface
    from tgsr.tracking.config import resolve_config

    pair = choose_pair(given["data"], experiment, source, target)
    fixed, axes = shared.fixed_of(given)
    spec = make_spec(
        pair,
        given["method"],
        selection=given["selection"],
        grouping=given["grouping"],
        fixed=fixed,
        axes=axes,
        seed=given["seed"],
    )
    options = StudyOptions(
        resolve_config(),
        str(given["data"]),
        out=given["out"],
        n_trials=given["trials"] or None,
        jobs=given["jobs"] or None,
        scheduler=None if given["scheduler"] == "none" else given["scheduler"],
        matrices="none",
        progress=not given["quiet"],
    )
    table = run_study(spec, pair, options, sink="csv")
    click.echo(f"{given['out']}: {len(table)} cells")
    if save_surface(table, given["out"].with_suffix(".png"), f"{spec.title}{', generated data' * pair.is_generated}"):
        click.echo(f"picture: {given['out'].with_suffix('.png')}")
    shared.tell_generated([pair])
    best = best_trial(table)
    chosen = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in best.settings.items()
    )
    if "macro_f1" not in table:
        click.echo(f"best by {spec.selection}: {chosen}")
        return
    by = "oracle best (chosen by target labels)" if spec.selection == "oracle" else f"best by {spec.selection}"
    click.echo(
        f"{by}: {chosen}; macro-F1 {best.row['macro_f1']:.4f}, accuracy {100 * best.row['accuracy']:.2f} %; "
        f"median of the grid: macro-F1 {table['macro_f1'].median():.4f}"
    )
