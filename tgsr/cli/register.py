"""``tgsr register``: a trial of a study becomes a version of its pair's model."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command()
@click.option(
    "--study", type=shared.unless("latest"), default="latest", help="The study's MLflow run id; latest: the newest."
)
@click.option("--experiment", type=shared.unless("any"), default="any", help="With latest: only studies of this pair.")
@click.option("--method", default="TGSR", help="With latest: only studies of this method.")
@click.option(
    "--trial", type=shared.unless("best"), default="best", help="Run id of the trial; best: the study's best."
)
@click.option(
    "--data",
    type=shared.unless("study"),
    default="study",
    help="Folder with the databases, on which the trial is fitted again; study: where the study read them.",
)
@click.option("--alias", default="champion", help="Name under which the version is found.")
@shared.flag("--allow-oracle", "Let a trial chosen by the target's labels replace one that was chosen without them.")
@shared.home
def command(home: str | None, **given: Any) -> None:
    """Register a trial as a version of tgsr-<source>-<target>, by default with the alias champion.

    Another method than TGSR has models of its own: tgsr-<source>-<target>-<method>.
    """
    from tgsr.models.registry import register_study
    from tgsr.tracking.config import open_client, resolve_config

    config = resolve_config(home)
    client = open_client(config.tracking_uri, create=False)
    registered = register_study(client, **given)
    click.echo(f"{registered.name} version {registered.version} is the {registered.alias}: {registered.uri}")
    click.echo(f"it is {registered.described}")
    if registered.replaced:
        click.echo(f"it replaces {registered.replaced}")
    click.echo(f"use it: tgsr predict --model {registered.uri}{config.option} CLIP   (or --features FILE)")
    click.echo(f"serve it: {config.variable}mlflow models serve -m '{registered.uri}' --env-manager local --port 5001")
