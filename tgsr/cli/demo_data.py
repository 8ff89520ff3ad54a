"""``tgsr demo-data``: generated clips in the layouts of SMIC and CASME II."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder for the generated databases.")
@click.option("--subjects", type=int, default=4, help="Generated people in each database (2 to 8).")
@click.option("--clips-per-class", type=int, default=8, help="Clips of each class and database.")
@click.option("--seed", type=int, default=0, help="The same seed gives the same bytes.")
@click.option(
    "--size",
    type=click.Choice(["small", "full"]),
    default="small",
    help="full: as many people and clips, and frames as large, as in the real databases.",
)
def command(out: Path, subjects: int, clips_per_class: int, seed: int, size: str) -> None:
    """Draw clips of generated faces in the folder layouts of SMIC (HS, VIS, NIR) and CASME II.

    Nothing in them was recorded. truth.json beside each database lists the regions that move in each class.
    """
    from tgsr.demo import DemoSettings, write_demo

    settings = DemoSettings(subjects=subjects, clips_per_class=clips_per_class, seed=seed, size=size)
    counts = write_demo(out, settings, progress=True)
    for database, count in counts.items():
        click.echo(f"{database:10s} {count:4d} generated clips")
    click.echo(f"in {out}; next: tgsr features --database SMIC_VIS --root {out} --out features/SMIC_VIS.tgsr.npz")
