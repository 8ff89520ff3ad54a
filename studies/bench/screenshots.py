"""Draws the pictures of the reports' page anew, from generated numbers: ``python -m studies.bench.screenshots``.

The pictures of MLflow's UI need a browser: ``tests/reports/test_ui_browser.py`` makes them where one is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
from tgsr.reports._records import StudyRecord

from tgsr.estimators.methods import TaskShape, expand_grid, get_method
from tgsr.reports._figures import study_figures
from tgsr.reports.style import save_figure

__all__: list[str] = []

_IMAGES = Path(__file__).parents[2] / "tgsr" / "reports" / "images"
_SHOWN = ("fig-2-regions", "fig-3-over-kappa", "fig-4-over-xi", "surface")


def generated_record() -> StudyRecord:
    """A study of generated numbers on the whole grid, with the shape of a real one and no meaning."""
    rng = np.random.default_rng(0)
    grid = get_method("TGSR").param_grid(TaskShape(71, 71, 85))
    table = pd.DataFrame(expand_grid(grid))
    ridge = np.exp(-(((table["kappa"] - 14) / 22) ** 2) - ((np.log10(table["xi"]) - 1) / 2.2) ** 2)
    score = 0.42 + 0.26 * ridge + rng.normal(0, 0.012, len(table))
    table["macro_f1"], table["accuracy"] = score, np.round((score + 0.03) * 71) / 71
    table["selection_value"], table["trial"] = score, np.arange(len(table))
    kept = rng.permutation(85) < int(table.loc[score.idxmax(), "kappa"])
    return StudyRecord(
        title="V-N TGSR grid oracle region",
        pair="V-N",
        method="TGSR",
        selection="oracle",
        sampler="grid",
        table=table,
        fixed={"groups": "region"},
        group_norms=np.where(kept, rng.uniform(0.3, 1.0, 85), 0.0),
        n_whole=len(table),
        n_groups=85,
        generated=True,
    )


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=_IMAGES, show_default=True, help="Folder to write.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Picture MLflow's UI, too.")
def main(out: Path, browser: bool) -> None:
    """Draw the pictures of the reports' page anew."""
    for figure in study_figures(generated_record()):
        if figure.name in _SHOWN:
            save_figure(figure.figure, out / f"{figure.name}.png", dpi=110)
            click.echo(f"{figure.name}.png")
    if browser:
        with tempfile.TemporaryDirectory() as folder:
            test = Path(__file__).parents[2] / "tests" / "reports" / "test_ui_browser.py"
            environment = os.environ | {"TGSR_SCREENSHOTS": str(out), "TMPDIR": folder}
            subprocess.run([sys.executable, "-m", "pytest", str(test), "-n0", "-q", "-rs"], env=environment, check=True)


if __name__ == "__main__":
    main()
