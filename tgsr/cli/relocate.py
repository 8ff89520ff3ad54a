"""``tgsr relocate``: a home folder that was copied or moved learns where it is."""

from __future__ import annotations

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command()
@shared.home
def command(home: str | None) -> None:
    """Let the database of a home folder that was copied or moved name the artifacts beside it.

    MLflow stores absolute paths. Nothing is copied, and the place that they named before is not touched.
    """
    from tgsr.study import resolve_config
    from tgsr.tracking.relocating import relocate

    config = resolve_config(home)
    count = relocate(config)
    click.echo(f"{config.home}: {count} experiments now keep their artifacts in {config.artifact_root}")
