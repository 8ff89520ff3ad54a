"""``tgsr report``: pages, figures and tables of the stored studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tgsr.cli import options as shared

__all__ = ["command"]


@click.command(name="report")
@click.option("--out", type=shared.PATH, default="report", help="Folder to write.")
@click.option("--run", "runs", multiple=True, help="Run id of a study; may be repeated.  [default: one of each kind]")
@shared.pair_options
@click.option("--choose", help="The rule (or oracle) that pages go by; it fits nothing.  [default: each study's own]")
@click.option("--face", type=shared.PATH, help="Clip or image to draw the regions on: its first frame.")
@shared.flag("--crop", "Crop that frame to the face found in it.")
@shared.home
@shared.flag("--no-log", "Do not put the pages onto their MLflow runs.")
def command(
    out: Path,
    runs: tuple[str, ...],
    experiment: str | None,
    source: str | None,
    target: str | None,
    choose: str | None,
    face: Path | None,
    **given: Any,
) -> None:
    """Write a page for each study and one for all of them, with figures and tables fit for a paper.

    Everything comes from the studies in MLflow. Each page is one file that needs no other.
    """
    from tgsr.reports import read_face, report_studies
    from tgsr.study import resolve_config

    pair = shared.name_pair(experiment, source, target)
    frame = None if face is None else read_face(face, crop=given["crop"])
    config = resolve_config(given["home"])
    page = report_studies(config, out, runs=runs, pair=pair, by=choose, frame=frame, log=not given["no_log"])
    click.echo(f"all studies: {page}")
