"""``tgsr compare``: the ten methods in one table beside the published numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import shared

if TYPE_CHECKING:
    from tgsr.tracking.comparison_run import ComparisonRun

__all__ = ["command"]


@click.command(name="compare")
@click.option("--source", help="Source database, by name or letter (H, V, N, C).")
@click.option("--target", help="Target database, by name or letter.")
@click.option(
    "--experiment", help="Instead of --source and --target: 1 to 12, a name such as V-N, or 'all' whose data are there."
)
@shared.data
@click.option("--methods", default="all", show_default=True, help="Methods, with commas, or 'all' ten.")
@click.option(
    "--selection",
    type=click.Choice(["both", "oracle", "default"]),
    default="both",
    show_default=True,
    help="oracle: best target macro-F1 over the method's grid, chosen with the target's labels as in the paper; "
    "default: settings fixed beforehand.",
)
@click.option(
    "--grouping",
    type=click.Choice(["released", "region"]),
    default="released",
    show_default=True,
    help="TGSR's groups: those of the released records, or the facial regions.",
)
@click.option(
    "--tsrg-grid",
    type=click.Choice(["full", "thin"]),
    default="full",
    show_default=True,
    help="TSRG's oracle over all 259 pairs (minutes), or over 63 of them.",
)
@click.option("--out", type=click.Path(path_type=Path), default="compare.csv", show_default=True, help="CSV to write.")
@click.option("--jobs", type=click.IntRange(min=1), help="Threads  [default: the cores there are]")
@click.option("--track/--no-track", default=False, show_default=True, help="Log a run for each result to MLflow.")
@shared.home
def command(
    source: str | None,
    target: str | None,
    experiment: str | None,
    data: Path,
    methods: str,
    selection: str,
    grouping: str,
    tsrg_grid: str,
    out: Path,
    jobs: int | None,
    track: bool,
    home: str | None,
) -> None:
    """Run the methods under one protocol and write a row for each experiment, method and selection.

    Columns: experiment, method, selection (oracle or default), macro_f1, accuracy, params (JSON), paper_macro_f1,
    paper_accuracy, generated. All scores are fractions in 0…1, also paper_accuracy, which the paper prints in per
    cent; the published numbers are oracles. Interrupted, the same command continues with the next method.
    """
    from tqdm import tqdm

    from tgsr.cli.options import choose_experiment
    from tgsr.datasets import find_damaged, load_pair
    from tgsr.estimators.spaces import METHODS
    from tgsr.evaluation.comparison import SELECTIONS, ComparisonOptions, available_pairs, write_comparison

    names = list(METHODS) if methods.strip().lower() == "all" else [name for name in methods.split(",") if name.strip()]
    if experiment is not None and experiment.strip().lower() == "all" and not (source or target):
        pairs, missing = available_pairs(data)
        for absent, databases in missing.items():
            click.echo(f"left out: {absent.name} (no {' and '.join(databases)} in {data})", err=True)
        for reason in find_damaged(data).values():
            click.echo(f"damaged: {reason}", err=True)
    else:
        chosen = choose_experiment(experiment, source, target)
        pairs = {chosen: load_pair(chosen, data)}
    bars: dict[str, tqdm[Any]] = {}  # one bar a run of a method: their candidates differ in cost

    def progress(label: str, step: int, total: int) -> None:
        if label not in bars:
            bars[label] = tqdm(total=total, desc=label, unit="fit")
        bar = bars[label]
        bar.update(step)
        if bar.n >= total:
            bar.close()

    tracked: AbstractContextManager[ComparisonRun | None] = nullcontext()
    if track:
        from tgsr.tracking.comparison_run import open_comparison
        from tgsr.tracking.place import resolve_place

        tracked = open_comparison(resolve_place(home), pairs, grouping, str(data.resolve()))
    with tracked as run:
        table = write_comparison(
            pairs,
            out,
            names,
            SELECTIONS if selection == "both" else (selection,),
            options=ComparisonOptions(grouping, thin_tsrg=tsrg_grid == "thin", jobs=jobs),
            progress=progress,
            on_result=None if run is None else run.log,
        )
    if run is not None:
        click.echo(f"MLflow run: {run.run_id}")
    columns = ["experiment", "method", "selection", "macro_f1", "accuracy", "paper_macro_f1", "paper_accuracy"]
    click.echo(table[columns].to_string(index=False, float_format="{:.4f}".format))
    click.echo(f"{out}: {len(table)} rows; 'oracle' rows were chosen with the target's labels")
    shared.tell_generated(pairs.values())
