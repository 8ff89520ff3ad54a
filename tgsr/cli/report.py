"""``tgsr report``: pages, figures and tables from stored results."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command(name="report")
@click.option("--out", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder to write.")
@click.option("--run", "runs", multiple=True, help="Run id of a study; may be repeated  [default: one of each kind]")
@click.option("--experiment", default="any", show_default=True, help="Only this pair: 1 to 12, or a name such as V-N.")
@click.option(
    "--grid",
    "grids",
    multiple=True,
    type=click.Path(path_type=Path),
    help="CSV of `tgsr grid`; may be repeated. With --grid or --compare nothing is read from MLflow.",
)
@click.option("--compare", "comparison", type=click.Path(path_type=Path), help="CSV of `tgsr compare`.")
@click.option(
    "--data", default="none", show_default=True, help="Folder with the feature files, to add what is not stored."
)
@click.option(
    "--face", default="none", show_default=True, help="Clip or image to draw the regions on: its first frame."
)
@click.option("--crop/--no-crop", default=False, show_default=True, help="Crop that frame to the face found in it.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder with mlflow.db  [default: TGSR_HOME, or here]")
@click.option("--log/--no-log", default=True, show_default=True, help="Put the pages onto their MLflow runs.")
def command(
    out: Path,
    runs: tuple[str, ...],
    experiment: str,
    grids: tuple[Path, ...],
    comparison: Path | None,
    data: str,
    face: str,
    crop: bool,
    home: Path | None,
    log: bool,
) -> None:
    """Write a page for each study and one for all of them, with figures and tables fit for a paper.

    Everything comes from stored results: MLflow's, or the CSV files of `tgsr grid` and `tgsr compare`. Each page is one
    file that needs no other.
    """
    from tgsr.protocols import pair_name, parse_pair
    from tgsr.reports.building import ReportRequest, report_files, report_runs
    from tgsr.tracking.config import resolve_config

    request = ReportRequest(
        out=out,
        data=None if data == "none" else Path(data),
        face=None if face == "none" else Path(face),
        crop=crop,
        pair=None if experiment == "any" else pair_name(*parse_pair(experiment)),
    )
    if grids or comparison:
        click.echo(f"all studies: {report_files(request, grids, comparison)}")
        return
    page, run_id = report_runs(request, runs, resolve_config(home), log=log)
    click.echo(f"all studies: {page}" + (f"\nMLflow run: {run_id}" if run_id else ""))
