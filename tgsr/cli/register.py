"""``tgsr register``: a study's consensus, or one of its trials, becomes a version of its pair's model."""

from __future__ import annotations

import shlex
from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command()
@click.option("--study", help="The study's MLflow run id.  [default: the newest]")
@shared.pair_options
@click.option("--method", help="Only studies of this method, such as TCA.  [default: the study's, else TGSR]")
@click.option(
    "--trial",
    help="best: the single best trial; or a trial's run id.  [default: the average of the best twentieth, for a linear "
    "method with groups such as TGSR, else the best]",
)
@click.option("--by", help="The rule that chooses, or oracle.  [default: the study's own choice]")
@click.option("--data", help="Folder with the databases.  [default: where the study read them]")
@click.option("--alias", help="Name under which the version is found.  [default: champion; by oracle: oracle]")
@shared.flag("--allow-oracle", "Let what the target's labels chose replace what was chosen without them.")
@shared.trust
@shared.home
def command(home: str | None, experiment: str | None, source: str | None, target: str | None, **given: Any) -> None:
    """Register a study's consensus, or a trial, as a version of tgsr-<source>-<target>, the champion by default.

    Another method than TGSR has models of its own: tgsr-<source>-<target>-<method>.
    """
    from tgsr.models import register
    from tgsr.models.registered import TRUST
    from tgsr.tracking.client import open_client
    from tgsr.tracking.config import resolve_config

    config, pair = resolve_config(home), shared.name_pair(experiment, source, target)
    client = open_client(config.tracking_uri, create=False)
    made = register(client, experiment=pair, trusted=given.pop("trust"), **given)
    click.echo(f"{made.name} version {made.version} is the {made.alias}: {made.uri}")
    click.echo(f"it is {made.described}")
    if made.replaced:
        click.echo(f"it replaces {made.replaced}")
    trust = "".join(f" --trust {name}" for name in made.trusted)
    click.echo(f"use it: tgsr predict --model {made.uri}{trust}{config.option} CLIP   (or --features FILE)")
    variable = f"{TRUST}={shlex.quote(' '.join(made.trusted))} " if made.trusted else ""
    click.echo(
        f"serve it: {config.variable}{variable}mlflow models serve -m '{made.uri}' --env-manager local --port 5001"
    )
