"""``tgsr data``: what databases a folder holds."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.option("--data", default="features", show_default=True, help="Folder with the feature files.")
def command(data: str) -> None:
    """List the databases found: samples of each class, subjects, digest, file; what is damaged, and what is missing."""
    from tgsr.datasets import find_damaged, find_databases, load_database
    from tgsr.errors import TgsrError
    from tgsr.protocols import DATABASES, EXPECTED_COUNTS, EXPERIMENTS

    found = find_databases(data)
    usable = set()
    for entry in found:
        try:
            dataset = load_database(entry.name, data)
        except TgsrError as error:
            click.echo(f"{entry.name:10s} unusable: {error}")
            continue
        usable.add(dataset.name)
        counts = " ".join(f"{name} {count}" for name, count in dataset.counts.items())
        subjects = "subjects unknown" if dataset.subjects is None else f"{len(set(dataset.subjects.tolist()))} subjects"
        expected = EXPECTED_COUNTS.get(dataset.name)
        as_expected = dataset.is_generated or expected in (None, tuple(dataset.counts.values()))
        other = "" if as_expected else f" (the paper has {expected})"
        click.echo(
            f"{dataset.name:10s} {len(dataset):4d} samples: {counts}{other}; {subjects}; "
            f"digest {dataset.digest[:12]}; {entry.path.name} ({entry.format})"
            f"{'; generated' if dataset.is_generated else ''}"
        )
    for reason in find_damaged(data).values():
        click.echo(f"damaged    {reason}")
    missing = [name for name in DATABASES.values() if name not in usable]
    if missing:
        click.echo(f"not found: {', '.join(missing)}")
    ready = [experiment.name for experiment in EXPERIMENTS if {experiment.source, experiment.target} <= usable]
    click.echo(f"experiments that can be run: {' '.join(ready) or 'none'}")
