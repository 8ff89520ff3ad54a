"""``tgsr trials``: the stored studies, and a study's trials as a table."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command()
@click.option("--study", default="latest", show_default=True, help="The study's MLflow run id; latest: the newest.")
@click.option("--experiment", help="Only studies of this experiment, such as V-N.")
@click.option("--list", "listing", is_flag=True, help="List the studies, and end.")
@click.option("--top", type=int, default=10, show_default=True, help="Trials to print, best first.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all trials to a .csv or .parquet file.")
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(study: str, experiment: str | None, listing: bool, top: int, out: Path | None, home: str | None) -> None:
    """Show the best trials of a study, or export all of them."""
    from tgsr.errors import MissingDataError, ParameterError
    from tgsr.estimators.spaces import get_method
    from tgsr.files import atomic_path
    from tgsr.protocols import get_experiment
    from tgsr.tracking.place import open_client, resolve_place
    from tgsr.tracking.reading import list_studies, read_study, read_trials

    client = open_client(resolve_place(home).tracking_uri, create=False)
    if listing or study == "latest":
        found = list_studies(client, experiment and get_experiment(experiment).name)
        if listing:
            for entry in found:
                click.echo(f"{entry.run_id}  {entry.status:8s}  {entry.name}")
            return
        if not found:
            raise MissingDataError("no study is stored there; run `tgsr study`, or name the place with --home")
        chosen = found[0]
    else:
        chosen = read_study(client, study)
    table = read_trials(client, chosen.run_id)
    click.echo(f"{chosen.name}: {len(table)} finished trials (run {chosen.run_id})")
    if out is not None:
        if out.suffix not in (".csv", ".parquet"):
            raise ParameterError(f"--out {out}: use a name that ends in .csv or .parquet")
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False) if out.suffix == ".csv" else table.to_parquet(temporary, index=False)
        click.echo(f"written to {out}")
    elif len(table):
        tried = [name for name in table if name in get_method(chosen.method).estimator().get_params()]
        order = ["kappa", "xi"] if chosen.method == "TGSR" else ["trial"]
        columns = ["trial", *tried, "selection_value", "macro_f1", "accuracy", "regions_kept", "run_id"]
        best = table.sort_values(["selection_value", *order], ascending=[False, *[True] * len(order)]).head(top)
        click.echo(
            best[[name for name in columns if name in best]].to_string(
                index=False, float_format=lambda value: f"{value:.4g}"
            )
        )
