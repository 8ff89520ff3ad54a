"""``tgsr grid``: the paper's whole grid of (κ, ξ) for one experiment, as a table and a picture."""

from __future__ import annotations

from pathlib import Path

import click

from tgsr.cli import shared

__all__ = ["command"]


@click.command(name="grid")
@click.option("--source", help="Source database, by name or letter (H, V, N, C).")
@click.option("--target", help="Target database, by name or letter.")
@click.option("--experiment", help="The experiment instead of --source and --target: 1 to 12, or a name such as V-N.")
@shared.data
@shared.grouping
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="grid.csv",
    show_default=True,
    help="CSV to write; a picture stands beside it.",
)
@shared.kappas
@shared.xis
@click.option("--jobs", type=click.IntRange(min=1), help="Threads  [default: the cores there are]")
@click.option("--track/--no-track", default=False, show_default=True, help="Log table, picture and curves to MLflow.")
@shared.home
def command(
    source: str | None,
    target: str | None,
    experiment: str | None,
    data: Path,
    grouping: str,
    out: Path,
    kappas: str,
    xis: str,
    jobs: int | None,
    track: bool,
    home: str | None,
) -> None:
    """Score the grid of (κ, ξ) on the target's labels: what an oracle picks from, as the paper's tables do.

    Interrupted, the same command continues; its result is the same file.
    """
    from tqdm import tqdm

    from tgsr.cli.options import choose_experiment, parse_kappas, parse_xis
    from tgsr.datasets import load_pair
    from tgsr.evaluation.grid import GridPlan, write_grid
    from tgsr.reports.surface import save_surface

    chosen = choose_experiment(experiment, source, target)
    plan = GridPlan(parse_kappas(kappas), parse_xis(xis), grouping)
    pair = load_pair(chosen, data)
    with tqdm(total=len(plan.kappas) * len(plan.xis), unit="fit", desc=f"{chosen.name} {grouping}") as bar:

        def progress(cells: int, found: bool) -> None:
            if found:
                bar.initial += cells  # so that the rate counts only what this run computes
            bar.update(cells)

        table = write_grid(pair, out, plan, jobs=jobs, progress=progress)
    picture = out.with_suffix(".png")
    save_surface(table, picture, f"{chosen.name}, {grouping} grouping{', generated data' * pair.is_generated}")
    best = table.iloc[int(table["macro_f1"].to_numpy().argmax())]
    click.echo(f"{out}: {len(table)} cells; picture: {picture}")
    shared.tell_generated([pair])
    click.echo(
        f"oracle best (chosen by target labels): κ = {int(best['kappa'])}, ξ = {best['xi']:g}, "
        f"macro-F1 {best['macro_f1']:.4f}, accuracy {100 * best['accuracy']:.2f} %; "
        f"median of the grid: macro-F1 {table['macro_f1'].median():.4f}"
    )
    if track:
        from tgsr.tracking.grid_run import log_grid
        from tgsr.tracking.place import resolve_place

        run_id = log_grid(resolve_place(home), table, pair, plan, chosen.name, [out, picture], str(data.resolve()))
        click.echo(f"MLflow run: {run_id}")
