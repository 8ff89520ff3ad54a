"""Draws the pictures of the reports' page anew, from generated numbers: ``python -m studies.bench.screenshots``.

The pictures of MLflow's UI need a browser: ``tests/reports/test_ui_browser.py`` makes them where one is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.reports import save_figure, study_figures
from tgsr.study import RunOptions, make_spec, resolve_config, run_study

__all__: list[str] = []

_IMAGES = Path(__file__).parents[2] / "tgsr" / "reports" / "images"
_SHOWN = ("fig-2-regions", "consensus-regions", "fig-3-over-kappa", "fig-4-over-xi", "surface")
_AXES = {"kappa": [*range(1, 13), *range(15, 86, 5)], "xi": np.geomspace(1e-3, 1e3, 13).round(4).tolist()}


def generated_database(name: str, seed: int, informative: int = 12) -> FeatureDataset:
    """Histogram-like features in which a few regions carry the class, each database shifted in its own way."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(7)
    labels = np.arange(71) % 3
    signal = common.gamma(0.5, size=(3, 85, 177))
    carrying = common.permutation(85)[:informative]
    signal[:, np.setdiff1d(np.arange(85), carrying)] = 0
    base = common.gamma(0.5, size=(85, 177)) + 0.6 * rng.gamma(0.5, size=(85, 177))
    histograms = base + 0.1 * signal[labels] + 1.5 * rng.gamma(0.3, size=(71, 85, 177))
    histograms /= histograms.sum(axis=-1, keepdims=True)
    subjects = np.array([f"s{index // 6:02d}" for index in range(71)])
    return FeatureDataset(name, histograms, labels, subjects=subjects, parameters={"origin": "generated"})


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=_IMAGES, show_default=True, help="Folder to write.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Picture MLflow's UI, too.")
def main(out: Path, browser: bool) -> None:
    """Draw the pictures of the reports' page anew."""
    pair = DatabasePair(generated_database("SMIC_VIS", 1), generated_database("SMIC_NIR", 2))
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(resolve_config(folder), "generated", page=False)
        study = run_study(make_spec(pair, axes=_AXES), pair, options)
        for figure in study_figures(study.record):
            if figure.name in _SHOWN:
                save_figure(figure.figure, out / f"{figure.name}.png", dpi=110)
                click.echo(f"{figure.name}.png")
        if browser:
            test = Path(__file__).parents[2] / "tests" / "reports" / "test_ui_browser.py"
            pictures = Path(folder) / "pictures"
            pictures.mkdir()
            environment = os.environ | {"TGSR_SCREENSHOTS": str(pictures), "TMPDIR": folder}
            subprocess.run([sys.executable, "-m", "pytest", str(test), "-n0", "-q", "-rs"], env=environment, check=True)
            for picture in pictures.iterdir():
                shutil.copy(picture, out)


if __name__ == "__main__":
    main()
