"""``tgsr trials``: the stored studies, and a study's trials as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import options as shared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


@click.command()
@click.option("--study", help="The study's run id or name.  [default: the newest]")
@shared.pair_options
@click.option("--method", help="Only studies of this method, such as TCA.")
@shared.flag("--list", "List the studies, and end.")
@click.option(
    "--choose",
    "--selection",
    help="The rule (or oracle) that ranks the trials; it fits nothing.  [default: the study's]",
)
@click.option("--top", type=click.IntRange(min=1), default=10, help="Trials to print, best first.")
@click.option("--out", type=shared.PATH, help="Write all trials to a .csv or .parquet file.")
@shared.home
def command(experiment: str | None, source: str | None, target: str | None, method: str | None, **given: Any) -> None:
    """Show what each rule chooses among the trials of a study, and the best of them; or export all."""
    from tgsr.estimators.methods import get_method
    from tgsr.evaluation.choice import METRIC, PARAM, column_of, names_of, rank_trials
    from tgsr.evaluation.metrics import METRICS
    from tgsr.files import atomic_path, check_output
    from tgsr.study import resolve_config
    from tgsr.study.loading import find_study
    from tgsr.tracking.client import open_client
    from tgsr.tracking.names import Tag
    from tgsr.tracking.records import list_studies
    from tgsr.tracking.summary import choices_table

    out = given["out"] and check_output(given["out"], ".csv", ".parquet")
    client = open_client(resolve_config(given["home"]).tracking_uri, create=False)
    method, pair = method and get_method(method).name, shared.name_pair(experiment, source, target)
    if given["list"]:
        for entry in list_studies(client, pair):
            if method in (None, entry.method):
                click.echo(f"{entry.run_id}  {entry.status:8s}  {entry.tags.get(Tag.STUDY, entry.name)}")
        return
    record = find_study(client, given["study"], pair, method)
    table, by = record.table, given["choose"] or record.default_choice
    click.echo(f"{record.name}: {len(table)} finished trials (run {record.run_id})")
    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False) if out.suffix == ".csv" else table.to_parquet(temporary, index=False)
        click.echo(f"written to {out}")
    elif len(table):
        choice = record.choose(by)
        click.echo(_text(choices_table(record).drop(columns="run_id")))
        click.echo(f"\nbest by {choice.by}:")
        params = [PARAM + name for name in names_of(table, PARAM)]
        scores = [METRIC + key for key in METRICS if key != "fit_seconds" and METRIC + key in table]
        columns = dict.fromkeys(["number", *params, column_of(by), *scores, "run_id"])
        click.echo(_text(rank_trials(table, by).head(given["top"])[list(columns)]))


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.4g}")
