"""``tgsr report``: pages, figures and tables from stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tgsr.cli import _shared as shared

__all__ = ["command"]


@click.command(name="report")
@click.option("--out", type=shared.PATH, default="report", help="Folder to write.")
@click.option("--run", "runs", multiple=True, help="Run id of a study; may be repeated  [default: one of each kind]")
@click.option(
    "--experiment", type=shared.unless("any"), default="any", help="Only this pair: 1 to 12, or a name such as V-N."
)
@click.option(
    "--grid",
    "grids",
    multiple=True,
    type=shared.PATH,
    help="CSV of `tgsr grid`; may be repeated. With --grid or --compare nothing is read from MLflow.",
)
@click.option("--compare", "comparison", type=shared.PATH, help="CSV of `tgsr compare`.")
@click.option(
    "--data",
    type=shared.unless("none", Path),
    default="none",
    help="Folder with the feature files, to add what is not stored.",
)
@click.option(
    "--face",
    type=shared.unless("none", Path),
    default="none",
    help="Clip or image to draw the regions on: its first frame.",
)
@click.option("--crop/--no-crop", default=False, help="Crop that frame to the face found in it.")
@shared.home
@click.option("--log/--no-log", default=True, help="Put the pages onto their MLflow runs.")
def command(experiment: str | None, home: str | None, log: bool, **given: Any) -> None:
    """Write a page for each study and one for all of them, with figures and tables fit for a paper.

    Everything comes from stored results: MLflow's, or the CSV files of `tgsr grid` and `tgsr compare`. Each page is one
    file that needs no other.
    """
    from tgsr.protocols import pair_name, parse_pair
    from tgsr.reports.building import ReportRequest, report_files, report_runs
    from tgsr.tracking.config import resolve_config

    runs, grids, comparison = (given.pop(name) for name in ("runs", "grids", "comparison"))
    request = ReportRequest(pair=experiment and pair_name(*parse_pair(experiment)), **given)
    if grids or comparison:
        click.echo(f"all studies: {report_files(request, grids, comparison)}")
        return
    page, run_id = report_runs(request, runs, resolve_config(home), log=log)
    click.echo(f"all studies: {page}" + (f"\nMLflow run: {run_id}" if run_id else ""))
