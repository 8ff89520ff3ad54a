"""``tgsr data``: what databases a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tgsr.cli import options as shared

if TYPE_CHECKING:
    from tgsr.datasets import FeatureDataset

__all__ = ["command"]


@click.command()
@shared.data
def command(data: Path) -> None:
    """List the databases found: samples of each class, subjects, digest, file; what is damaged, and what is missing.

    Ends with an error if a file cannot be used.
    """
    from tgsr.datasets import find_damaged, find_databases
    from tgsr.datasets.catalogue import load_found
    from tgsr.errors import DataError, TgsrError
    from tgsr.protocols import DATABASES, EXPERIMENTS

    usable: dict[str, bool] = {}
    unusable = 0
    found = find_databases(data)
    for entry in found:
        try:
            dataset = load_found(entry, found)
        except TgsrError as error:
            click.echo(f"{entry.name:10s} unusable: {error}")
            unusable += 1
            continue
        usable[dataset.name] = dataset.is_labelled
        click.echo(f"{_line(dataset)}; {entry.path.name} ({entry.format}){'; generated' * dataset.is_generated}")
    damaged = find_damaged(data)
    for reason in damaged.values():
        click.echo(f"damaged    {reason}")
    others = sorted(set(usable) - set(DATABASES.values()))
    if set(usable) != set(others) or not others:
        if missing := [name for name in DATABASES.values() if name not in usable]:
            click.echo(f"not found: {', '.join(missing)}")
        ready = [one.name for one in EXPERIMENTS if usable.get(one.source) and one.target in usable]
        click.echo(f"experiments that can be run: {' '.join(ready) or 'none'}")
    if others:
        click.echo(f"others, for --source and --target: {', '.join(others)}")
    if unusable or damaged:
        raise DataError(f"{unusable + len(damaged)} of these cannot be used; restore or remove them")


def _line(dataset: FeatureDataset) -> str:
    """One line on a database: samples, classes, subjects, layout, digest."""
    from tgsr.protocols import EXPECTED_COUNTS

    counts = " ".join(f"{name} {count}" for name, count in dataset.counts.items()) or "no labels, a target"
    subjects = "subjects unknown" if dataset.subjects is None else f"{len(set(dataset.subjects.tolist()))} subjects"
    if "subjects" in dataset.parameters:
        subjects += f" ({dataset.parameters['subjects']})"
    expected = EXPECTED_COUNTS.get(dataset.name)
    by_paper = dataset.is_labelled and not dataset.is_generated and dataset.parameters.get("label_map") != "megc2019"
    other = (
        f" (the paper has {expected})" if by_paper and expected not in (None, tuple(dataset.counts.values())) else ""
    )
    layout = "" if dataset.groups is None else f"; {dataset.X.shape[1]} features in {dataset.n_groups} groups"
    samples = f"{dataset.name:10s} {len(dataset):4d} samples: {counts}{other}"
    return f"{samples}; {subjects}{layout}; digest {dataset.digest[:12]}"
