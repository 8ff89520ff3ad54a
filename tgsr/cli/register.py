"""``tgsr register``: a trial of a study becomes a version of its pair's model."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.option("--study", default="latest", show_default=True, help="The study's MLflow run id; latest: the newest.")
@click.option("--experiment", default="any", show_default=True, help="With latest: only studies of this pair.")
@click.option("--method", default="TGSR", show_default=True, help="With latest: only studies of this method.")
@click.option("--trial", default="best", show_default=True, help="Run id of the trial; best: the study's best.")
@click.option(
    "--data",
    default="study",
    show_default=True,
    help="Folder with the databases, on which the trial is fitted again; study: where the study read them.",
)
@click.option("--alias", default="champion", show_default=True, help="Name under which the version is found.")
@click.option(
    "--allow-oracle",
    type=bool,
    is_flag=False,
    flag_value=True,
    default=False,
    show_default=True,
    help="Let a trial chosen by the target's labels replace one that was chosen without them.",
)
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(
    study: str, experiment: str, method: str, trial: str, data: str, alias: str, allow_oracle: bool, home: str | None
) -> None:
    """Register a trial as a version of tgsr-<source>-<target>, by default with the alias champion.

    Another method than TGSR has models of its own: tgsr-<source>-<target>-<method>.
    """
    from tgsr.tracking.config import open_client, resolve_config
    from tgsr.tracking.registry import register_study

    config = resolve_config(home)
    client = open_client(config.tracking_uri, create=False)
    registered = register_study(
        client,
        study=None if study == "latest" else study,
        experiment=None if experiment == "any" else experiment,
        method=method,
        trial=None if trial == "best" else trial,
        data=None if data in ("study", "none") else data,
        alias=alias,
        allow_oracle=allow_oracle,
    )
    click.echo(f"{registered.name} version {registered.version} is the {registered.alias}: {registered.uri}")
    click.echo(f"it is {registered.described}")
    if registered.replaced:
        click.echo(f"it replaces {registered.replaced}")
    click.echo(f"use it: tgsr predict --model {registered.uri}{config.option} CLIP   (or --features FILE)")
    click.echo(f"serve it: {config.variable}mlflow models serve -m '{registered.uri}' --env-manager local --port 5001")
