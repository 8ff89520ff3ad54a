"""Draws the pictures of the reports' page anew: ``python -m studies.bench.screenshots --home DIR``.

The figures are those of the newest study in that home, which must be of generated data, such as `tgsr main` makes. The
pictures of MLflow's UI need a browser: ``tests/reports/test_ui_browser.py`` makes them where one is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tgsr.reports import save_figure, study_figures
from tgsr.tracking.client import open_client
from tgsr.tracking.config import resolve_config
from tgsr.tracking.records import list_studies

_ROOT = Path(__file__).parents[2]
_IMAGES = _ROOT / "tgsr" / "reports" / "images"
_SHOWN = ("fig-2-regions", "fig-3-over-kappa", "fig-4-over-xi", "surface")


@click.command()
@click.option("--home", required=True, type=click.Path(exists=True, path_type=Path), help="Home of a study.")
@click.option("--out", type=click.Path(path_type=Path), default=_IMAGES, show_default=True, help="Folder to write.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Picture MLflow's UI, too.")
def main(home: Path, out: Path, browser: bool) -> None:
    """Draw the pictures of the reports' page anew."""
    record = next(iter(list_studies(open_client(resolve_config(home).tracking_uri))), None)
    if record is None or not record.is_generated:
        raise SystemExit(f"{home}: its newest study must be of generated data; make one with tgsr main")
    for figure in study_figures(record):
        if figure.name in _SHOWN:
            save_figure(figure.figure, out / f"{figure.name}.png", dpi=110)
            click.echo(f"{figure.name}.png")
    if browser:
        with tempfile.TemporaryDirectory() as folder:
            test = _ROOT / "tests" / "reports" / "test_ui_browser.py"
            environment = os.environ | {"TGSR_SCREENSHOTS": str(out), "TMPDIR": folder}
            subprocess.run([sys.executable, "-m", "pytest", str(test), "-n0", "-q", "-rs"], env=environment, check=True)


if __name__ == "__main__":
    main()
