"""``tgsr trials``: the stored studies, and a study's trials as a table."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command()
@click.option("--study", default="latest", show_default=True, help="The study's run id or name; latest: the newest.")
@click.option("--experiment", help="Only studies of this pair, such as V-N.")
@click.option("--method", help="Only studies of this method, such as TCA.")
@click.option("--selection", help="Only studies that chose by this rule, such as oracle.")
@click.option("--list", "listing", is_flag=True, help="List the studies, and end.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Trials to print, best first.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all trials to a .csv or .parquet file.")
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(
    study: str,
    experiment: str | None,
    method: str | None,
    selection: str | None,
    listing: bool,
    top: int,
    out: Path | None,
    home: str | None,
) -> None:
    """Show the best trials of a study, or export all of them."""
    from tgsr.errors import MissingDataError
    from tgsr.estimators.methods import get_method
    from tgsr.evaluation.best import rank_trials, setting_columns
    from tgsr.evaluation.remarks import choice_remarks
    from tgsr.files import atomic_path, check_output
    from tgsr.protocols import pair_name, parse_pair
    from tgsr.tracking.config import open_client, resolve_config
    from tgsr.tracking.reading import list_studies, read_trials

    if out is not None:
        check_output(out, ".csv", ".parquet")
    client = open_client(resolve_config(home).tracking_uri, create=False)
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
    found = [entry for entry in studies if study in ("latest", entry.run_id, entry.name)]
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
        columns = [
            "trial",
            *setting_columns(table),
            "selection_value",
            "macro_f1",
            "accuracy",
            "regions_kept",
            "run_id",
        ]
        shown = rank_trials(table).head(top)[[name for name in columns if name in table]]
        click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        for remark in choice_remarks(table, selection=chosen.selection, sampler=chosen.sampler):
            click.echo(remark)
