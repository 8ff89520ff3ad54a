"""``tgsr register``: the best trial of a study becomes the champion of its experiment."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.option("--study", default="latest", show_default=True, help="The study's MLflow run id; latest: the newest.")
@click.option("--experiment", default="any", show_default=True, help="With latest: only studies of this experiment.")
@click.option("--method", default="TGSR", show_default=True, help="With latest: only studies of this method.")
@click.option("--trial", default="best", show_default=True, help="Run id of the trial; best: the study's best.")
@click.option(
    "--data",
    default="none",
    show_default=True,
    help="Folder with the feature files: a row of the source becomes the model's input example. Needed for another "
    "method than TGSR, which is fitted again.",
)
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(study: str, experiment: str, method: str, trial: str, data: str, home: str | None) -> None:
    """Register a trial as a version of tgsr-<source>-<target> and give it the alias champion.

    Another method than TGSR has models of its own: tgsr-<source>-<target>-<method>.
    """
    from tgsr.tracking.place import open_client, resolve_place
    from tgsr.tracking.registration import register_study

    place = resolve_place(home)
    client = open_client(place.tracking_uri, create=False)
    registered = register_study(
        client,
        study=None if study == "latest" else study,
        experiment=None if experiment == "any" else experiment,
        method=method,
        trial=None if trial == "best" else trial,
        data=None if data == "none" else data,
    )
    click.echo(f"{registered.name} version {registered.version} is the champion: {registered.uri}")
    click.echo(f"use it: tgsr predict --model {registered.uri}{place.option} CLIP   (or --features FILE)")
    click.echo(f"serve it: {place.variable}mlflow models serve -m '{registered.uri}' --env-manager local --port 5001")
