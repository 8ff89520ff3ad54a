"""``tgsr trials``: the stored studies, and a study's trials as a table."""

from __future__ import annotations

from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command()
@click.option(
    "--study", type=shared.unless("latest"), default="latest", help="The study's run id or name; latest: the newest."
)
@click.option("--experiment", help="Only studies of this pair, such as V-N.")
@click.option("--method", help="Only studies of this method, such as TCA.")
@click.option("--selection", help="Only studies that chose by this rule, such as oracle.")
@click.option("--list", "listing", is_flag=True, help="List the studies, and end.")
@click.option("--top", type=click.IntRange(min=1), default=10, help="Trials to print, best first.")
@click.option("--out", type=shared.PATH, help="Write all trials to a .csv or .parquet file.")
@shared.home
def command(experiment: str | None, method: str | None, selection: str | None, listing: bool, **given: Any) -> None:
    """Show the best trials of a study, or export all of them."""
    from tgsr.errors import MissingDataError
    from tgsr.estimators.methods import get_method
    from tgsr.evaluation.choice import rank_trials, setting_columns
    from tgsr.evaluation.remarks import choice_remarks
    from tgsr.files import atomic_path, check_output
    from tgsr.protocols import pair_name, parse_pair
    from tgsr.tracking.config import open_client, resolve_config
    from tgsr.tracking.reading import list_studies, read_trials

    out, study = given["out"] and check_output(given["out"], ".csv", ".parquet"), given["study"]
    client = open_client(resolve_config(given["home"]).tracking_uri, create=False)
    wanted = None if method is None else get_method(method).name
    studies = [
        entry
        for entry in list_studies(client, experiment and pair_name(*parse_pair(experiment)))
        if wanted in (None, entry.method) and selection in (None, entry.selection)
    ]
    if listing:
        for entry in studies:
            click.echo(f"{entry.run_id}  {entry.status:8s}  {entry.name}")
        return
    found = [entry for entry in studies if study in (None, entry.run_id, entry.name)]
    if not found:
        raise MissingDataError("no such study is stored there; `tgsr trials --list` shows them, --home names the place")
    chosen = found[0]
    table = read_trials(client, chosen.run_id)
    click.echo(f"{chosen.name}: {len(table)} finished trials (run {chosen.run_id})")
    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False) if out.suffix == ".csv" else table.to_parquet(temporary, index=False)
        click.echo(f"written to {out}")
    elif len(table):
        scores = ["selection_value", "macro_f1", "accuracy", "regions_kept", "run_id"]
        columns = ["trial", *setting_columns(table), *(name for name in scores if name in table)]
        shown = rank_trials(table).head(given["top"])[columns]
        click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        for remark in choice_remarks(table, selection=chosen.selection, sampler=chosen.sampler):
            click.echo(remark)
