"""``tgsr main``: the whole way on generated clips, from nothing to predictions."""

from __future__ import annotations

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command()
@click.option("--experiment", default="V-N", help="1 to 12, or a name such as V-N.")
@click.option("--seed", type=int, default=0, help="Of the generated clips and of the study.")
@shared.home
def command(experiment: str, seed: int, home: str | None) -> None:
    """Generated clips → features → a short study → a registered model → predictions. Needs no database."""
    from tgsr.study.walkthrough import walk_through
    from tgsr.tracking.config import resolve_config

    config = resolve_config(home)
    done = walk_through(config, experiment, seed)
    table = done.predictions.assign(clip=done.predictions["clip"].map(lambda path: "/".join(path.split("/")[-3:])))
    shown = table.drop(columns=[name for name in table if name == "regions"])
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    right = int((table["true"] == table["label"]).sum())
    click.echo(f"{right} of {len(table)} generated clips are labelled as they were generated")
    click.echo(f"salient regions over the first clip: {done.overlay}")
    click.echo("\n".join(done.study.lines(config)))
    click.echo(f"predict:    tgsr predict --model {done.model.uri}{config.option} CLIP")
