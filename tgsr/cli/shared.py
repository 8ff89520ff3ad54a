"""Options and a remark that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tgsr.datasets import DatabasePair

__all__ = ["NATURAL", "batch", "data", "grouping", "home", "kappas", "sampler", "tell_generated", "writer", "xis"]

NATURAL = click.IntRange(min=0)
data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default="features",
    show_default=True,
    help="Folder with the feature files.",
)
sampler = click.option(
    "--sampler",
    type=click.Choice(["grid", "tpe", "random"]),
    default="grid",
    show_default=True,
    help="grid: every cell; tpe, random: between the ends of the grid (κ and log ξ; of other methods their ranges).",
)
grouping = click.option(
    "--grouping",
    type=click.Choice(["region", "released"]),
    default="region",
    show_default=True,
    help="Facial regions, or the groups that the released records were computed with.",
)
kappas = click.option("--kappas", default="1-85", show_default=True, help="κ of the grid, such as 1-5,20.")
xis = click.option("--xis", default="paper", show_default=True, help="ξ of the grid: paper, paper/10, or numbers.")
writer = click.option(
    "--writer",
    type=click.Choice(["auto", "bulk", "client"]),
    default="auto",
    show_default=True,
    help="How trials reach MLflow: bulk (its own database), client (public, slower); auto: bulk where it can.",
)
batch = click.option(
    "--batch",
    type=NATURAL,
    default=0,
    show_default=True,
    help="Trials solved and written together; 0: auto.",
)
home = click.option(
    "--home", help="Folder of mlflow.db, mlruns and optuna.journal.  [default: TGSR_HOME, else this folder]"
)


def tell_generated(pairs: Iterable[DatabasePair]) -> None:
    """Say which of the databases were drawn and not recorded, if any."""
    names = {data.name for pair in pairs for data in (pair.source, pair.target) if data.is_generated}
    if names:
        click.echo(f"generated data: {', '.join(sorted(names))}; the paper's numbers do not apply")
