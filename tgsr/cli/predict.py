"""``tgsr predict``: labels, scores and salient regions from a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["command"]


@click.command()
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="Such as models:/tgsr-V-N@champion.")
@click.option(
    "--features", default="none", show_default=True, help="Feature file (ours, or a released .mat) instead of clips."
)
@click.option("--database", help="Which database of a .mat file.")
@click.option(
    "--crop", type=click.Choice(["auto", "face", "none"]), default="auto", show_default=True,
    help="Find and crop the face in clips: always, never; auto: as with the clips that the model was trained on.",
)  # fmt: skip
@click.option("--overlay", type=click.Path(path_type=Path), help="Save the salient regions over the first clip's face.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table as CSV instead of printing it.")
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(
    clips: tuple[Path, ...],
    model: str,
    features: str,
    database: str | None,
    crop: str,
    overlay: Path | None,
    out: Path | None,
    home: str | None,
) -> None:
    """Predict clips (folders of frames, or video files) or the rows of a feature file.

    Clips that cannot be used are listed after the predictions of the others; the command then ends with status 1.
    """
    from tgsr.errors import DataError, ParameterError
    from tgsr.files import atomic_path
    from tgsr.tracking.place import open_client, resolve_place
    from tgsr.tracking.prediction import first_frame, predict_clips, predict_features
    from tgsr.tracking.registry import load_model

    clips = tuple(clip for clip in clips if str(clip) != "none")  # as the entry point says that there is none
    file = None if features == "none" else Path(features)
    if bool(clips) == bool(file):
        raise ParameterError("give clips to predict, or --features FILE")
    open_client(resolve_place(home).tracking_uri, create=False)
    loaded = load_model(model)
    failed: tuple[str, ...] = ()
    if file is None:
        predicted = predict_clips(loaded, clips, crop)
        table, failed = predicted.table, predicted.failed
    else:
        table = predict_features(loaded, file, database)
    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False)
        click.echo(f"{len(table)} predictions written to {out}")
    else:
        shown = table
        if "regions" in table:
            shown = table.assign(regions=[_short(regions) for regions in table["regions"]])
        click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if overlay is not None:
        # the first clip that could be used: its row is the first
        frame = first_frame(loaded, Path(table["clip"].iloc[0]), crop) if clips else None
        _save_overlay(loaded, frame, overlay)
        click.echo(f"salient regions: {overlay}")
    if failed:
        raise DataError("\n".join((f"{len(failed)} of {len(clips)} clips cannot be used:", *failed)))


def _short(regions: list[int]) -> str:
    return " ".join(map(str, regions[:5])) + (" …" if len(regions) > 5 else "")


def _save_overlay(model: Any, frame: Any, path: Path) -> None:
    from tgsr.files import atomic_path
    from tgsr.reports.masks import draw_mask
    from tgsr.tracking.registry import model_weights

    # a released group is no region: its weights are spread over the regions that it covers
    weights = model_weights(model).region_weights
    figure = draw_mask(weights, "region", frame)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
