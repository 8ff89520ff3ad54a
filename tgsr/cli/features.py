"""``tgsr features``: the clips of a database to a feature file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tgsr.cli import options as shared
from tgsr.errors import DataError
from tgsr.features.extraction import EXTRACTORS

if TYPE_CHECKING:
    from tgsr.datasets import FeatureDataset

__all__ = ["command"]


@click.command()
@click.option(
    "--database", required=True, help="One with a loader, such as SMIC_HS, CASME2, SAMM, DFME; or a name for your own."
)
@click.option("--root", type=shared.PATH, help="Folder of the clips; or a CSV that lists them.")
@click.option(
    "--import", "imported", type=shared.PATH,
    help="Instead of clips: features that another program made, as .npz, .csv, .tsv, .txt or .parquet.",
)  # fmt: skip
@click.option("--label", help="With --import: the table's column of labels, if it is not called so.")
@click.option("--drop", multiple=True, help="With --import: a column to leave out; may be given again.")
@click.option("--annotations", type=shared.PATH, help="Sheet or CSV, if not found by itself.")
@click.option("--label-map", help="cdmer (default) or megc2019; or a CSV with the columns label and class.")
@click.option("--out", type=shared.PATH, required=True, help="Feature file, or a folder for it.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: all processors]")
@click.option("--cache", type=shared.PATH, help="Folder of computed clips.")
@click.option("--no-cache", is_flag=True, help="Compute every clip anew and keep none.")
@click.option("--strict", is_flag=True, help="Fail, and write nothing, if any clip is skipped.")
@click.option(
    "--extractor", type=click.Choice(list(EXTRACTORS)), default="lbp-top",
    help="LBP-TOP histograms, or histograms of oriented optical flow, of the 85 regions.",
)  # fmt: skip
@click.option("--n-frames", type=int, default=16, help="Frames after temporal interpolation.")
@click.option("--size", type=int, default=112, help="Height and width of a frame, pixels.")
@click.option("--radii", type=int, nargs=3, default=(3, 3, 3), help="LBP-TOP radii in X, Y and T.")
@click.option(
    "--interpolation", type=click.Choice(["bilinear", "nearest"]), default="bilinear",
    help="How neighbours between pixels are read.",
)  # fmt: skip
@click.option(
    "--crop", type=click.Choice(["auto", "face", "none"]), default="auto",
    help="Find and crop the face: in raw databases, always, or never.",
)  # fmt: skip
def command(database: str, root: Path | None, imported: Path | None, out: Path, **given: Any) -> None:
    """Compute the features of all clips of a database, or import those that another program made.

    Clips that cannot be used are skipped and listed with the reason. Interrupted and started again, it goes on where it
    stopped: finished clips are kept in a cache ($TGSR_CACHE, or your cache folder), found again by their content.
    A folder of clips without a sheet becomes a target without labels.
    """
    from tgsr.datasets import import_features, save_features
    from tgsr.datasets.catalogue import check_clash
    from tgsr.datasets.feature_file import SUFFIX

    if out.suffix not in ("", ".npz"):
        raise click.BadParameter(f"{out}: name a file that ends in {SUFFIX}, or a folder", param_hint="--out")
    if imported is not None and root is None:
        dataset = import_features(imported, database, given["label_map"], label=given["label"], drop=given["drop"])
    elif root is not None and imported is None and not (given["label"] or given["drop"]):
        dataset = _extract(database, root, given)
    else:
        raise click.UsageError(
            "give --root for clips, or --import for features that are there already (and --label, --drop with it only)"
        )
    path = out if out.suffix == ".npz" else out / f"{dataset.name}{SUFFIX}"
    check_clash(dataset, database, path)
    if imported is not None:
        click.echo(f"{_summary(dataset, 'rows')}; {dataset.X.shape[1]} features in {dataset.n_groups} groups")
    try:
        save_features(dataset, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    click.echo(f"written {path}, digest {dataset.digest[:12]}")


def _extract(database: str, root: Path, given: dict[str, Any]) -> FeatureDataset:
    from joblib import cpu_count  # what this process may use, also in a container
    from tqdm import tqdm

    from tgsr.datasets import load_clips
    from tgsr.features import extract_collection
    from tgsr.features.cache import default_cache_folder
    from tgsr.features.extraction import ExtractionSettings

    names = ("n_frames", "size", "radii", "interpolation", "crop", "extractor")
    settings = ExtractionSettings(**{name: given[name] for name in names})
    collection = load_clips(database, root, annotations=given["annotations"], label_map=given["label_map"])
    with tqdm(total=len(collection.clips), unit="clip", desc=collection.database, disable=None) as bar:
        extraction = extract_collection(
            collection,
            settings,
            jobs=given["jobs"] or cpu_count(),
            cache=None if given["no_cache"] else given["cache"] or default_cache_folder(),
            progress=lambda done, _: bar.update(done - bar.n),
        )
    dataset = extraction.dataset
    kinds = Counter("raw" if clip.cropped is False else "cropped" for clip in collection.clips)
    clips = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    click.echo(f"{_summary(dataset, 'clips')}, {extraction.n_cached} of them from the cache")
    click.echo(f"frames: {clips}; crop: {dataset.parameters['crop']}")
    for note in extraction.notes:
        click.echo(f"note: {note}")
    if extraction.skipped:
        click.echo(f"skipped {len(extraction.skipped)} clips:")
    for entry in extraction.skipped:
        where = "" if str(entry.path) in entry.reason else f" ({entry.path})"
        click.echo(f"  {entry.clip}: {entry.reason}{where}")
    if given["strict"] and extraction.skipped:
        raise DataError(f"{len(extraction.skipped)} clips were skipped (--strict); nothing was written")
    return dataset


def _summary(dataset: FeatureDataset, unit: str) -> str:
    counts = ", ".join(f"{count} {class_name}" for class_name, count in dataset.counts.items())
    return f"{dataset.name}: {len(dataset)} {unit} ({counts or 'no labels'})"
