"""``tgsr main``: the whole way on generated clips, from nothing to predictions."""

from __future__ import annotations

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command()
@click.option("--experiment", default="V-N", help="1 to 12, or a name such as V-N.")
@click.option("--seed", type=int, default=0, help="Of the generated clips and of the study.")
@shared.home
def command(experiment: str, seed: int, home: str | None) -> None:
    """Generated clips → features → a short study → a registered model → predictions. Needs no database."""
    from tgsr.study import resolve_config
    from tgsr.study.walkthrough import walk_through

    click.echo("\n".join(walk_through(resolve_config(home), experiment, seed)))
