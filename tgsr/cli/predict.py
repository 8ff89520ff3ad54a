"""``tgsr predict``: labels, scores and salient regions from a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["command"]


@click.command()
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="Such as models:/tgsr-V-N@champion.")
@click.option("--features", type=click.Path(path_type=Path), help="Feature file (ours, or a released .mat).")
@click.option("--database", help="Which database of a .mat file.")
@click.option("--overlay", type=click.Path(path_type=Path), help="Save the salient regions over the first clip's face.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table as CSV instead of printing it.")
@click.option("--home", help="Folder of mlflow.db.  [default: TGSR_HOME, else this folder]")
def command(
    clips: tuple[Path, ...],
    model: str,
    features: Path | None,
    database: str | None,
    overlay: Path | None,
    out: Path | None,
    home: str | None,
) -> None:
    """Predict clips (folders of frames, or video files) or the rows of a feature file."""
    from tgsr.errors import ParameterError
    from tgsr.files import atomic_path
    from tgsr.tracking.place import open_client, resolve_place
    from tgsr.tracking.prediction import predict_clips, predict_features
    from tgsr.tracking.registry import load_model

    if bool(clips) == bool(features):
        raise ParameterError("give clips to predict, or --features FILE")
    open_client(resolve_place(home).tracking_uri)
    loaded = load_model(model)
    table = predict_clips(loaded, clips) if features is None else predict_features(loaded, features, database)
    if out is not None:
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False)
        click.echo(f"{len(table)} predictions written to {out}")
    else:
        shown = table.assign(regions=[_short(regions) for regions in table["regions"]])
        click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if overlay is not None:
        _save_overlay(loaded, clips[0] if clips else None, overlay)
        click.echo(f"salient regions: {overlay}")


def _short(regions: list[int]) -> str:
    return " ".join(map(str, regions[:5])) + (" …" if len(regions) > 5 else "")


def _save_overlay(model: Any, clip: Path | None, path: Path) -> None:
    from tgsr.files import atomic_path
    from tgsr.reports.masks import draw_mask
    from tgsr.tracking.prediction import first_frame
    from tgsr.tracking.registry import model_weights

    # a released group is no region: its weights are spread over the regions that it covers
    weights = model_weights(model).region_weights
    figure = draw_mask(weights, "region", None if clip is None else first_frame(clip))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
